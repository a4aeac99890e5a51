"""Frames and stack roots of a core against the oracle's, thread by thread."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import heaphound
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.threads import ThreadState
from heaphound.session import Session
from tests.lab.helper_states import untold_registers, unwound_again
from tests.lab.misplaced_roots import explained_by, misplaced_frames
from tests.lab.oracle import Row, run_oracle
from tests.lab.runtimes import LabError
from tests.lab.stack_agreement import Agreement, StackDifference
from tests.lab.swapped_registers import SwappedRegisters
from tests.lab.unset_frames import unset_slots
from tests.lab.untold_arguments import frames_with_structs, untold_results

Key = tuple[Any, ...]
_SPARED = re.compile("the DAC would crash on the stack roots of thread ([0-9]+)(.*)")
_NOWHERE = (1 << 64) - 1  # the low end of a range that is empty (StackRange::Reset of src/coreclr/vm/exceptionhandling.cpp)
TO_BE_DIVERTED = "frame of a thread whose return is to be diverted"


def compare_stacks(core: Path) -> Agreement:
    """Compare every managed thread of a core with the oracle, which is asked now and not remembered. Raises LabError."""
    session: Session = heaphound.open(str(core)).session
    found = Agreement(interrupted_threads=_begin_where_the_oracle_does(session))
    try:
        theirs = {int(row["address"], 16): row for row in run_oracle(core, "threads")}
    except LabError as error:
        found.left_out.append(f"the whole core: {str(error).splitlines()[0]}")
        return found
    ended = _ended_threads(session, found)
    _compare_frames(session, theirs, found, ended)
    if session.table.gaps:
        found.left_out.append("roots of the whole core: a collection was moving objects, so that the heap cannot be walked")
        return found
    ours = _our_roots(session, found)
    sorter = _Sorter(session)
    for unwound in (each for thread in session.threads for each in unwound_again(session, thread)):
        found.unwound_helpers += 1
        found.agreed_helpers += unwound.agrees
    without, rows = _crashing_threads(core, session, found)
    compared = _compare_roots(session, ours, rows)
    for os_id in sorted(compared.keys() - without - ended):
        roots, agreed, differences = compared[os_id]
        explained, left = sorter.sort(differences)
        found.roots += roots
        found.agreed_roots += agreed
        found.scanned_roots += explained["scanned"]
        found.untold_roots += explained["untold register"]
        found.untold_arguments += explained["untold argument"]
        found.misplaced_roots += explained["misplaced"]
        found.unset_roots += explained["not set up"]
        found.differences.extend(left)
    return found


def _begin_where_the_oracle_does(session: Session) -> int:
    """How many threads a signal has interrupted in managed code whose handler has not made a Frame of it yet.

    The oracle's walk begins in the handler, and goes on at the next Frame, which is that of something further out; ours begins where the
    signal was. Both are compared from where the oracle begins.
    """
    count = sum(session.stacks.interruption(thread) is not None for thread in session.threads)
    session.stacks.interruption = lambda thread: None  # type: ignore[method-assign]  # noqa: ARG005
    return count


class _Sorter:
    """Tells differences of roots that are understood from those that are not."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._scanned = {hex(slot) for words in session.stack_roots.words for slot in words.slots.tolist()}
        self._unset = unset_slots(session)
        self._untold = {(thread.os_id, hex(sp), slot) for thread in session.threads for sp, slot in untold_registers(session, thread)}
        self._misplaced = misplaced_frames(session)
        self._swapped = SwappedRegisters(session)
        self._with_structs = frames_with_structs(session)
        self._untold_results = untold_results(session)

    def sort(self, differences: list[StackDifference]) -> tuple[Counter[str], list[StackDifference]]:
        """How many are understood, by why, and the others."""
        misplaced = explained_by(self._session, self._misplaced, differences)
        counts: Counter[str] = Counter()
        left = []
        for one in differences:
            if one.side == "oracle's" and one.slot in self._scanned:
                counts["scanned"] += 1
            elif one.side == "ours" and (one.os_id, one.sp, one.slot) in self._untold:
                counts["untold register"] += 1
            elif one.side == "ours" and (one.os_id, one.sp) in self._with_structs:
                counts["untold argument"] += 1
            elif one in misplaced or self._swapped.explain(one, differences):
                counts["misplaced"] += 1
            elif one.side == "ours" and (one.os_id, one.slot) in self._untold_results:
                counts["untold argument"] += 1
            elif one.side == "oracle's" and (one.os_id, one.sp, one.slot) in self._unset:
                counts["not set up"] += 1
            else:
                left.append(one)
        return counts, left


def _ended_threads(session: Session, found: Agreement) -> frozenset[int]:
    """Threads that ended while createdump was at work: the runtime lists them, and the core has no registers of them."""
    present = {thread.os_id for thread in session.core.threads}
    ended = frozenset(thread.os_id for thread in session.threads if thread.os_id and thread.os_id not in present)
    found.left_out.extend(f"thread {os_id}: the core has no registers of it" for os_id in sorted(ended))
    return ended


def _ask_roots(core: Path, without: frozenset[int]) -> list[Row]:
    skipped = ("--skip-threads", ",".join(map(str, sorted(without)))) if without else ()
    return [row for row in run_oracle(core, "roots", *skipped) if row["row"] == "total" or row["kind"] == "Stack"]


def _crashing_threads(core: Path, session: Session, found: Agreement) -> tuple[frozenset[int], list[Row]]:
    """Threads on whose roots the oracle's library ends the process, found by halving, and the roots of the others; those threads are
    compared by their frames alone."""
    everyone = [thread.os_id for thread in session.threads if thread.os_id]
    culprits: set[int] = set()
    for os_id in _suspects(session):
        if _answer(core, frozenset(everyone) - {os_id}) is None:
            _leave_out(found, session, culprits, os_id)
    while (rows := _answer(core, frozenset(culprits))) is None:
        suspects = [os_id for os_id in everyone if os_id not in culprits]
        while len(suspects) > 1:
            half = suspects[: len(suspects) // 2]
            suspects = suspects[len(half) :] if _answer(core, frozenset(everyone) - frozenset(half)) is not None else half
        if not suspects:
            raise LabError(f"the oracle cannot tell the roots of {core.name} even without any thread")
        _leave_out(found, session, culprits, suspects[0])
    for why in (why for row in rows if row["row"] == "total" for why in row["left_out"]):
        if (spared := _SPARED.match(why)) is not None:  # as the library would end on it
            culprits.add(int(spared[1]))
            found.left_out.append(f"thread {spared[1]}: the oracle leaves out its roots{spared[2]}")
    return frozenset(culprits), [row for row in rows if row["row"] == "root"]


def _suspects(session: Session) -> list[int]:
    """Threads on which the library of arm64 ends most often, so that they are asked about first, as a question takes seconds there: those
    that run an exception filter, and those that have thrown and went through no frame yet."""
    if session.core.machine != "arm64":
        return []
    memory, layout = session.runtime.memory, session.runtime.layout
    found = []
    for thread in session.threads:
        tracker = memory.pointer(thread.address + layout.offset("Thread", "ExceptionTracker")) if thread.os_id else 0
        begins = tracker and memory.pointer(tracker + layout.offset("ExceptionInfo", "StackLowBound")) == _NOWHERE
        if thread.os_id and (begins or _has_filter(session, thread.os_id)):
            found.append(thread.os_id)
    return found


def _leave_out(found: Agreement, session: Session, culprits: set[int], os_id: int) -> None:
    culprits.add(os_id)
    filters = ", it runs an exception filter" if _has_filter(session, os_id) else ""
    found.left_out.append(f"thread {os_id}: the oracle crashes on its roots{filters}")


def _answer(core: Path, without: frozenset[int]) -> list[Row] | None:
    try:
        return _ask_roots(core, without)
    except LabError:
        return None


def _has_filter(session: Session, os_id: int) -> bool:
    thread = next(thread for thread in session.threads if thread.os_id == os_id)
    return any(isinstance(frame, ManagedFrame) and frame.filter_funclet for frame in session.stacks.walk(thread))


def _compare_frames(session: Session, theirs: dict[int, Row], found: Agreement, ended: frozenset[int]) -> None:
    for thread in session.threads:
        if thread.os_id in ended:
            continue
        row = theirs.get(thread.address)
        ours: dict[Key, str] = {}
        for frame in session.stacks.walk(thread):
            _count(found, frame, first=not ours)
            found.unwound_frames += not isinstance(frame, StackEnd) and frame.unwound
            if isinstance(frame, StackEnd):
                found.differences.append(StackDifference(thread.os_id or 0, "end of the walk", "ours", hex(frame.sp), frame.reason))
            elif isinstance(frame, ManagedFrame):
                method = frame.code.method
                key = ("ManagedMethod", hex(frame.ip), hex(frame.sp), hex(method.method_desc) if method and method.method_desc else None)
                ours[key] = method.full_name if method else "?"
            else:
                ours["Runtime", hex(frame.ip), hex(frame.sp), frame.frame_type] = frame.frame_type
        oracle = dict(_oracle_frames(session, [] if row is None else row["frames"]))
        if not any(key[0] == "ManagedMethod" for key in ours):  # where such a thread was when a Frame was met, is a matter of taste
            ours, oracle = ({(key[0], key[2], key[3]): name for key, name in side.items()} for side in (ours, oracle))
        found.threads += bool(ours or oracle)
        found.frames += len(oracle)
        found.agreed_frames += len(ours.keys() & oracle.keys())
        what = TO_BE_DIVERTED if thread.state_bits & ThreadState.HIJACKED else "frame"
        _differ(found, thread.os_id or 0, what, ours, oracle)


def _count(found: Agreement, frame: Frame | StackEnd, first: bool) -> None:
    if isinstance(frame, ManagedFrame):
        name = frame.code.method.full_name if frame.code.method else "?"
        found.methods[f"{frame.code.kind}{' funclet' if frame.code.is_funclet else ''}: {name}"] += 1
        if first:
            found.stopped[f"{frame.code.kind}{' funclet' if frame.code.is_funclet else ''}"] += 1
        return
    if isinstance(frame, ExplicitFrame):
        found.explicit_frames[frame.frame_type] += 1
    if first:
        found.stopped[frame.frame_type if isinstance(frame, ExplicitFrame) else "end"] += 1


def _oracle_frames(session: Session, rows: Iterable[Row]) -> Iterator[tuple[Key, str]]:
    """Keys as ours. The oracle shows a Frame again at the managed frame behind it: the first of a run is the Frame.

    On 6.0 and earlier it gives a thread without managed frames one, in native code (its blind spot 18).
    """
    previous: Key | None = None
    for row in rows:
        runtime = row["kind"] == "Runtime"
        key = (row["kind"], row["ip"], row["sp"], row["name"] if runtime else row["md"])
        native = not runtime and row["md"] is None and session.code.section_at(int(row["ip"], 16)) is None
        if not native and not (runtime and previous is not None and previous[0] == "Runtime" and previous[2] == key[2]):
            yield key, row["method"] or row["name"] or "?"
        previous = key


def _our_roots(session: Session, found: Agreement) -> tuple[dict[int, Counter[Key]], dict[Key, str]]:
    """Roots by thread, and what holds each. What native code of the runtime protects has no frame, and the oracle lacks it."""
    ours: dict[int, Counter[Key]] = defaultdict(Counter)
    places: dict[Key, str] = {}
    for root in session.stack_roots.exact:
        if root.frame is None:
            continue
        reference = root.reference
        in_register = reference.register is not None and reference.offset is None
        place = reference.register if in_register else hex(reference.address or 0)
        key = (hex(root.frame.sp), place, hex(root.object), reference.interior, reference.pinned)
        ours[root.os_id][key] += 1
        places[key] = f"{_name(root.frame)} at {root.frame.ip:#x}"
    for words in session.stack_roots.words:
        found.conservative[re.sub("[0-9a-fx]*[0-9]+[0-9a-f]*", "N", words.reason)] += 1
    return ours, places


def _name(frame: Frame) -> str:
    if isinstance(frame, ExplicitFrame):
        return frame.frame_type
    return frame.code.method.full_name if frame.code.method else "?"


def _compare_roots(
    session: Session, ours: tuple[dict[int, Counter[Key]], dict[Key, str]], rows: list[Row]
) -> dict[int, tuple[int, int, list[StackDifference]]]:
    """By thread: roots of the oracle, those that agree, and the differences."""
    oracle: dict[int, Counter[Key]] = defaultdict(Counter)
    roots, places = ours[0], dict(ours[1])
    registers = _registers(session)
    protected = {(root.gc_frame, root.reference.address) for root in session.stack_roots.exact if root.frame is None}
    for row in rows:
        if row["frame"]["name"] == "GCFrame" and (int(row["frame"]["sp"], 16), int(row["address"], 16)) in protected:
            continue  # 3.1 chains GCFrames with the Frames; later the oracle does not know them
        key = _oracle_root(session, row, registers)
        if key is not None:
            oracle[row["thread"]][key] += 1
            places.setdefault(key, f"{row['frame']['method'] or row['frame']['name']} at {row['frame']['ip']}")
    compared = {}
    for os_id in oracle.keys() | roots.keys():
        mine, other = roots.get(os_id, Counter()), oracle[os_id]
        sides = (("ours", mine - other), ("oracle's", other - mine))
        left = [
            StackDifference(os_id, "root", side, str(key), places[key], str(key[0]), str(key[1]))
            for side, rest in sides
            for key in rest.elements()
        ]
        compared[os_id] = (other.total(), (mine & other).total(), left)
    return compared


def _oracle_root(session: Session, row: Row, registers: dict[tuple[int, str], dict[str, int]]) -> Key | None:
    """None for a byref into a stack, which the oracle takes for a root of what the slot there holds (its blind spot 19)."""
    in_register = row["address"] in (None, "0x0")  # where an inner frame saved the register, the oracle does not say
    register = (row["register"] or "").lower()  # X19 on arm64
    if row["interior"]:
        known = registers.get((row["thread"], row["frame"]["sp"]), {}) if in_register else {}
        value = known.get(register) if in_register else int(row["slot_value"], 16)
        if value is not None and session.table.index_containing(value) is None:
            return None
    return (_frame_sp(row, registers), register if in_register else row["address"], row["object"], row["interior"], row["pinned"])


def _frame_sp(row: Row, registers: dict[tuple[int, str], dict[str, int]]) -> str:
    """Of the root's frame. The library of arm64 keeps 32 bits of it behind an InlinedCallFrame (`(DWORD)` in UpdateRegDisplay of
    src/coreclr/vm/arm64/stubs.cpp, v8.0; gone later): then it is that of the frame with those bits."""
    told: str = row["frame"]["sp"]
    if row["frame"]["method"] is not None or (row["thread"], told) in registers:
        return told
    wanted = int(told, 16)
    same = [sp for thread, sp in registers if thread == row["thread"] and int(sp, 16) & 0xFFFFFFFF == wanted]
    return same[0] if len(same) == 1 else told


def _registers(session: Session) -> dict[tuple[int, str], dict[str, int]]:
    """Thread and stack pointer of each managed frame to its registers."""
    return {
        (thread.os_id or 0, hex(frame.sp)): dict(frame.context.values)
        for thread in session.threads
        for frame in session.stacks.walk(thread)
        if isinstance(frame, ManagedFrame)
    }


def _differ(found: Agreement, os_id: int, what: str, ours: dict[Key, str], oracle: dict[Key, str]) -> None:
    for side, left, right in (("ours", ours, oracle), ("oracle's", oracle, ours)):
        found.differences.extend(StackDifference(os_id, what, side, str(key), left[key]) for key in left if key not in right)
