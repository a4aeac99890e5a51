"""Code that puts things into the collection of a given field."""

from dataclasses import dataclass
from typing import Final

from heaphound.runtime.calls import CALLS, CodeModule, CodeSearch, CodeSite
from heaphound.runtime.il_values import CallResult, Value, options
from heaphound.runtime.subscriptions import source_field

# fmt: off
ADDING_NAMES: Final = frozenset((
    "Add", "AddAfter", "AddBefore", "AddFirst", "AddLast", "AddOrUpdate", "AddRange",
    "Append", "AppendFormat", "AppendJoin", "AppendLine", "Enqueue", "GetOrAdd", "GetOrCreate", "GetOrCreateAsync", "GetOrCreateValue",
    "GetValue", "GetValueRefOrAddDefault", "Insert", "InsertRange", "Post", "Prepend",
    "Push", "PushRange", "Set", "TryAdd", "TryEnqueue", "TryWrite", "Write", "WriteAsync", "WriteByte", "WriteLine", "set_Item",
))
# fmt: on
_MAXIMUM_GETTER_BYTES: Final = 64  # `return field;` takes up to 20 bytes of IL in a Debug build


@dataclass(frozen=True, slots=True)
class CollectionWrite:
    """One call that adds to a collection.

    `through`: accessor by which the code reached the field, or property of the collection that was written to; "" for the field itself.
    """

    site: CodeSite
    method: str
    through: str


def collection_writes(search: CodeSearch, type_name: str, field_name: str, names: frozenset[str] = ADDING_NAMES) -> list[CollectionWrite]:
    """Calls of adding methods whose receiver (or first argument) was read from the field, directly, through its plain getters, or is a
    property of what the field holds.
    """
    getters = field_getters(search, type_name, field_name)
    found: list[CollectionWrite] = []
    for module in search.modules:
        tokens = module.tokens(type_name, field_name)
        tokens += [token for owner, getter in getters for token in module.tokens(owner, getter)]
        for rid in module.methods_with(tokens):
            found.extend(_writes_of_method(module, rid, (type_name, field_name), getters, names))
    return found


def _writes_of_method(
    module: CodeModule, rid: int, field: tuple[str, str], getters: set[tuple[str, str]], names: frozenset[str]
) -> list[CollectionWrite]:
    flow = module.flow(rid)
    found = []
    for operation in flow.operations if flow is not None else ():
        called = operation.member
        if operation.opcode not in CALLS or called is None or called.name.rpartition(".")[2] not in names or not operation.arguments:
            continue
        for option in options(operation.arguments[0]):
            source, through = _source_through(option, {field, *getters})
            if source == field or source in getters:
                accessor = "" if source == field else f"{source[0]}.{source[1]}"
                found.append(CollectionWrite(CodeSite(module, rid, operation), called.full_name, accessor or through))
                break
    return found


def _source_through(value: Value, wanted: set[tuple[str, str]]) -> tuple[tuple[str, str], str]:
    """(source, property) of a receiver: read from a wanted member, or from a property of what was read (the Writer of a Channel)."""
    source = value_source(value)
    if source in wanted or not isinstance(value, CallResult) or len(value.arguments) != 1 or not value.method.name.startswith("get_"):
        return source, ""
    for option in options(value.arguments[0]):
        if value_source(option) in wanted:
            return value_source(option), value.method.full_name
    return source, ""


def value_source(value: Value) -> tuple[str, str]:
    """(declaring type, name) of the field or method that a value came from; empty names when from elsewhere."""
    field = source_field(value)
    if field is not None:
        return field.declaring_type, field.name
    if isinstance(value, CallResult):
        return value.method.declaring_type, value.method.name
    return "", ""


def field_getters(search: CodeSearch, type_name: str, field_name: str) -> set[tuple[str, str]]:
    """(declaring type, method name) of short methods that do nothing but return the field."""
    found = set()
    for site in search.loads(type_name, field_name):
        body = site.module.bodies.get(site.method_rid)
        flow = site.module.flow(site.method_rid)
        if body is None or flow is None or len(body.code) > _MAXIMUM_GETTER_BYTES or len(flow.returns) != 1:
            continue
        source = source_field(flow.returns[0])
        if source is not None and (source.declaring_type, source.name) == (type_name, field_name):
            found.add((site.declaring_type, site.module.metadata.method_name(site.method_rid)))
    return found
