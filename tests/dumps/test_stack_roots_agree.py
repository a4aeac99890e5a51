"""References on stacks against the oracle: the same slots and registers, with the same object, frame and flags."""

from collections import Counter
from typing import Any

import numpy as np

from heaphound.runtime.roots import STACK
from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame
from tests.dumps.conftest import Opened
from tests.lab.oracle import Row

Key = tuple[Any, ...]
GC_FRAME = "GCFrame"


def of_oracle(opened: Opened, row: Row) -> Key | None:
    """Thread, frame, place, object and flags of a root. None for a byref into a stack, which the oracle takes for a root of what
    the slot there holds (its blind spot 19), and for what native code protects, which it lists on 3.1 alone (compared below)."""
    if row["frame"]["name"] == GC_FRAME:
        return None
    if row["interior"] and row["slot_value"] and opened.dump.session.table.index_containing(int(row["slot_value"], 16)) is None:
        return None
    in_register = row["address"] in (None, "0x0")  # where an inner frame saved the register, the oracle does not say
    register = (row["register"] or "").lower()  # Fp, X19 on arm64
    place = register if in_register else row["address"]
    counted_from = (register, None if in_register else row["register_offset"]) if register else None
    return (row["thread"], row["frame"]["sp"], place, counted_from, row["object"], row["interior"], row["pinned"])


def ours(opened: Opened) -> list[Key]:
    """The same of the rows of `roots`; what native code protects has no frame there, and the oracle lacks it."""
    os_ids = {thread.managed_id: thread.os_id for thread in opened.dump.session.threads}
    found = []
    for row in opened.dump.roots(kind="stack").result.roots:
        if row.frame is None or not row.exact:
            continue
        in_register = row.register is not None and row.offset is None
        found.append(
            (
                os_ids[row.thread],
                hex(row.frame.sp),
                row.register if in_register else hex(row.address),
                None if row.register is None else (row.register, row.offset),
                hex(row.object),
                row.interior,
                row.pinned,
            )
        )
    return found


def oracle_keys(opened: Opened) -> Counter[Key]:
    rows = [row for row in opened.case.answers("roots") if row["row"] == "root" and row["kind"] == "Stack"]
    return Counter(key for row in rows if (key := of_oracle(opened, row)) is not None)


def behind_completed_helpers(opened: Opened) -> set[tuple[int, str]]:
    """Thread and stack pointer of each managed frame behind a runtime helper whose registers the runtime completed (MachState::_isValid).

    The data access library of arm64 reads the first such frame of a thread by the thread's own registers, which are native code's
    (`tests/lab/misplaced_roots.py`), so that it tells no slot that counts from the frame pointer. In Zoo that is one in
    WaitHandle.WaitOneNoCheck.
    """
    session = opened.dump.session
    layout, memory = session.runtime.layout, session.runtime.memory
    if not layout.has("MachineState", "IsValid"):
        return set()
    found = set()
    for thread in session.threads:
        completed = False
        for frame in session.stacks.walk(thread):
            if isinstance(frame, ManagedFrame) and completed:
                found.add((thread.os_id, hex(frame.sp)))
            completed = False
            if isinstance(frame, ExplicitFrame) and frame.frame_type.startswith("HelperMethodFrame"):
                state = frame.frame_address + layout.offset("HelperMethodFrame", "MachineState")
                completed = memory.u32(state + layout.offset("MachineState", "IsValid")) != 0
    return found


def test_stack_roots(opened: Opened) -> None:
    """The same roots; where a frame could not be decoded, its words stand in for them."""
    compare(opened)
    assert len(oracle_keys(opened)) > 50


def compare(opened: Opened) -> None:
    """The comparison of `test_stack_roots`, also of stacks that hold little."""
    oracle, found = oracle_keys(opened), Counter(ours(opened))
    lost = behind_completed_helpers(opened)
    by_frame_pointer = {key for key in found - oracle if key[3] is not None and key[3][0] == "fp" and (key[0], key[1]) in lost}
    assert sorted(str(key) for key in found - oracle if key not in by_frame_pointer) == []
    looked_through = {(words.os_id, hex(held)) for words in opened.dump.session.stack_roots.words for held in words.objects.tolist()}
    assert sorted(str(key) for key in oracle - found if (key[0], key[4]) not in looked_through) == []


def test_every_frame_was_decoded_where_the_dump_has_all_pages(opened: Opened) -> None:
    """The sample has only such pages of images as its process had touched; the other dumps have all that a walk needs."""
    stacks = opened.dump.session.stack_roots
    assert bool(stacks.words) == (opened.case.name == "sample")
    assert len(stacks.incomplete) == (1 if opened.case.name == "sample" else 0)


def test_native_code_protects_the_arguments_of_main(opened: Opened) -> None:
    """RunMain of the runtime (src/coreclr/vm/assembly.cpp) holds the array of arguments by a GCFrame of the main thread."""
    main = opened.dump.session.threads[0]
    held = [row for row in opened.dump.roots(kind="stack", thread=main.managed_id).result.roots if row.frame is None and row.exact]
    assert "System.String[]" in {row.type for row in held}
    assert all(row.address is not None for row in held)


def test_what_native_code_protects_where_the_oracle_lists_it(opened: Opened) -> None:
    """Until 3.1 a GCFrame is one of the Frames, and the oracle lists what it protects; later it does not see them."""
    rows = [
        row for row in opened.case.answers("roots") if row["row"] == "root" and row["kind"] == "Stack" and row["frame"]["name"] == GC_FRAME
    ]
    oracle = {(row["thread"], row["frame"]["sp"], row["address"], row["object"]) for row in rows}
    roots = [root for root in opened.dump.session.stack_roots.exact if root.gc_frame is not None]
    ours = {(root.os_id, hex(root.gc_frame), hex(root.reference.address), hex(root.object)) for root in roots}
    assert oracle == (ours if "-3.1." in opened.case.name else set())


def test_the_slot_holds_the_reference(opened: Opened) -> None:
    """By the bytes of the dump: an exact slot points to its object's start, or into it where it is interior."""
    session = opened.dump.session
    for root in session.stack_roots.exact:
        if root.reference.address is not None:
            assert session.runtime.memory.pointer(root.reference.address) == root.reference.value
        if not root.reference.interior:
            assert root.reference.value == root.object


def test_kinds_add_up(opened: Opened) -> None:
    result = opened.dump.roots(limit=10).result
    assert len(result.roots) == 10
    assert sum(row.count for row in result.kinds) == result.left_out + 10 == len(opened.dump.session.roots)
    assert {row.kind for row in result.kinds} >= {"static-field", "strong-handle", "pinned-handle", "stack"}
    for row in result.kinds:
        assert 0 < row.objects <= row.count
        assert row.exact <= row.count
    inexact = sum(len(words.objects) for words in opened.dump.session.stack_roots.words)
    assert sum(row.count - row.exact for row in result.kinds) == inexact


def test_exact_roots_reach_what_only_a_stack_holds(opened: Opened) -> None:
    """An object that a frame holds is live by the exact roots, not by the words that only look like references."""
    session = opened.dump.session
    held = session.table.indices_of(np.array([root.object for root in session.stack_roots.exact], dtype=np.uint64))
    assert np.isin(held, session.graph.exact_roots).all()


def test_what_a_thread_alone_retains(opened: Opened) -> None:
    """By the definition: bytes that all exact roots reach, less those that all but this thread's frames reach."""
    session = opened.dump.session
    graph, roots = session.graph.graph, session.roots
    indices = session.table.indices_containing(roots.objects)
    sizes = session.table.sizes()
    threads = np.zeros(len(roots), dtype=np.uint64)
    threads[(roots.kinds == STACK) & roots.exact()] = [root.os_id for root in session.stack_roots.exact]
    everything = graph.reachable(np.unique(indices[roots.exact()]))
    told = {row.os_id: row.retained_bytes for row in opened.dump.threads(retained=True).result.threads if row.retained_bytes is not None}
    assert told.keys() == {root.os_id for root in session.stack_roots.exact}
    for os_id, retained_bytes in told.items():
        without = graph.reachable(np.unique(indices[roots.exact() & (threads != os_id)]))
        assert retained_bytes == int(sizes[everything & ~without].sum())
    assert max(told.values()) > 0
