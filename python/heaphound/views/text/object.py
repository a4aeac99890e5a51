"""One object as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.object import ObjectResult, ReferrerRow, StructValue
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Fact, Line, Table, names, numbers
from heaphound.views.quantities import count, exact
from heaphound.views.text.values import field_rows, reference_words, value_words


def page(answer: Answer[ObjectResult]) -> Iterator[Block]:
    """Header, content, neighbours."""
    result = answer.result
    yield from _header(result)
    if result.fields:
        yield Line("")
        yield Table((*numbers("Offset"), *names("Field", "Value", "Type", "Declared in")), list(field_rows(result.fields)))
    yield from _delegate(result)
    yield from _elements(result)
    yield from _neighbours("Referred to by", "via", result.referrers, result.referrer_count - len(result.referrers))
    yield from _neighbours("Refers to", "via", result.references, 0)
    yield from coverage_blocks(answer.dump, answer.coverage)


def _header(result: ObjectResult) -> Iterator[Block]:
    yield Line(f"{result.address} {result.type}", "strong")
    yield Fact("Type", f"method table {result.method_table}{'' if result.module is None else f', {result.module}'}")
    yield Fact("Size", exact(result.size_bytes))
    if result.retained_bytes is not None:
        yield Fact("Retained", exact(result.retained_bytes))
    if result.generation is not None:
        yield Fact("Where", f"{result.generation}{'' if result.segment is None else f', segment {result.segment}'}")
    if result.reachable is False:
        yield Fact("Alive", "no: no known root reaches it", "warn")
    if result.immediate_dominator is not None:
        yield Fact("Kept by", f"{reference_words(result.immediate_dominator)} alone")
    if result.text is not None:
        yield Fact("Value", result.text)
    if result.length is not None and result.array is None:
        yield Fact("Length", count(result.length))
    if result.array is not None:
        bounds = ", ".join(str(length) for length in result.array.lengths)
        lower = f", first index {', '.join(map(str, result.array.lower_bounds))}" if any(result.array.lower_bounds) else ""
        yield Fact("Array", f"{result.array.element_type} [{bounds}]{lower}")
    if result.collection is not None:
        yield Fact("Holds", f"{result.collection.kind} of {count(result.collection.count, 'item')}")
    if result.lock is not None:
        owner = "nobody" if result.lock.owner_managed_id is None else f"thread {result.lock.owner_managed_id}"
        yield Fact("Lock", f"{result.lock.kind}, held by {owner}, recursion {result.lock.recursion}")
    if result.hash_code is not None:
        yield Fact("Hash code", str(result.hash_code))


def _delegate(result: ObjectResult) -> Iterator[Block]:
    if result.delegate is None:
        return
    yield Line("")
    rows = [
        (index, entry.method, "static" if entry.target is None else reference_words(entry.target))
        for index, entry in enumerate(result.delegate)
    ]
    yield Table((*numbers("Call"), *names("Method", "Target")), rows)
    if result.delegate_left_out:
        yield Fact("", f"{count(result.delegate_left_out, 'further call')}: --limit 0 shows all", "dim")


def _elements(result: ObjectResult) -> Iterator[Block]:
    if not result.elements:
        return
    yield Line("")
    keyed = any(element.key is not None for element in result.elements)
    rows: list[tuple[int | str, ...]] = []
    for element in result.elements:
        key = (value_words(element.key),) if keyed else ()
        rows.append((element.index, *key, value_words(element.value)))
        if isinstance(element.value, StructValue) and element.value.text is None:
            inner = field_rows(element.value.fields)
            rows.extend(("", *(("",) if keyed else ()), f".{name} = {value}") for _, name, value, _, _ in inner)
    yield Table((*numbers("Index"), *(names("Key") if keyed else ()), *names("Value")), rows)
    if result.elements_left_out:
        yield Fact("", f"{count(result.elements_left_out, 'further element')}: --limit 0 shows all", "dim")


def _neighbours(title: str, via: str, rows: tuple[ReferrerRow, ...], further: int) -> Iterator[Block]:
    if not rows:
        return
    yield Line("")
    yield Table(names(title, via, "Type"), [(row.address, row.via, row.type) for row in rows])
    if further > 0:
        yield Fact("", f"{count(further, 'further object')}: --limit 0 shows all", "dim")
