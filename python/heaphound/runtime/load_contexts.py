"""AssemblyLoadContexts: the managed object of each, its name, and the modules that it loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.container_view import View
from heaphound.runtime.modules import Module
from heaphound.runtime.values import Values

NOT_CAPTURED = "<not in this dump>"


@dataclass(frozen=True, slots=True)
class LoadContext:
    """A load context that has loaded at least one module.

    `address` is the managed AssemblyLoadContext, None for the default one while the program never asked for it. `name` is None when the
    program gave it none. `collectible` tells whether it can be unloaded.
    """

    address: int | None
    type: str | None
    name: str | None
    default: bool
    collectible: bool
    modules: tuple[Module, ...]


def read_load_contexts(values: Values, modules: Sequence[Module]) -> list[LoadContext]:
    """Load contexts in the order of their first module. Never raises for a bad dump: what cannot be read stays None."""
    by_binder: dict[int | None, list[Module]] = {}
    for module in modules:
        by_binder.setdefault(module.binder, []).append(module)
    return [_load_context(values, tuple(own)) for own in by_binder.values()]


def load_context_name(values: Values, module: Module) -> str | None:
    """Name of the load context of a module; None for the default one. An unnamed one is called by its type and address."""
    if module.in_default_context:
        return None
    if module.binder is None:
        return NOT_CAPTURED
    kind, name = _type_and_name(values, module.load_context)
    if name is not None:
        return name
    if module.load_context is None:
        return f"<load context of the binder at {module.binder:#x}, whose object is gone or not in this dump>"
    if kind is None:
        return f"<load context at {module.load_context:#x}, its name {NOT_CAPTURED[1:]}"
    return f"<unnamed {kind} at {module.load_context:#x}>"


def _load_context(values: Values, modules: tuple[Module, ...]) -> LoadContext:
    first = modules[0]
    kind, name = _type_and_name(values, first.load_context)
    default = first.in_default_context
    if default and name is None:
        name = "Default"  # AssemblyLoadContext.Default.Name, which the object keeps as a constant
    if not default and (first.binder is None or (first.load_context is not None and kind is None)):
        name = NOT_CAPTURED
    collectible = not default and all(module.collectible for module in modules)
    return LoadContext(first.load_context, kind, name, default, collectible, modules)


def _type_and_name(values: Values, address: int | None) -> tuple[str | None, str | None]:
    if address is None:
        return None, None
    try:
        found = values.type_of(address)
        view = View.of_object(values, address, found)
        if not view.has("_name"):
            return None, None  # without metadata no field has a name
        name = view.pointer("_name")
        return found.name, values.strings.text(name) if name else None
    except (Unreadable, Malformed):
        return None, None
