"""What the loaded code does with the collection in a field besides calling its own methods."""

from heaphound.runtime.calls import CALLS, CodeModule, CodeSearch
from heaphound.runtime.collection_writes import field_getters, value_source
from heaphound.runtime.framework import is_framework
from heaphound.runtime.il_flow import MethodFlow, Operation
from heaphound.runtime.il_values import Value, options

_CONSTRUCTORS = (".ctor", ".cctor")
_STORES = ("stfld", "stsfld", "stelem")


def is_filled_once(search: CodeSearch, type_name: str, field_name: str) -> bool:
    """Whether the field is assigned in constructors only and its value never leaves the code that reads it.

    Then nothing can add to the collection but calls on the field itself (`collection_writes`). False where the value is returned (but by
    a plain getter, whose callers are looked at too), stored elsewhere or passed on, and where no code assigns it.
    """
    stores = search.stores(type_name, field_name)
    if not stores or any(site.module.metadata.method_name(site.method_rid) not in _CONSTRUCTORS for site in stores):
        return False
    getters = field_getters(search, type_name, field_name)
    return not any(_leaves(module, (type_name, field_name), getters) for module in search.modules)


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
