"""TypeDescs: what a TypeHandle leads to when it is no MethodTable: pointers, by-references, type parameters, function pointers.

src/coreclr/vm/typedesc.h. Bit 1 of a TypeHandle tells the two apart (typehandle.h). Arrays have MethodTables;
before 5.0 they have a TypeDesc besides, and that is what handles lead to.
"""

from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.element_types import ElementType


@dataclass(frozen=True, slots=True)
class TypeDesc:
    """A TypeDesc. `handles` are TypeHandles: the target of a pointer, or return type and parameters of a function pointer.

    `module` and `token` (a GenericParam token) are 0 but for type parameters.
    """

    address: int
    element_type: int
    handles: tuple[int, ...] = ()
    module: int = 0
    token: int = 0


def read_typedesc(memory: Memory, layout: Layout, address: int) -> TypeDesc:
    """The TypeDesc at `address` (of the structure, without the handle's tag bit). Raises Malformed on an unknown kind, Unreadable."""
    kind = memory.u32(address + layout.offset("TypeDesc", "TypeAndFlags")) & 0xFF
    if kind in (ElementType.POINTER, ElementType.BY_REFERENCE):
        return TypeDesc(address, kind, (memory.pointer(address + layout.offset("ParamTypeDesc", "TypeArg")),))
    if kind in (ElementType.TYPE_PARAMETER, ElementType.METHOD_PARAMETER):
        module = memory.pointer(address + layout.offset("TypeVarTypeDesc", "Module"))
        return TypeDesc(address, kind, (), module, memory.u32(address + layout.offset("TypeVarTypeDesc", "Token")))
    if kind == ElementType.FUNCTION_POINTER:
        count = memory.u32(address + layout.offset("FnPtrTypeDesc", "NumArgs"))
        if count > LIMITS.generic_arguments:
            raise LimitExceeded(f"the function pointer type at {address:#x} claims {count} parameters")
        return TypeDesc(address, kind, memory.words(address + layout.offset("FnPtrTypeDesc", "RetAndArgTypes"), count + 1))
    raise Malformed(f"there is no TypeDesc at {address:#x}: its kind is {kind:#x}")


def array_method_table(memory: Memory, layout: Layout, address: int) -> int | None:
    """MethodTable of the array type whose TypeDesc is at `address` (to 3.1); None for any other TypeDesc. Raises Unreadable."""
    if not layout.has("ParamTypeDesc", "TemplateMT"):
        return None
    kind = memory.u32(address + layout.offset("TypeDesc", "TypeAndFlags")) & 0xFF
    if kind not in (ElementType.ARRAY, ElementType.VECTOR):
        return None
    return memory.pointer(address + layout.offset("ParamTypeDesc", "TemplateMT")) or None
