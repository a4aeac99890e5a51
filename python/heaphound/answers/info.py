"""`info`: what the dump is, which runtime it holds, and which abilities there are on it."""

from collections.abc import Callable
from typing import TypeVar

from heaphound.address import Address
from heaphound.answers.facts import dump_facts
from heaphound.answers.lacking import lacking, lacking_for_stacks, other_runtimes
from heaphound.answers.tried import tried
from heaphound.dump.ranges import resident_ranges
from heaphound.errors import HeaphoundError
from heaphound.results.answer import Answer, Coverage
from heaphound.results.info import Ability, AbilityState, Held, InfoResult, RuntimeFacts
from heaphound.runtime.checks import file_in_words
from heaphound.session import Session

PartT = TypeVar("PartT")


def info(session: Session) -> Answer[InfoResult]:
    """Facts that cost no heap walk."""
    runtime = session.runtime
    heap = _or_none(lambda: session.gc_heap)
    result = InfoResult(
        runtime=RuntimeFacts(
            version=runtime.version,
            path=runtime.module.path,
            base=Address(runtime.module.base),
            build_id=runtime.build_id,
            architecture=session.core.machine,
            single_file=runtime.single_file,
            server_gc=runtime.server_gc,
            regions=None if heap is None else heap.regions,
            heap_count=None if heap is None else len(heap.heaps),
            contract_descriptor=None if runtime.descriptor is None else Address(runtime.descriptor),
            layout=runtime.layout_name,
            commit=runtime.commit,
            layout_status=runtime.layout_status,
            found_by_search=runtime.found_by_search,
        ),
        abilities=tuple(_abilities(session)),
        held=tuple(_held(session)),
        thread_count=_or_none(lambda: len(session.threads)),
        module_count=_or_none(lambda: len(session.module_list.modules)),
    )
    return Answer(dump_facts(session), Coverage(notes=tuple(_notes(session))), result)


def _or_none(read: Callable[[], PartT]) -> PartT | None:
    """A part, or None where the dump cannot give it: `abilities` says why."""
    try:
        return read()
    except HeaphoundError:
        return None


def _abilities(session: Session) -> list[Ability]:
    """The layout's own self-checks, of a dump without what they need what it gives all the same, then the parts that have no check."""
    found = []
    for checked in session.abilities:
        state: AbilityState = "available" if checked.available else "unavailable"
        note = checked.failed or ""
        if checked.available and checked.unchecked is not None:
            state, note = tried(session, checked.name)
        origin = "" if state == "unavailable" else checked.origin
        found.append(Ability(checked.name, state, origin, note, checked.not_exercised))
    known = {ability.name for ability in found}
    described = f"{'descriptor + ' if session.runtime.descriptor is not None else ''}{file_in_words(session.runtime)}"
    parts: tuple[tuple[str, Callable[[], int]], ...] = (
        ("GC heap", lambda: len(session.gc_heap.gaps)),
        ("handles", lambda: len(session.read_handles().gaps)),
        ("finalizer queue", lambda: len(session.read_finalizer_queue().gaps)),
        ("modules", lambda: len(session.module_list.gaps)),
        ("statics", lambda: len(session.read_statics().gaps)),
        ("threads", lambda: _gapless(session.threads)),
        ("code", lambda: len(session.code.ranges.gaps)),
    )
    for name, read in parts:
        if name in known:
            continue
        try:
            gaps = read()
            state, note = ("available", "") if gaps == 0 else ("partial", f"{gaps} parts could not be read")
        except HeaphoundError as error:
            state, note = "unavailable", str(error)
        found.append(Ability(name, state, "" if state == "unavailable" else described, note))
    return found


def _gapless(_part: object) -> int:
    """Gaps of a part that is read whole or raises."""
    return 0


def _held(session: Session) -> list[Held]:
    """How much of what matters the file has."""
    core = session.core
    listed = sum(size for _address, size, *_ in core.image.segments)
    # A small dump lists the pages that it has, and not what else there was.
    held = [Held("process memory", core.resident_bytes, None if core.writer.mode == "mini" else listed)]
    heap = _or_none(lambda: session.gc_heap)
    if heap is not None:
        resident = resident_ranges(core.image)
        present = sum(resident.overlap(segment.start, segment.end) for segment in heap.segments)
        held.append(Held("GC heap", present, sum(segment.end - segment.start for segment in heap.segments)))
    modules = _or_none(lambda: session.module_list.modules) or ()
    with_metadata = sum(module.metadata is not None for module in modules)
    if modules:
        held.append(Held("modules with metadata", with_metadata, len(modules), "count"))
    return held


def _notes(session: Session) -> list[str]:
    notes = [*other_runtimes(session), *lacking(session), *lacking_for_stacks(session)]
    if session.runtime.descriptor_missing is not None:
        notes.append(
            f"the runtime's contract descriptor is not in the dump ({session.runtime.descriptor_missing}); the layout file serves alone"
        )
    notes += [
        f"{attached.file} stands in for bytes that the core lacks (checked by {attached.checked_by or 'nothing'})"
        for attached in session.backing.attached
    ]
    notes += [f"{refused.file} was not used for {refused.path}: {refused.reason}" for refused in session.backing.refused]
    return notes
