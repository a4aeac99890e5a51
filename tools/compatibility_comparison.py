"""What one entry of docs/compatibility.md says: an ability on one dump, held against the oracle or against a whole dump of the process."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.dumps import (
    test_code_agrees,
    test_heap_agrees,
    test_memory_agrees,
    test_objects_agree,
    test_roots_agree,
    test_stack_roots_agree,
    test_stacks_agree,
)
from tests.dumps.conftest import Opened
from tests.lab import twin
from tests.lab.held import Differs, lacking_rows
from tests.lab.runtimes import LabError

import heaphound
from heaphound.errors import HeaphoundError

AGREES, AGREES_WITH_TWIN, ABSENT = "agrees", "agrees with the full dump", "not in this dump"
Comparison = Callable[[Opened], None]


def compare_threads(opened: Opened) -> None:
    """Managed id, OS id and GC mode of each living thread."""
    oracle = {(row["managed_id"], row["os_id"], row["gc_mode"]) for row in opened.case.answers("threads") if row["alive"]}
    ours = {(thread.managed_id, thread.os_id, thread.gc_mode) for thread in opened.dump.session.threads if thread.alive}
    assert ours == oracle, f"{len(ours ^ oracle)} threads"


def compare_finalizer_queue(opened: Opened) -> None:
    """The objects of both parts of the queue; the oracle's second part lacks those whose finalizer is suppressed or repeats the first."""
    queue = opened.dump.session.finalizer_queue
    rows = opened.case.answers("finalizer")
    ready = {int(row["address"], 16) for row in rows if row["row"] == "f_reachable"}
    waiting = {int(row["address"], 16) for row in rows if row["row"] == "finalizable"}
    assert set(queue.ready.objects.tolist()) == ready, "objects that are ready"
    assert set(queue.waiting.objects.tolist()) == waiting, "objects that wait"


def compare_sync_blocks(opened: Opened) -> None:
    """Index, object and whether it is held, of each sync block."""
    rows = [row for row in opened.case.answers("syncblocks") if row["row"] == "sync_block"]
    oracle = {(row["index"], int(row["object"], 16), row["held"]) for row in rows}
    ours = {(block.index, block.object, block.held) for block in opened.dump.session.sync_blocks}
    assert ours == oracle, f"{len(ours ^ oracle)} sync blocks"


def body(test: Any) -> Comparison:
    """The function under a test's marks."""
    found: Comparison = getattr(test, "__wrapped__", test)
    return found


ABILITIES: dict[str, list[Comparison]] = {
    "walk": [body(test_heap_agrees.test_walk), body(test_heap_agrees.test_segments)],
    "references": [body(test_heap_agrees.test_references)],
    "type names": [body(test_heap_agrees.test_count_bytes_and_name_of_every_type)],
    "fields": [body(test_objects_agree.test_fields_elements_and_delegates)],
    "statics and thread statics": [body(test_roots_agree.test_statics)],
    "handles and dependents": [body(test_roots_agree.test_handles)],
    "finalizer queue": [compare_finalizer_queue],
    "sync blocks": [compare_sync_blocks],
    "threads": [compare_threads],
    "stacks": [body(test_stacks_agree.test_every_frame)],
    "stack roots": [test_stack_roots_agree.compare],
    "modules": [body(test_roots_agree.test_modules)],
    "code lookup": [body(test_code_agrees.test_methods_by_method_desc)],
    "memory map": [body(test_memory_agrees.test_the_blocks_of_the_loader_heaps), body(test_memory_agrees.test_handle_tables_and_gc_tables)],
}


def outcome(opened: Opened, comparisons: Iterable[Comparison]) -> str:
    """What a cell says. Any other exception is a fault, and ends the dump's run."""
    for comparison in comparisons:
        try:
            comparison(opened)
        except AssertionError as error:
            return without_names(opened.dump) or f"differs: {first_line(error)}"
        except HeaphoundError as error:
            whole = opened.dump.session.core.writer.mode == "full"
            return f"{'differs' if whole else ABSENT}: {first_line(error)}"
        except LabError as error:
            return f"not compared: {first_line(error)}"
    return AGREES


def outcome_beside(whole: heaphound.Dump, part: heaphound.Dump, ability: str) -> str:
    """What a cell says of a dump of which another, whole one exists."""
    answers = twin.ABILITIES[ability]
    expected = answers(whole)
    try:
        found = answers(part)
    except HeaphoundError as error:
        return f"{ABSENT}: {first_line(error)}"
    if twin.same(ability, whole, found, expected):
        return AGREES_WITH_TWIN
    if ability in twin.ROWS:
        return outcome_of_rows(ability, found, expected)
    lacking = without_heap(part) if ability in OF_THE_HEAP else None
    return lacking or without_names(part) or unavailable(part, ability) or f"differs: {first_line(difference(found, expected))}"


def outcome_of_rows(ability: str, found: Any, expected: Any) -> str:
    """What a cell says of rows of which some may be lacking: the others must be the whole dump's."""
    try:
        lacking = lacking_rows(found, expected, twin.ROWS[ability])
    except Differs as error:
        return f"differs: {first_line(error)}"
    agreeing = "; the rest agrees with the full dump" if found else ""
    return AGREES_WITH_TWIN if lacking is None else f"{ABSENT}: {lacking}{agreeing}"


# What heaphound calls each ability where it says what a dump lacks.
ABILITY_OF_INFO = {
    "walk": "heap walk",
    "references": "heap walk",
    "statics and thread statics": "statics",
    "handles and dependents": "handles",
    "sync blocks": "locks",
    "stack roots": "stacks",
    "code lookup": "code",
}
OF_THE_HEAP = ("walk", "references", "type names", "fields", "statics and thread statics", "handles and dependents", "finalizer queue")


def unavailable(dump: heaphound.Dump, ability: str) -> str | None:
    """Set where heaphound itself says that the dump does not give this ability, or a part of it."""
    states = {row.name: row for row in dump.info().result.abilities}
    row = states[ABILITY_OF_INFO.get(ability, ability)]
    return None if row.state == "available" else f"{ABSENT}: {first_line(AssertionError(row.note or row.state))}"


def without_names(dump: heaphound.Dump) -> str | None:
    """Set where assemblies have no metadata: both sides then write something else in place of a name."""
    try:
        nameless = sum(module.metadata is None for module in dump.session.module_list.modules)
    except HeaphoundError as error:
        return f"{ABSENT}: {first_line(error)}"
    return f"{ABSENT}: metadata of {nameless} assemblies" if nameless else None


def without_heap(dump: heaphound.Dump) -> str | None:
    """Set where a part of the heap is not in the file."""
    coverage = dump.verify().coverage
    if coverage.heap_bytes == 0 and coverage.gaps:
        return f"{ABSENT}: the heap"
    lacking = coverage.heap_bytes - coverage.walked_bytes
    return f"{ABSENT}: {lacking * 100 // coverage.heap_bytes} % of the heap" if lacking else None


def difference(found: Any, expected: Any) -> AssertionError:
    """The first thing on which two answers differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [key for key in [*expected, *found] if found.get(key) != expected.get(key)]
        return AssertionError(f"{keys[0]}: {found.get(keys[0])} instead of {expected.get(keys[0])}")
    if isinstance(found, (list, tuple)) and isinstance(expected, (list, tuple)) and len(found) == len(expected):
        return next(difference(one, other) for one, other in zip(found, expected, strict=True) if one != other)
    return AssertionError(f"{found} instead of {expected}")


def first_line(error: BaseException) -> str:
    """The beginning of a message, without addresses and paths, which change from run to run."""
    text = re.sub(r"/\S+/", "", str(error).strip().split("\n")[0])
    return re.sub(r"0x[0-9a-f]+", "0x…", text)[:100].replace("|", "\\|") or type(error).__name__
