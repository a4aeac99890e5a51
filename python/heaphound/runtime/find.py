"""Find the CoreCLR of a process: which it is, and the layout that this dump agrees with."""

from heaphound.dump.core import Core
from heaphound.layouts.load import layout_file
from heaphound.runtime.locate import find_coreclr
from heaphound.runtime.runtime import Runtime, bind_runtime


def find_runtime(core: Core) -> Runtime:
    """The CoreCLR of the process, with its layout bound and checked.

    Raises RuntimeNotFound (native program, Native AOT), UnsupportedRuntime (no layout for its version, or the build does not agree
    with it: the failed check is named), LayoutError or Unreadable when the way into the GC is missing from the dump.
    """
    found = find_coreclr(core)
    source = layout_file(found.version, core.machine, found.module.build_id)
    if source.open:
        from heaphound.runtime.settle import settle  # few files leave numbers open; it needs all self-checks, and so nearly all readers

        source = settle(core, found, source)
    return bind_runtime(core, found, source)
