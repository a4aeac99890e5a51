"""Checks before anything else is read: the few MethodTables whose content is known in advance."""

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError
from heaphound.layouts.schema import Layout

SMALLEST_OBJECT_BYTES = 24
STRING_BASE_BYTES = 22


def check_free_object(memory: Memory, layout: Layout) -> None:
    """The free object's MethodTable is that of a byte array: base size 24, component size 1. LayoutError if it is not."""
    table = global_value(memory, layout, "FreeObjectMethodTable")
    _expect("free object", layout, memory, table, SMALLEST_OBJECT_BYTES, 1)


def check_string(memory: Memory, layout: Layout) -> None:
    """System.String has base size 22, component size 2, and System.Object as parent, whose parent is none. LayoutError if not so."""
    string, base = global_value(memory, layout, "StringMethodTable"), global_value(memory, layout, "ObjectMethodTable")
    _expect("System.String", layout, memory, string, STRING_BASE_BYTES, 2)
    _expect("System.Object", layout, memory, base, SMALLEST_OBJECT_BYTES, 0)
    parent = layout.offset("MethodTable", "ParentMethodTable")
    if memory.pointer(string + parent) != base or memory.pointer(base + parent) != 0:
        raise LayoutError("self-check System.String: its parent is not System.Object")


def global_value(memory: Memory, layout: Layout, name: str) -> int:
    """The pointer in a global variable; LayoutError if it is null."""
    value = memory.pointer(layout.global_address(name))
    if value == 0:
        raise LayoutError(f"self-check: the global {name} is null")
    return value


def _expect(what: str, layout: Layout, memory: Memory, table: int, base_bytes: int, component_bytes: int) -> None:
    flags = memory.u32(table + layout.offset("MethodTable", "MTFlags"))
    base = memory.u32(table + layout.offset("MethodTable", "BaseSize"))
    has_components = bool(flags & layout.constant("MethodTableFlags.HasComponentSize"))
    found = flags & layout.constant("MethodTableFlags.ComponentSizeMask") if has_components else 0
    if (base, found) != (base_bytes, component_bytes):
        raise LayoutError(
            f"self-check {what}: base size {base} and component size {found} at {table:#x}, expected {base_bytes} and {component_bytes}"
        )
