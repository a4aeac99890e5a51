"""What the dump is and what can be asked of it, as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.info import InfoResult
from heaphound.views.describe import coverage_blocks, headline
from heaphound.views.page import Block, Fact, Line, Size, Table, names, numbers
from heaphound.views.quantities import count, exact


def page(answer: Answer[InfoResult]) -> Iterator[Block]:
    """File and runtime, then a table of abilities, then a table of what the dump holds."""
    dump, result = answer.dump, answer.result
    yield Line(headline(dump), "strong")
    yield Fact("File", f"{dump.file}, {exact(dump.size_bytes)}")
    runtime = result.runtime
    if runtime is not None:
        commit = "" if runtime.commit is None else f", commit {runtime.commit}"
        yield Fact("Runtime", f"{runtime.version}{commit}")
        yield Fact("", f"{runtime.path} at {runtime.base}{', in a single-file application' if runtime.single_file else ''}")
        yield Fact("", f"build id {runtime.build_id or 'not in the dump'}")
        yield Fact("Layout", _layout(runtime.layout, runtime.contract_descriptor is not None))
        if runtime.layout_status:
            yield Fact("", f"written {runtime.layout_status}: every number is guarded by self-checks alone")
        if runtime.found_by_search:
            yield Fact("", f"found by search in this dump: {', '.join(runtime.found_by_search)}")
    if result.thread_count is not None:
        yield Fact("Threads", count(result.thread_count))
    if result.module_count is not None:
        yield Fact("Modules", count(result.module_count))
    if result.abilities:
        yield Line("")
        rows = [(ability.name, ability.state, ability.origin or None, ability.note) for ability in result.abilities]
        yield Table(names("Ability", "State", "Offsets from", "Note"), rows)
    if result.held:
        yield Line("")
        held = [(_amount(part.present, part.unit), _amount(part.expected, part.unit), part.name) for part in result.held]
        yield Table((*numbers("In the dump", "In the process"), *names("What")), held)
    yield from coverage_blocks(dump, answer.coverage)


def _layout(name: str, described: bool) -> str:
    return f"{name}, with the runtime's own descriptor on top" if described else f"{name} (this runtime carries no descriptor of its own)"


def _amount(number: int | None, unit: str) -> int | None:
    return None if number is None else Size(number) if unit == "bytes" else number
