"""GcInfo written in the test comes back as it was; broken GcInfo ends in an error of the package."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.gc_info.bits import BitReader
from heaphound.runtime.gc_info.encoding import ENCODINGS
from heaphound.runtime.gc_info.frame_slots import live_slots
from heaphound.runtime.gc_info.gc_info import FrameState, GcInfo, decode_gc_info
from heaphound.runtime.gc_info.slots import Slot
from heaphound.runtime.stacks.frame import FrameCode, ManagedFrame
from heaphound.runtime.stacks.registers import RegisterContext
from tests.lab.bounded import Bounded
from tests.unit.runtime.gc_info_writer import BASES, BitWriter, Live, Method, source_of, write

VERSIONS = (2, 3, 4)
CALLER = FrameState()
ACTIVE = FrameState(active=True)


def register(name: str, *, interior: bool = False, pinned: bool = False) -> Slot:
    return Slot(name, None, 0, interior, pinned)


def stack(offset: int, base: str = "frame register", *, interior: bool = False, pinned: bool = False) -> Slot:
    return Slot(None, base, offset, interior, pinned)  # type: ignore[arg-type]


def decoded(method: Method, version: int = 4, machine: str = "x64") -> GcInfo:
    return decode_gc_info(source_of(write(method, version, ENCODINGS[machine])), version, machine)


@given(st.integers(0, (1 << 62) - 1), st.integers(1, 10), st.integers(0, 13))
def test_numbers(value: int, base: int, before: int) -> None:
    writer = BitWriter()
    writer.write(0, before)
    writer.unsigned(value, base)
    writer.signed(value >> 1, base)
    writer.signed(-(value >> 1) - 1, base)
    reader = BitReader(source_of(writer.data()))
    reader.skip(before)
    assert (reader.unsigned(base), reader.signed(base), reader.signed(base)) == (value, value >> 1, -(value >> 1) - 1)
    assert reader.position == writer.position


TWO_CALLS = Method(
    code_length=100,
    registers=(register("rax", interior=True), register("rbx"), register("r12")),
    stack=(stack(8, "sp", pinned=True), stack(-24), stack(-16)),
    untracked=(stack(16, "caller sp", interior=True), stack(-40)),
    safe_points=(20, 60),
    liveness=((True, True, False, True, False, False), (False, False, True, False, True, True)),
)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_live_at_a_call(version: int) -> None:
    info = decoded(TWO_CALLS, version)
    rax, rbx, r12 = TWO_CALLS.registers
    third, first, second = TWO_CALLS.stack
    assert info.safe_points == (20, 60)
    assert info.live_slots(20, CALLER) == [rbx, third, *TWO_CALLS.untracked]  # rax does not survive the call
    assert info.live_slots(60, CALLER) == [r12, first, second, *TWO_CALLS.untracked]
    assert info.live_slots(40, CALLER) == list(TWO_CALLS.untracked)  # a call where nothing tracked is live has no entry
    if version == 4:
        assert info.live_slots(20, ACTIVE) == [rax, rbx, third, *TWO_CALLS.untracked]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_active_frame_between_calls_is_not_known(version: int) -> None:
    info = decoded(TWO_CALLS, version)
    assert not info.tells(40, ACTIVE)
    assert info.tells(20, ACTIVE)  # stopped where a call returned to
    assert info.tells(40, CALLER)
    assert decoded(replace(TWO_CALLS, registers=(), stack=(), liveness=()), version).tells(40, ACTIVE)  # nothing is tracked


def test_what_funclets_and_exceptions_change() -> None:
    info = decoded(replace(TWO_CALLS, flags=0x40 | 0x80))
    assert info.live_slots(20, FrameState(parent_of_funclet=True)) == []
    assert info.live_slots(20, FrameState(filter_funclet=True)) == [TWO_CALLS.registers[1], TWO_CALLS.stack[0]]
    assert info.live_slots(20, FrameState(aborted=True)) == list(TWO_CALLS.untracked)
    both = decoded(TWO_CALLS)  # without the flag parents report what is tracked
    assert both.live_slots(20, FrameState(parent_of_funclet=True)) == [TWO_CALLS.registers[1], TWO_CALLS.stack[0]]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fault_leaves_no_scratch_registers(version: int) -> None:
    """What is live right before the instruction that faulted, but for registers that only a method that goes on would use."""
    registers = (register("rax"), register("rbx"))
    timeline = ((False, False),) * 20 + ((True, True),) * 10 + ((False, False),) * 10
    info = decoded(Method(code_length=40, registers=registers, ranges=((0, 40),), timeline=timeline), version)
    assert info.live_slots(20, ACTIVE) == list(registers)
    assert info.live_slots(20, FrameState(aborted=True, faulted=True)) == [registers[1]]
    assert info.live_slots(30, FrameState(aborted=True, faulted=True)) == []


@pytest.mark.parametrize(("version", "while_it_runs", "torn_out"), [(2, True, True), (3, True, False), (4, False, False)])
def test_what_dies_with_a_call(version: int, while_it_runs: bool, torn_out: bool) -> None:
    """A register that is live up to the return address of a call at 30, in code that is fully interruptible."""
    method = Method(code_length=40, registers=(register("rbx"),), ranges=((0, 40),), timeline=((True,),) * 30 + ((False,),) * 10)
    info = decoded(method, version)
    assert bool(info.live_slots(30, CALLER)) is while_it_runs
    assert bool(info.live_slots(30, FrameState(aborted=True))) is torn_out


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("machine", ENCODINGS)
def test_every_part_of_the_header(version: int, machine: str) -> None:
    method = Method(code_length=4096, flags=0x3FD, outgoing=48, untracked=(stack(-8),))
    header = decoded(method, version, machine).header
    assert (header.code_length, header.outgoing_bytes, header.slim, header.variable_arguments) == (4096, 48, False, True)
    assert (header.gs_cookie_slot, header.psp_sym_slot, header.generic_context_slot) == (-32, -64, -384)
    assert (header.generic_context, header.reverse_pinvoke_slot, header.only_leaf) == ("this", -40, True)
    assert ENCODINGS[machine].registers[header.stack_base_register or 0] == {"x64": "rbp", "arm64": "fp"}[machine]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_slim_header(version: int) -> None:
    info = decoded(replace(TWO_CALLS, slim=True), version)
    assert info.header.slim
    assert info.live_slots(60, CALLER)[0] == TWO_CALLS.registers[2]


@st.composite
def methods(draw: st.DrawFn, machine: str) -> Method:
    """A method of an architecture, partly or fully interruptible."""
    shift = ENCODINGS[machine].instruction_shift
    names = {"x64": ("rax", "rbx", "rbp", "r12", "r14"), "arm64": ("x0", "x19", "x20", "x28", "lr")}[machine]
    flags = st.tuples(st.booleans(), st.booleans())

    def alike(slots: list[Slot]) -> tuple[Slot, ...]:
        """Slots as they can be written: behind one without flags all have none."""
        seen, found = False, []
        for slot in slots:
            seen = seen or not (slot.interior or slot.pinned)
            found.append(replace(slot, interior=slot.interior and not seen, pinned=slot.pinned and not seen))
        return tuple(found)

    registers = alike([register(name, interior=a, pinned=b) for name in names if draw(st.booleans()) for a, b in [draw(flags)]])
    pieces = []
    for _ in range(2):
        offsets = sorted(draw(st.lists(st.integers(-4000, 4000), max_size=12)))
        pieces.append(alike([stack(8 * o, draw(st.sampled_from(BASES)), interior=a, pinned=b) for o in offsets for a, b in [draw(flags)]]))
    tracked = len(registers) + len(pieces[0])
    length = draw(st.integers(8, 400))
    rows = st.tuples(*[st.booleans()] * tracked)
    full = draw(st.booleans())
    points: list[int] = [] if full else sorted(draw(st.sets(st.integers(1, length - 1), max_size=8)))
    ranges, timeline = [], []
    if full:
        edges = sorted(draw(st.sets(st.integers(0, length - 1), min_size=2, max_size=6)))
        ranges = [(a << shift, b << shift) for a, b in zip(edges[::2], edges[1::2], strict=False)]
        row: Live = draw(rows)
        for _ in range(sum(b - a >> shift for a, b in ranges)):
            if draw(st.integers(0, 9)) == 0:
                row = draw(rows)
            timeline.append(row)
    return Method(
        code_length=length << shift,
        registers=registers,
        stack=pieces[0],
        untracked=pieces[1],
        safe_points=tuple(point << shift for point in points),
        liveness=tuple(draw(rows) for _ in points),
        ranges=tuple(ranges),
        timeline=tuple(timeline),
        outgoing=8 * draw(st.integers(0, 9)),
        indirect=draw(st.booleans()),
        runs=draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data(), version=st.sampled_from(VERSIONS), machine=st.sampled_from(sorted(ENCODINGS)))
def test_random_methods_come_back(data: st.DataObject, version: int, machine: str) -> None:
    method = data.draw(methods(machine))
    encoding = ENCODINGS[machine]
    info = decode_gc_info(source_of(write(method, version, encoding)), version, machine)
    tracked = (*method.registers, *method.stack)
    assert (info.slots.tracked, info.slots.untracked) == (tracked, method.untracked)
    assert info.ranges == method.ranges
    assert info.safe_points == method.safe_points
    for point, live in zip(method.safe_points, method.liveness, strict=True):
        kept = [slot for slot, one in zip(tracked, live, strict=True) if one and slot.register not in encoding.scratch_registers]
        assert info.live_slots(point, CALLER) == [*kept, *method.untracked]
    place = 0
    for start, end in method.ranges:
        for offset in range(start, end, 1 << encoding.instruction_shift):
            expected = [slot for slot, one in zip(tracked, method.timeline[place], strict=True) if one] if tracked else []
            assert info.live_slots(offset, ACTIVE) == [*expected, *method.untracked]
            place += 1


@settings(max_examples=400, deadline=None)
@given(
    data=st.binary(max_size=200), version=st.sampled_from(VERSIONS), machine=st.sampled_from(sorted(ENCODINGS)), offset=st.integers(0, 300)
)
def test_any_bytes_end_in_slots_or_an_error(data: bytes, version: int, machine: str, offset: int) -> None:
    try:
        info = decode_gc_info(source_of(data), version, machine)
        for state in (CALLER, ACTIVE, FrameState(aborted=True), FrameState(filter_funclet=True)):
            assert len(info.live_slots(offset, state)) <= LIMITS.gc_slots
            info.tells(offset, state)
    except (Malformed, Unreadable):
        return


@settings(max_examples=200, deadline=None)
@given(data=st.data(), version=st.sampled_from(VERSIONS), at=st.floats(0, 1), flip=st.integers(1, 255), cut=st.booleans())
def test_a_broken_byte_ends_in_slots_or_an_error(data: st.DataObject, version: int, at: float, flip: int, cut: bool) -> None:
    written = bytearray(write(data.draw(methods("x64")), version, ENCODINGS["x64"]))
    position = int(at * (len(written) - 1))
    written[position] ^= flip
    try:
        info = decode_gc_info(source_of(bytes(written[:position] if cut else written)), version, "x64")
        for offset in (*info.safe_points[:20], *(start for start, _ in info.ranges[:20])):
            info.live_slots(offset, CALLER)
            info.live_slots(offset, ACTIVE)
    except (Malformed, Unreadable):
        return


def test_a_version_or_machine_that_is_not_known() -> None:
    with pytest.raises(Malformed, match="version 5"):
        decode_gc_info(source_of(bytes(16)), 5, "x64")
    with pytest.raises(Malformed, match="riscv"):
        decode_gc_info(source_of(bytes(16)), 4, "riscv")


def test_counts_are_bounded() -> None:
    writer = BitWriter()
    writer.write(1, 1)
    writer.write(0, 10)
    writer.unsigned(50, 8)
    writer.unsigned(0, 3)
    writer.unsigned(51, 2)
    with pytest.raises(Malformed, match="51 call sites in 50 bytes"):
        decode_gc_info(source_of(writer.data()), 4, "x64")
    slots = BitWriter()
    slots.write(1, 1)
    slots.write(0, 10)
    slots.unsigned(50, 8)
    slots.unsigned(0, 3)
    slots.unsigned(0, 2)
    slots.unsigned(0, 1)
    slots.write(1, 1)
    slots.unsigned(LIMITS.gc_slots + 1, 2)
    slots.write(0, 1)
    with pytest.raises(Malformed, match="slots, more than"):
        decode_gc_info(source_of(slots.data()), 4, "x64")


def test_empty_chunks_cost_no_step_each() -> None:
    """A hostile method claims 256 MB of interruptible code with 4 million chunks, none of which is stored."""
    writer = BitWriter()
    writer.write(1, 1)
    writer.write(0, 10)
    writer.unsigned(LIMITS.method_code_bytes, 8)
    writer.unsigned(0, 3)
    writer.unsigned(0, 2)
    writer.unsigned(1, 1)
    writer.unsigned(0, 6)
    writer.unsigned(LIMITS.method_code_bytes - 1, 6)
    writer.write(1, 1)
    writer.unsigned(1, 2)
    writer.unsigned(3, 3)
    writer.write(0, 3)
    writer.unsigned(1, 3)
    info = decode_gc_info(source_of(writer.data() + bytes(LIMITS.method_code_bytes // 512)), 4, "x64")
    with Bounded(10_000) as run:  # millions where each chunk is a step
        for offset in range(LIMITS.method_code_bytes - 100, LIMITS.method_code_bytes - 90):
            assert info.live_slots(offset, FrameState()) == []
    assert run.problem is None


def test_ranges_are_bounded() -> None:
    writer = BitWriter()
    writer.write(1, 1)
    writer.write(0, 10)
    writer.unsigned(LIMITS.gc_ranges * 4, 8)
    writer.unsigned(0, 3)
    writer.unsigned(0, 2)
    writer.unsigned(LIMITS.gc_ranges + 1, 1)
    with pytest.raises(LimitExceeded, match="interruptible ranges, more than"):
        decode_gc_info(source_of(writer.data() + bytes(1 << 20)), 4, "x64")


@pytest.mark.parametrize(("fp", "active", "known"), [(0x8010, True, True), (0x8040, True, False), (0x8040, False, True)])
def test_slots_of_a_frame_that_is_not_set_up_yet(fp: int, active: bool, known: bool) -> None:
    """All slots count from the frame register, which is still the caller's in the first instructions."""
    info = decoded(Method(code_length=100, untracked=(stack(24),), safe_points=(20,), liveness=((),), slim=True), 2, "arm64")
    code = FrameCode("jit", 0x1000, 0x1000, 0x1064, 0x1000, 0, 0, None, None)
    context = RegisterContext("arm64", {"pc": 0x1000 if active else 0x1015, "sp": 0x8000, "fp": fp})
    frame = ManagedFrame(code, context, RegisterContext("arm64", {"pc": 0x2000, "sp": 0x8040, "fp": 0x8040}), active)
    if known:
        assert live_slots(info, frame, filter_funclet=False) == [stack(24)]
    else:
        with pytest.raises(Malformed, match="not set up yet"):
            live_slots(info, frame, filter_funclet=False)
