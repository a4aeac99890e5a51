"""References inside of values that native code of the runtime keeps on its own stack: two kinds of Frame have a list of such values.

ProtectValueClassFrame has copies that reflection passes by reference, ProtectByRefsFrame what a debugger's evaluation passes. Source: their
GcScanRoots of src/coreclr/vm/frames.cpp, ValueClassInfo and ByRefInfo of frames.h, ReportPointersFromValueType of siginfo.cpp, v3.1 to
v10.0.
"""

from collections.abc import Iterator

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.arguments.leaves import leaves_of
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.typesystem import TypeSystem


def value_references(memory: Memory, layout: Layout, types: TypeSystem, frame: int) -> list[Reference]:
    """The references that the ProtectValueClassFrame at `frame` protects. Raises Malformed, LimitExceeded, Unreadable."""
    found: list[Reference] = []
    for info in _listed(
        memory, frame + layout.offset("ProtectValueClassFrame", "ValueClassInfoList"), layout.offset("ValueClassInfo", "Next")
    ):
        kind = types.resolve_handle(memory.pointer(info + layout.offset("ValueClassInfo", "MethodTable")))
        if kind.layout is None or not kind.layout.is_value_type:
            raise Malformed(f"the Frame at {frame:#x} protects a value of {kind.name}, which is no value type")
        found.extend(_inside(memory, kind, memory.pointer(info + layout.offset("ValueClassInfo", "Data"))))
    return found


def by_ref_references(memory: Memory, layout: Layout, types: TypeSystem, frame: int) -> list[Reference]:
    """The references that the ProtectByRefsFrame at `frame` protects. Raises Malformed, LimitExceeded, Unreadable."""
    found: list[Reference] = []
    for info in _listed(memory, frame + layout.offset("ProtectByRefsFrame", "ByRefInfoList"), layout.offset("ByRefInfo", "Next")):
        if _is_primitive(memory.u8(info + layout.offset("ByRefInfo", "ElementType"))):
            continue
        kind = types.resolve_handle(memory.pointer(info + layout.offset("ByRefInfo", "TypeHandle")))
        data = info + layout.offset("ByRefInfo", "Data")
        if kind.layout is not None and kind.layout.is_value_type:
            found.extend(_inside(memory, kind, data))
        elif value := memory.pointer(data):
            found.append(Reference(data, value, interior=False, pinned=False, register=None, offset=None))
    return found


def _is_primitive(element_type: int) -> bool:
    """CorIsPrimitiveType of src/coreclr/inc/corhdr.h."""
    return element_type < ElementType.POINTER or element_type in (ElementType.I, ElementType.U)


def _listed(memory: Memory, first: int, next_offset: int) -> Iterator[int]:
    """The elements of a list on the stack, which ends with null."""
    info = memory.pointer(first)
    for _ in range(LIMITS.gc_slots):
        if not info:
            return
        yield info
        info = memory.pointer(info + next_offset)
    raise LimitExceeded(f"the values that the Frame with the list at {first:#x} protects are more than {LIMITS.gc_slots}")


def _inside(memory: Memory, kind: ResolvedType, data: int) -> Iterator[Reference]:
    for leaf in leaves_of(kind):
        if leaf.is_reference or leaf.is_interior:
            value = memory.pointer(data + leaf.offset)
            if value:
                yield Reference(data + leaf.offset, value, leaf.is_interior, pinned=False, register=None, offset=None)
