"""What Frames and GCFrames of a toy process protect, and chains that make no sense."""

from dataclasses import replace
from struct import pack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.frame_roots import FrameReferences, gc_frame_references
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.frame import ExplicitFrame
from tests.unit.runtime.gc_ref_map_writer import encode_map
from tests.unit.runtime.toy_process import ToyProcess

END = (1 << 64) - 1


def references(runtime: Runtime, frame: ExplicitFrame) -> list[Reference]:
    """The references of a Frame that names them itself: no code is looked up."""
    return FrameReferences(runtime, cast(CodeLocator, SimpleNamespace(tables=runtime.memory))).of(frame)


def gc_frame(toy: ToyProcess, thread: int, following: int, slots: int, count: int, *, interior: bool = False) -> int:
    """A GCFrame, written field by field: its count and mark have 32 bits."""
    frame = toy.allocate(48)
    for name, form, value in (
        ("Next", "<Q", following),
        ("Thread", "<Q", thread),
        ("ObjRefs", "<Q", slots),
        ("NumObjRefs", "<I", count),
        ("MaybeInterior", "<I", interior),
    ):
        toy.image.write(frame + toy.layout.offset("GCFrame", name), pack(form, value))
    return frame


def process(version: str, chain: Any = None) -> tuple[Runtime, Any]:
    """A process and a thread; `chain` makes its first GCFrame from (toy process, thread)."""
    toy = ToyProcess(version)
    thread = toy.allocate(2048)
    first = 0 if chain is None else chain(toy, thread)
    toy.put(thread + toy.layout.offset("Thread", "GCFrame"), first)
    return toy.runtime(), SimpleNamespace(address=thread)


@pytest.mark.parametrize("end", [0, END])
@pytest.mark.parametrize("version", ["6.0", "8.0", "9.0", "10.0"])
def test_gc_frames(version: str, end: int) -> None:
    slots: list[int] = []
    frames: list[int] = []

    def chain(toy: ToyProcess, thread: int) -> int:
        slots.extend((toy.words(0x5000, 0, 0x6000), toy.words(0x7008)))
        toy.next += 0x1000
        outer = gc_frame(toy, thread, end, slots[1], 1, interior=True)
        inner_at = toy.next
        toy.next = outer - 0x800  # the inner one lies further down the stack
        inner = gc_frame(toy, thread, outer, slots[0], 3)
        toy.next = inner_at
        frames.extend((inner, outer))
        return inner

    runtime, thread = process(version, chain)
    found = [(frame, one.address, one.value, one.interior) for frame, one in gc_frame_references(runtime, thread)]
    assert found == [
        (frames[0], slots[0], 0x5000, False),
        (frames[0], slots[0] + 16, 0x6000, False),
        (frames[1], slots[1], 0x7008, True),
    ]


def test_a_thread_without_gc_frames() -> None:
    runtime, thread = process("9.0")
    assert gc_frame_references(runtime, thread) == []


def test_a_gc_frame_of_another_thread_is_no_gc_frame() -> None:
    runtime, thread = process("9.0", lambda toy, thread: gc_frame(toy, thread + 8, 0, toy.words(1), 1))
    with pytest.raises(Malformed, match="belongs to thread"):
        gc_frame_references(runtime, thread)


def test_a_chain_in_a_circle_ends() -> None:
    def chain(toy: ToyProcess, thread: int) -> int:
        frame = gc_frame(toy, thread, 0, toy.words(1), 1)
        toy.image.write(frame + toy.layout.offset("GCFrame", "Next"), pack("<Q", frame))
        return frame

    runtime, thread = process("9.0", chain)
    with pytest.raises(Malformed, match="does not move up"):
        gc_frame_references(runtime, thread)


def test_the_count_of_a_gc_frame_is_bounded() -> None:
    runtime, thread = process("10.0", lambda toy, thread: gc_frame(toy, thread, 0, toy.words(1), LIMITS.gc_slots + 1))
    with pytest.raises(LimitExceeded):
        gc_frame_references(runtime, thread)


@pytest.mark.parametrize(("name", "count"), [("HelperMethodFrame_1OBJ", 1), ("HelperMethodFrame_2OBJ", 2), ("HelperMethodFrame_3OBJ", 3)])
def test_helper_frames_name_slots(name: str, count: int) -> None:
    toy = ToyProcess("8.0")
    slots = [toy.words(0x5000 + 0x100 * number) for number in range(3)]
    frame = toy.allocate(512)
    toy.image.write(frame + toy.layout.offset("HelperMethodFrame_1OBJ", "ObjRefs"), pack("<3Q", *slots))
    found = references(toy.runtime(), ExplicitFrame(frame, name, 0, None))
    assert [(one.address, one.value) for one in found] == [(slot, 0x5000 + 0x100 * number) for number, slot in enumerate(slots[:count])]


def test_a_helper_frame_with_an_array_of_slots() -> None:
    toy = ToyProcess("8.0")
    slots = toy.words(0x5000, 0, 0x7000)
    frame = toy.allocate(512)
    toy.image.write(frame + toy.layout.offset("HelperMethodFrame_1OBJ", "ObjRefs"), pack("<QI", slots, 3))
    found = references(toy.runtime(), ExplicitFrame(frame, "HelperMethodFrame_PROTECTOBJ", 0, None))
    assert [(one.address, one.value) for one in found] == [(slots, 0x5000), (slots + 16, 0x7000)]


def test_frames_without_references_and_those_that_cannot_be_told() -> None:
    runtime = ToyProcess("9.0").runtime()
    frame = ExplicitFrame(0x7F0000000000, "InlinedCallFrame", 0, None)
    assert references(runtime, frame) == []
    with pytest.raises(Malformed, match="PInvokeCalliFrame"):
        references(runtime, replace(frame, frame_type="PInvokeCalliFrame"))


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_helpers_of_ready_to_run_code_protect_their_first_arguments(flags: int) -> None:
    toy = ToyProcess("9.0")
    block = toy.words(0x5000, 0x6000, *[0] * 12)
    frame = toy.allocate(64)
    toy.image.write(frame + toy.layout.offset("DynamicHelperFrame", "DynamicHelperFrameFlags"), pack("<I", flags))
    found = references(toy.runtime(), ExplicitFrame(frame, "DynamicHelperFrame", 0, None, transition_block=block))
    assert [(one.address, one.value) for one in found] == [(block + 8 * bit, 0x5000 + 0x1000 * bit) for bit in (0, 1) if flags & 1 << bit]


def test_a_call_by_its_gc_reference_map() -> None:
    """The Frame has found the map: the first argument is a reference, the third interior, and so is the second word on the stack."""
    toy = ToyProcess("8.0")
    block = toy.words(0x5000, 0x1, 0x6008, *[0] * 10, 0x2, 0x7008)
    gc_map = toy.allocate(16)
    toy.image.write(gc_map, encode_map([(0, 1), (2, 2), (14, 2)]))
    frame = toy.allocate(96)
    toy.put(frame + toy.layout.offset("ExternalMethodFrame", "GCRefMap"), gc_map)
    found = references(toy.runtime(), ExplicitFrame(frame, "ExternalMethodFrame", 0, None, transition_block=block))
    assert [(one.address, one.value, one.interior) for one in found] == [
        (block, 0x5000, False),
        (block + 16, 0x6008, True),
        (block + 112, 0x7008, True),
    ]
