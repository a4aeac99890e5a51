"""Checks of the layout against the dump: an offset that has moved must be noticed here, by name, not by wrong answers later."""

from collections.abc import Callable
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import HeaphoundError, LayoutError
from heaphound.layouts.schema import Layout
from heaphound.runtime.thread_list import thread_addresses

SMALLEST_OBJECT_BYTES = 24
STRING_BASE_BYTES = 22


@dataclass(frozen=True)
class Ability:
    """One thing that can be done with this dump. `origin` says where its offsets come from; empty when it is not available.

    `failed` is the sentence of the check or the missing piece that takes the ability away; None when it is available.
    """

    name: str
    available: bool
    origin: str
    failed: str | None


@dataclass(frozen=True)
class Check:
    """A named check: `run` raises HeaphoundError when the dump does not agree with the layout. `rests_on` are the fields it vouches for."""

    ability: str
    name: str
    rests_on: tuple[tuple[str, str], ...]
    run: Callable[[Memory, Layout], None]


def check_free_object(memory: Memory, layout: Layout) -> None:
    """The free object's MethodTable is that of a byte array: base size 24, component size 1."""
    table = _global_value(memory, layout, "FreeObjectMethodTable")
    _expect("free object", layout, memory, table, SMALLEST_OBJECT_BYTES, 1)


def check_string(memory: Memory, layout: Layout) -> None:
    """System.String has base size 22, component size 2, and System.Object as parent, whose parent is none."""
    string, base = _global_value(memory, layout, "StringMethodTable"), _global_value(memory, layout, "ObjectMethodTable")
    _expect("System.String", layout, memory, string, STRING_BASE_BYTES, 2)
    _expect("System.Object", layout, memory, base, SMALLEST_OBJECT_BYTES, 0)
    parent = layout.offset("MethodTable", "ParentMethodTable")
    if memory.pointer(string + parent) != base or memory.pointer(base + parent) != 0:
        raise LayoutError("self-check System.String: its parent is not System.Object")


def check_class(memory: Memory, layout: Layout) -> None:
    """EEClass.MethodTable leads back, for System.Object and System.String."""
    for name in ("ObjectMethodTable", "StringMethodTable"):
        table = _global_value(memory, layout, name)
        eeclass = memory.pointer(table + layout.offset("MethodTable", "EEClassOrCanonMT"))
        if eeclass & 1 or memory.pointer(eeclass + layout.offset("EEClass", "MethodTable")) != table:
            raise LayoutError(f"self-check EEClass.MethodTable: the class of {name} at {eeclass:#x} belongs to another type")


def check_module(memory: Memory, layout: Layout) -> None:
    """Module of System.Object: Module.Assembly's own module is that module."""
    module = memory.pointer(_global_value(memory, layout, "ObjectMethodTable") + layout.offset("MethodTable", "Module"))
    assembly = memory.pointer(module + layout.offset("Module", "Assembly"))
    if memory.pointer(assembly + layout.offset("Assembly", "Module")) != module:
        raise LayoutError(f"self-check Module.Assembly: assembly {assembly:#x} of module {module:#x} has another module")


def check_threads(memory: Memory, layout: Layout) -> None:
    """The thread list has as many threads as the store counts, and the finalizer thread is one of them."""
    addresses = thread_addresses(memory, layout)
    store = _global_value(memory, layout, "ThreadStore")
    count = memory.u32(store + layout.offset("ThreadStore", "ThreadCount"))
    if len(addresses) != count:
        raise LayoutError(f"self-check ThreadStore: {len(addresses)} threads in the list, {count} counted")
    finalizer = memory.pointer(layout.global_address("FinalizerThread"))
    if finalizer not in addresses:
        raise LayoutError(f"self-check FinalizerThread: {finalizer:#x} is not in the thread list")


CHECKS = [
    Check("heap walk", "free object", (("MethodTable", "MTFlags"), ("MethodTable", "BaseSize")), check_free_object),
    Check("heap walk", "System.String", (("MethodTable", "ParentMethodTable"),), check_string),
    Check("types", "EEClass.MethodTable", (("MethodTable", "EEClassOrCanonMT"), ("EEClass", "MethodTable")), check_class),
    Check("modules", "Module.Assembly", (("MethodTable", "Module"), ("Module", "Assembly"), ("Assembly", "Module")), check_module),
    Check("threads", "ThreadStore", (("ThreadStore", "FirstThreadLink"), ("Thread", "LinkNext")), check_threads),
]


def run_checks(memory: Memory, layout: Layout) -> list[Ability]:
    """Every check's outcome as abilities, one per ability: available when all its checks pass, else with the first sentence of failure."""
    outcome: dict[str, str | None] = {}
    for check in CHECKS:
        try:
            check.run(memory, layout)
        except HeaphoundError as error:
            outcome[check.ability] = outcome.get(check.ability) or f"{check.name}: {error}"
        else:
            outcome.setdefault(check.ability, None)
    return [_ability(name, failed, layout) for name, failed in outcome.items()]


def origin_of(layout: Layout, fields: tuple[tuple[str, str], ...]) -> str:
    """Where these fields' offsets come from, in the words that `info` shows."""
    origins = {layout.origin(type_name, field) for type_name, field in fields if layout.has(type_name, field)}
    words = {"descriptor": "descriptor", "layout file": "layout file, self-checked", "found by search": "found by search"}
    return " + ".join(words[origin] for origin in sorted(origins))


def _ability(name: str, failed: str | None, layout: Layout) -> Ability:
    fields = tuple(field for check in CHECKS if check.ability == name for field in check.rests_on)
    return Ability(name, failed is None, "" if failed else origin_of(layout, fields), failed)


def _global_value(memory: Memory, layout: Layout, name: str) -> int:
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
