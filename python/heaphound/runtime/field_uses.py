"""What the loaded code does with the collection in a field besides calling its own methods."""

from heaphound.runtime.calls import CALLS, CodeModule, CodeSearch, CodeSite
from heaphound.runtime.collection_writes import field_getters, value_source
from heaphound.runtime.framework import is_framework
from heaphound.runtime.il_flow import MethodFlow, Operation
from heaphound.runtime.il_values import NewArray, NewObject, Value, options

_CONSTRUCTORS = (".ctor", ".cctor")
_STORES = ("stfld", "stsfld", "stelem")


def whole_assignments(search: CodeSearch, type_name: str, field_name: str) -> list[CodeSite]:
    """The stores into a field whose value never leaves the code that reads it; empty where it may, and where no code assigns it.

    Then nothing can add to the collection but calls on the field itself (`collection_writes`) and these stores. The value leaves where it
    is returned (but by a plain getter, whose callers are looked at too), stored elsewhere or passed on. Outside of constructors a store
    counts as whole only if it stores a new object, so that what is stored was not made out of what the field held.
    """
    stores = search.stores(type_name, field_name)
    if any(not _is_constructor(site) and not _is_new(site) for site in stores):
        return []
    getters = field_getters(search, type_name, field_name)
    return [] if any(_leaves(module, (type_name, field_name), getters) for module in search.modules) else stores


def _is_constructor(site: CodeSite) -> bool:
    return site.module.metadata.method_name(site.method_rid) in _CONSTRUCTORS


def _is_new(site: CodeSite) -> bool:
    return all(isinstance(option, NewObject | NewArray) for option in options(site.operation.arguments[-1]))


def _leaves(module: CodeModule, field: tuple[str, str], getters: set[tuple[str, str]]) -> bool:
    wanted = {field, *getters}
    tokens = [token for owner, name in wanted for token in module.tokens(owner, name)]
    for rid in module.methods_with(tokens):
        flow = module.flow(rid)
        if flow is None or _leaves_method(flow, wanted):
            own = (module.metadata.typedef_full_name(module.metadata.method_owner(rid)), module.metadata.method_name(rid))
            if own not in getters:
                return True
    return False


def _leaves_method(flow: MethodFlow, wanted: set[tuple[str, str]]) -> bool:
    handed_on = [value for operation in flow.operations for value in _handed_on(operation)]
    return any(value_source(option) in wanted for value in (*handed_on, *flow.returns) for option in options(value))


def _handed_on(operation: Operation) -> tuple[Value, ...]:
    """Values that an operation gives to other code or keeps: all but the receiver of a call and the holder of a store.

    IL does not say whether the first argument of `call` is a receiver; of the framework's methods it may be either, and neither static
    helpers (LINQ) nor collections hand it on.
    """
    if operation.opcode in CALLS:
        own = operation.opcode == "call" and operation.member is not None and not is_framework(operation.member.declaring_type)
        return operation.arguments if own else operation.arguments[1:]
    if operation.opcode == "newobj":
        return operation.arguments
    return operation.arguments[-1:] if operation.opcode in _STORES else ()
