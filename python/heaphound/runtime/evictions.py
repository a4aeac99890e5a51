"""Code that keeps a collection at a size: makes room where it adds, or takes something out instead of making it."""

from collections.abc import Sequence

from heaphound.runtime.calls import CALLS, CodeSearch, CodeSite
from heaphound.runtime.collection_writes import CollectionWrite, value_source
from heaphound.runtime.il_values import Argument, FieldValue, Literal, Local, Value, options

SIZES = ("get_Count", "get_Length", "Count")
_STATE_MACHINE = "MoveNext"


def evicting_methods(adds: Sequence[CollectionWrite], removes: Sequence[CollectionWrite]) -> list[CollectionWrite]:
    """For each method that adds, a removal in it or in a method of its type that it calls; empty unless every such method has one.

    One of the two must ask how large a collection of that type is: what only clears it, on another way through the method, keeps no size.
    Not counted are: removals under the key that is added (the entry is replaced), those in handlers of exceptions or `finally` and those of
    async methods and iterators, where the removal may wait for something that never comes.
    """
    found: dict[tuple[str, int], CollectionWrite] = {}
    for removal in removes:
        if _is_deferred(removal.site):
            continue
        for add in adds:
            beside = _place(add.site) == _place(removal.site) and not _same_key(add.site, removal.site)
            if (beside or _calls(add.site, removal.site)) and (_asks_size(add.site) or _asks_size(removal.site)):
                found.setdefault(_place(add.site), removal)
    return list(found.values()) if found and all(_place(add.site) in found for add in adds) else []


def is_called(search: CodeSearch, site: CodeSite) -> bool:
    """Whether some code calls the method that holds a site, by itself or through what it overrides, or makes a delegate of it.

    Methods that the compiler made (bodies of lambdas, async methods and iterators) count as called: who runs them is not looked up.
    """
    name = site.module.metadata.method_name(site.method_rid)
    if "<" in site.declaring_type or "<" in name:
        return True
    types = search.ancestry(site.declaring_type)
    plain = name.rpartition(".")[2]  # of an explicit implementation of an interface
    return bool(search.calls(types, plain)) or any(search.delegates_to(one, plain) for one in types)


def _asks_size(site: CodeSite) -> bool:
    """Whether the method of a site reads the number of items of what a field of its type holds."""
    flow = site.module.flow(site.method_rid)
    return any(
        operation.opcode in CALLS
        and operation.member is not None
        and operation.member.name in SIZES
        and any(value_source(option)[0] == site.declaring_type for value in operation.arguments[:1] for option in options(value))
        for operation in (flow.operations if flow is not None else ())
    )


def _calls(add: CodeSite, removal: CodeSite) -> bool:
    """Whether the method that adds calls the one that removes, of the same type and not under the key that is added."""
    flow = add.module.flow(add.method_rid)
    if flow is None or add.module is not removal.module or add.declaring_type != removal.declaring_type:
        return False
    name, keys = removal.module.metadata.method_name(removal.method_rid), _keys(add)
    return any(
        operation.opcode in CALLS
        and operation.member is not None
        and (operation.member.declaring_type, operation.member.name) == (removal.declaring_type, name)
        and not any(_same(one, other) for one in keys for argument in operation.arguments[1:] for other in options(argument))
        for operation in flow.operations
    )


def makes_another(removal: CodeSite, type_name: str | None) -> bool:
    """Whether the method that takes something out also makes one of that type (None: an array), or asks a Func for one."""
    flow = removal.module.flow(removal.method_rid)
    for operation in flow.operations if flow is not None else ():
        made = operation.member
        if operation.opcode == "newarr" and type_name is None:
            return True
        if operation.opcode == "newobj" and made is not None and made.declaring_type == type_name:
            return True
        if operation.opcode in CALLS and made is not None and made.name == "Invoke" and made.declaring_type.startswith("System.Func`"):
            return True
    return False


def _place(site: CodeSite) -> tuple[str, int]:
    return site.module.name, site.method_rid


def _is_deferred(site: CodeSite) -> bool:
    body = site.module.bodies[site.method_rid]
    handled = any(clause.handler_start <= site.il_offset < clause.handler_end for clause in body.clauses)
    return handled or site.module.metadata.method_name(site.method_rid) == _STATE_MACHINE


def _same_key(add: CodeSite, removal: CodeSite) -> bool:
    """Whether both calls have an argument behind the receiver that is the same value; where nothing is known of it, they may."""
    return any(_same(one, other) for one in _keys(add) for other in _keys(removal))


def _keys(site: CodeSite) -> list[Value]:
    return [option for argument in site.operation.arguments[1:2] for option in options(argument)]


def _same(one: Value, other: Value) -> bool:
    if one is other:
        return True
    match one, other:
        case Argument(number), Argument(again):
            return number == again
        case Local(slot), Local(again):
            return slot == again
        case Literal(content), Literal(again):
            return content == again
        case FieldValue(read, _), FieldValue(again, _):
            return read.full_name == again.full_name
    return False
