"""Metadata of modules made by Reflection.Emit: the copy that the runtime serialises for debuggers at each type load.

ReflectionModule::CaptureModuleMetaDataToMemory (src/coreclr/vm/ceeload.cpp). 8.0 keeps it in an SBuffer, later ones in {size, bytes}.
6.0 makes it only under a debugger, so that layout has no `Module.DynamicMetadata`; there the tables that are being written serve.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.emitted_metadata import emitted_metadata
from heaphound.runtime.metadata.reader import Metadata


def dynamic_metadata(memory: Memory, layout: Layout, module: int) -> Metadata:
    """The reader of a dynamic module's metadata.

    Raises LayoutError where the layout leads to none, Malformed where this module has none (yet) or it is broken, Unreadable.
    """
    if not layout.has("Module", "DynamicMetadata"):
        return emitted_metadata(memory, layout, memory.pointer(module + layout.offset("Module", "PEAssembly")))
    saved = memory.pointer(module + layout.offset("Module", "DynamicMetadata"))
    if not saved:
        raise Malformed(f"the module made in memory at {module:#x} has no saved metadata: no type of it was loaded")
    size_bytes = memory.u32(saved + layout.offset("DynamicMetadata", "Size"))
    if size_bytes > LIMITS.metadata_bytes:
        raise LimitExceeded(f"the saved metadata of module {module:#x} claims {size_bytes} bytes")
    if layout.has("DynamicMetadata", "Buffer"):
        start = memory.pointer(saved + layout.offset("DynamicMetadata", "Buffer"))
    else:
        start = saved + layout.offset("DynamicMetadata", "Data")
    return Metadata(memory.bytes(start, size_bytes))
