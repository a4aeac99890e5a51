"""What a dump that was meant to hold little, or was cut, still gives of each ability: tried on this dump, part by part."""

from collections.abc import Callable, Sequence

from heaphound.dump.ranges import resident_ranges
from heaphound.errors import HeaphoundError, Malformed, Unreadable
from heaphound.results.info import AbilityState
from heaphound.runtime.loader_heaps import read_loader_heaps
from heaphound.runtime.stacks.frame import ManagedFrame, StackEnd
from heaphound.session import Session

Tried = tuple[AbilityState, str]
"""State, and in words what of it there is and what is lacking."""
SAMPLE_FRAMES = 1000


def tried(session: Session, name: str) -> Tried:
    """What this dump gives of an ability; "available" for one of which nothing is known to be lacking. Costs no walk over the heap."""
    part = PARTS.get(name)
    if part is None:
        return "available", ""
    try:
        return part(session)
    except HeaphoundError as error:
        return "unavailable", f"not in this file: {error}"


def _share(found: int, total: int, what: str, reason: str) -> Tried:
    """Of countable parts: all, some or none are there."""
    if found == total:
        return "available", ""
    why = f": {reason}" if reason else ""
    return ("partial", f"{found} of {total} {what}{why}") if found else ("unavailable", f"not in this file, none of {total} {what}{why}")


def _heap_walk(session: Session) -> Tried:
    """By the bytes of the heap that the file has."""
    heap, resident = session.gc_heap, resident_ranges(session.core.image)
    ranges = heap.object_ranges()
    present, total = sum(resident.overlap(start, end) for start, end in ranges), sum(end - start for start, end in ranges)
    reason = heap.gaps[0].reason if heap.gaps else ""
    if not present or heap.gaps:
        known = f"{present} bytes of the heap are" if present else "the heap is not"
        return "partial" if present else "unavailable", f"{known} in this file{f': {reason}' if reason else ''}"
    return _share(present, total, "bytes of the heap are in this file", "")


def _types(session: Session) -> Tried:
    """By the assemblies with metadata, then by the types of the methods on the stacks: a small dump was meant to hold their names."""
    if (nameless := _nameless(session)) is not None:
        return nameless
    methods = [frame.method for frame in _frames(session) if frame.method is not None]
    tables = {method.method_table for method in methods if method.method_table is not None}
    reasons = []
    for table in sorted(tables):
        try:
            if (problem := session.types.type(table).name_problem) is not None:
                reasons.append(problem)
        except (Unreadable, Malformed) as error:
            reasons.append(str(error))
    if not tables:
        return "unavailable", "not in this file: no method of a stack has a name"
    found = len(tables) - len(reasons)
    if not reasons:
        return "partial", "those of methods on the stacks, others where their structures happen to be in this file"
    return _share(found, len(tables), "types of methods on the stacks can be read", reasons[0])


def _nameless(session: Session) -> Tried | None:
    """Set where assemblies have no metadata: then tokens stand for the names."""
    modules = session.module_list.modules
    nameless = sum(module.metadata is None for module in modules)
    if not nameless:
        return None
    return "partial", f"without names in {nameless} of {len(modules)} assemblies, whose metadata is not in this file: tokens stand for them"


def _frames(session: Session) -> list[ManagedFrame]:
    """Managed frames of all stacks, the innermost of each."""
    found: list[ManagedFrame] = []
    for thread in session.threads:
        for number, frame in enumerate(session.stacks.walk(thread)):
            if number >= SAMPLE_FRAMES:
                break
            if isinstance(frame, ManagedFrame):
                found.append(frame)
    return found


def _stacks(session: Session) -> Tried:
    """By whether walks come to their end."""
    frames, problems = 0, []
    for thread in session.threads:
        for number, frame in enumerate(session.stacks.walk(thread)):
            if number >= SAMPLE_FRAMES:
                break
            if isinstance(frame, StackEnd):
                problems.append(f"a stack ends early: {frame.reason}")
            else:
                frames += 1
                problem = frame.code.problem if isinstance(frame, ManagedFrame) and frame.code.method is None else None
                problems += [problem] if problem is not None else []
    if not frames or len(problems) >= frames:
        return "unavailable", f"not in this file: {problems[0] if problems else 'no stack has a managed frame'}"
    note = "the frames are whole; what they hold is in part not in this file"
    return ("partial", f"{len(problems)} of {frames} frames lack something: {problems[0]}") if problems else ("available", note)


def _code(session: Session) -> Tried:
    """By the methods of the frames on the stacks."""
    frames = _frames(session)
    named = sum(frame.method is not None for frame in frames)
    if not frames or named < len(frames):
        return _share(named, len(frames), "frames on stacks have a method", "") if frames else ("unavailable", "not in this file")
    return "partial", "the code on the stacks, other code where its structures happen to be in this file"


def _modules(session: Session) -> Tried:
    listed = session.module_list
    total = len(listed.modules) + len(listed.gaps)
    contexts = sum(module.binder is None and not module.in_default_context for module in listed.modules)
    if not listed.gaps and contexts:
        return "partial", f"the load contexts of {contexts} of {total} modules are not in this file"
    return _share(len(listed.modules), total, "modules can be read", listed.gaps[0].reason if listed.gaps else "")


def _statics(session: Session, threaded: bool) -> Tried:
    read = session.read_statics()
    found = sum((static.thread is not None) == threaded for static in read.statics)
    gaps = [gap for gap in read.gaps if (gap.thread is not None) == threaded]
    if not gaps and found:
        return _nameless(session) or ("available", "")
    return _share(found, found + len(gaps), "parts can be read", gaps[0].reason if gaps else "")


def _gapless(found: int, reasons: Sequence[str]) -> Tried:
    """Of what is read as a whole, but for gaps."""
    if not reasons:
        return "available", ""
    return "partial" if found else "unavailable", f"{'in part ' if found else ''}not in this file: {reasons[0]}"


def _handles(session: Session) -> Tried:
    read = session.read_handles()
    return _gapless(len(read), [gap.reason for gap in read.gaps])


def _finalizer_queue(session: Session) -> Tried:
    queue = session.read_finalizer_queue()
    return _gapless(len(queue.ready) + len(queue.waiting), [gap.reason for gap in queue.gaps])


def _memory_map(session: Session) -> Tried:
    heaps = read_loader_heaps(session.runtime, session.module_list.modules)
    return _gapless(len(heaps.heaps), [gap.reason for gap in heaps.gaps])


PARTS: dict[str, Callable[[Session], Tried]] = {
    "heap walk": _heap_walk,
    "types": _types,
    "type names": _types,
    "fields": _types,
    "modules": _modules,
    "statics": lambda session: _statics(session, threaded=False),
    "thread statics": lambda session: _statics(session, threaded=True),
    "handles": _handles,
    "finalizer queue": _finalizer_queue,
    "threads": lambda session: _gapless(len(session.threads), []),
    "locks": lambda session: _gapless(len(session.sync_blocks), []),
    "code": _code,
    "stacks": _stacks,
    "memory map": _memory_map,
}
