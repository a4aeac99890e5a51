"""One found CoreCLR: its module, version, and layout bound to this dump."""

from dataclasses import dataclass, field

from heaphound.dump.core import Core
from heaphound.dump.elf_modules import ElfModule
from heaphound.dump.memory import Memory
from heaphound.errors import HeaphoundError, LayoutError, Malformed, RuntimeNotFound, Unreadable, UnsupportedRuntime
from heaphound.layouts.descriptor import Descriptor, read_descriptor
from heaphound.layouts.load import LayoutFile, with_descriptor
from heaphound.layouts.number_rules import with_broken_numbers
from heaphound.layouts.schema import Layout
from heaphound.runtime.dac_table_search import find_dac_table, searchable
from heaphound.runtime.entry_checks import check_free_object, check_string
from heaphound.runtime.gc_variables import GCVariables, described_gc_variables, find_gc_variables
from heaphound.runtime.locate import FoundRuntime, read_dac_table
from heaphound.runtime.vtables import first_vtable, vtable_addresses


@dataclass(frozen=True)
class Runtime:
    """CoreCLR in one dump. `version` is the product's (9.0.11), `layout_name` the data file it rests on (`coreclr-9.0-x64`).

    `descriptor` is the address of the runtime's own contract descriptor if that was readable and used, else None: then
    `descriptor_missing` says why, or is None where the version has none. `gc` is the GC's own description of itself. `layout_status` is
    what must be known of the file (`from source, never run`), empty where there is nothing; `found_by_search` are the numbers that are not
    the file's but were found in this dump.
    """

    core: Core = field(repr=False)
    memory: Memory = field(repr=False)
    layout: Layout = field(repr=False)
    layout_name: str
    version: str
    commit: str | None
    module: ElfModule
    build_id: str | None
    single_file: bool
    descriptor: int | None
    descriptor_missing: str | None
    gc: GCVariables
    layout_status: str = ""
    found_by_search: tuple[str, ...] = ()

    @property
    def server_gc(self) -> bool:
        """Whether the server GC runs this process."""
        return self.gc.server

    def global_value(self, name: str) -> int:
        """The pointer in a global variable of the runtime; LayoutError if its address is not known, Unreadable if it is not in the dump."""
        return self.memory.pointer(self.layout.global_address(name))


def bind_runtime(core: Core, found: FoundRuntime, source: LayoutFile) -> Runtime:
    """A found CoreCLR read by one layout file, with the dump's own descriptor on top where it has one.

    Raises UnsupportedRuntime (the build does not agree with the layout: the failed check is named), RuntimeNotFound (there is nothing
    managed in it yet), LayoutError or Unreadable when the way into the GC is missing from the dump.
    """
    layout, dac_table = _bind_globals(core, source, found)
    layout, descriptor, missing = _bind_descriptor(core.memory, layout, found, source)
    layout = with_broken_numbers(layout)
    try:
        gc = find_gc_variables(core.memory, layout, dac_table)
        if descriptor is not None:
            gc = described_gc_variables(layout, descriptor, gc)
        check_free_object(core.memory, layout)
        check_string(core.memory, layout)
    except LayoutError as error:
        unstarted = _unstarted(core.memory, layout)
        if unstarted is not None:
            raise RuntimeNotFound(f"{core.path}: {found.module.path} (.NET {found.version}) is loaded and {unstarted}") from error
        raise UnsupportedRuntime(_refusal(found, source, error)) from error
    return Runtime(
        core=core,
        memory=core.memory,
        layout=layout,
        layout_name=f"coreclr-{source.layout.version}-{core.machine}",
        version=found.version,
        commit=found.commit,
        module=found.module,
        build_id=found.module.build_id,
        single_file=found.single_file,
        descriptor=None if descriptor is None else found.descriptor,
        descriptor_missing=missing,
        gc=gc,
        layout_status=source.status,
        found_by_search=source.found,
    )


def _unstarted(memory: Memory, layout: Layout) -> str | None:
    """What to say where the first things that the runtime makes when it starts are not there; None where they are, or are not known.

    EEStartupHelper (src/coreclr/vm/ceemain.cpp) makes the AppDomain, then loads the core library's types one after the other
    (SystemDomain::LoadBaseSystemClasses, appdomain.cpp).
    """

    def absent(*names: str) -> bool:
        return all(memory.pointer(layout.global_address(name)) == 0 for name in names)

    try:
        if absent("ObjectMethodTable", "StringMethodTable", "AppDomain"):
            return "was never started: there are no managed objects"
        if absent("ExceptionMethodTable", "DelegateMethodTable", "ThreadMethodTable"):
            return "was still starting when it was dumped: its own types are not loaded yet, there are no managed objects"
    except (LayoutError, Unreadable):
        return None
    return None


def _bind_globals(core: Core, source: LayoutFile, found: FoundRuntime) -> tuple[Layout, list[int]]:
    """Addresses of the globals out of g_dacTable, which every createdump core holds; found by search where no symbol leads to it."""
    address = _dac_table(core, source, found)
    if address is None:
        raise LayoutError(
            f"{core.path}: the dump lacks the symbol table of {found.module.path} (or it does not export g_dacTable); "
            f"give the directory of that file (build-id {found.module.build_id or 'unknown'}) with --binaries"
        )
    shape = source.dac_table
    try:
        table = read_dac_table(core, address, shape.entry_count, shape.entry_bytes, found.module.base)
    except Unreadable as error:
        raise LayoutError(f"{core.path}: g_dacTable of {found.module.path} cannot be read: {error}") from error
    places = shape.places(first_vtable(found.module, table))
    addresses = {name: table[index] + added for name, (index, added) in places.items() if table[index]}
    addresses |= vtable_addresses(found.module, table, source.layout)
    searched = {name: address for name, address in addresses.items() if f"global {name}" in source.found}
    return source.layout.with_globals(addresses, "layout file").with_globals(searched, "found by search"), table


def _dac_table(core: Core, source: LayoutFile, found: FoundRuntime) -> int | None:
    """Address of g_dacTable: by its symbol, else by search; None where there is nothing to search. UnsupportedRuntime as `bind_runtime`."""
    if found.dac_table is not None or not searchable(found.module, source):
        return found.dac_table
    try:
        return find_dac_table(core, found.module, source)
    except LayoutError as error:
        if source.dac_table.entry_bytes == 8:
            return None  # these versions export it: it is the dump that lacks pages, not the layout that is wrong
        raise UnsupportedRuntime(_refusal(found, source, error)) from error


def _bind_descriptor(
    memory: Memory, layout: Layout, found: FoundRuntime, source: LayoutFile
) -> tuple[Layout, Descriptor | None, str | None]:
    """The layout with the dump's own descriptor on top; without it, where the dump lacks those pages, the file serves alone.

    A file that leaves numbers open says nothing of where globals are that the descriptor names.
    """
    if found.descriptor is None:
        return layout, None, None
    try:
        descriptor = with_parts(memory, read_descriptor(memory.bytes, found.descriptor))
    except (Unreadable, Malformed) as error:
        return layout, None, str(error)
    moved = sorted(
        name for name, address in descriptor.addresses.items() if layout.has_global(name) and layout.global_address(name) != address
    )
    if moved and not source.open:
        raise UnsupportedRuntime(
            f"self-check g_dacTable: in this build of .NET {found.version} (build-id {found.module.build_id or 'unknown'}) "
            f"the globals {', '.join(moved)} are not where the layout file has them: add an exception to the layout file"
        )
    return with_descriptor(layout, descriptor), descriptor, None


def with_parts(memory: Memory, descriptor: Descriptor) -> Descriptor:
    """The descriptor with those of its parts that the dump has; a part whose variable is null is not there (yet)."""
    for variable in descriptor.parts.values():
        try:
            address = memory.pointer(variable)
            descriptor = descriptor.with_part(read_descriptor(memory.bytes, address)) if address else descriptor
        except Unreadable:
            continue  # GcDacVars says most of it too
    return descriptor


def _refusal(found: FoundRuntime, source: LayoutFile, error: HeaphoundError) -> str:
    return (
        f"this build of .NET {found.version} (build-id {found.module.build_id or 'unknown'}) does not agree with the layout of "
        f"{source.layout.version} made from {source.origin['build']}: {error}; add its layout as CONTRIBUTING.md describes"
    )
