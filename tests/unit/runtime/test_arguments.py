"""Places of arguments by the System V convention, GC reference maps, and maps that make no sense."""

from contextlib import suppress
from struct import pack
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.registers import Machine
from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.layouts.load import layout_file
from heaphound.runtime.arguments import hijacked_return
from heaphound.runtime.arguments.gc_ref_map import decode_map, find_map
from heaphound.runtime.arguments.hijacked_return import returned_references
from heaphound.runtime.arguments.leaves import Leaf
from heaphound.runtime.arguments.places import ArgumentKind, Piece
from heaphound.runtime.arguments.system_v import SystemVArguments, eightbytes
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.methods import Methods
from heaphound.runtime.ready_to_run import ReadyToRunImage
from heaphound.runtime.stacks.frame import ExplicitFrame
from heaphound.runtime.stacks.registers import RegisterContext
from tests.unit.runtime.gc_ref_map_writer import encode_map
from tests.unit.runtime.toy_process import ToyProcess
from tests.unit.runtime.written_memory import written_memory

STACK = 104  # size of a TransitionBlock: the stack arguments follow
OBJECT = ArgumentKind("System.Object", ElementType.OBJECT, 8, (Leaf(0, ElementType.OBJECT, 8),))
INTEGER = ArgumentKind("System.Int32", ElementType.I4, 4, (Leaf(0, ElementType.I4, 4),))
DOUBLE = ArgumentKind("System.Double", ElementType.R8, 8, (Leaf(0, ElementType.R8, 8),))
VOID = ArgumentKind("System.Void", ElementType.VOID, 0, ())


def struct(*leaves: tuple[int, int, int], size: int | None = None, name: str = "S") -> ArgumentKind:
    found = tuple(Leaf(*leaf) for leaf in leaves)
    return ArgumentKind(name, ElementType.VALUE_TYPE, size or max(leaf.offset + leaf.size_bytes for leaf in found), found)


PAIR = struct((0, ElementType.OBJECT, 8), (8, ElementType.I4, 4), size=16)
MIXED = struct((0, ElementType.R8, 8), (8, ElementType.OBJECT, 8))
FLOATS = struct((0, ElementType.R4, 4), (4, ElementType.R4, 4), (8, ElementType.R4, 4))
LARGE = struct((0, ElementType.OBJECT, 8), (8, ElementType.I8, 8), (16, ElementType.OBJECT, 8))


@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        (PAIR, ("integer", "integer")),
        (MIXED, ("float", "integer")),
        (FLOATS, ("float", "float")),
        (LARGE, None),
        (struct((0, ElementType.R4, 4), (4, ElementType.I4, 4)), ("integer",)),
        (struct((0, ElementType.U1, 1), (1, ElementType.I4, 4)), None),
        (struct((0, ElementType.VALUE_TYPE, 16)), None),  # a vector
        (struct((0, ElementType.VALUE_TYPE, 8), (8, ElementType.OBJECT, 8)), None),
        (ArgumentKind("Empty", ElementType.VALUE_TYPE, 1, ()), None),
        (struct((0, ElementType.U1, 1), size=16), ("integer", "integer")),
    ],
)
def test_eightbytes(kind: ArgumentKind, classes: tuple[str, ...] | None) -> None:
    assert eightbytes(kind) == classes
    assert SystemVArguments(0, STACK).result_buffer(kind) == (0 if classes is None else None)


def test_return_buffers_are_for_structs() -> None:
    assert [SystemVArguments(0, STACK).result_buffer(kind) for kind in (OBJECT, DOUBLE, VOID)] == [None, None, None]


def test_a_return_buffer_comes_behind_this() -> None:
    places = SystemVArguments(0, STACK)
    assert (places.hidden(), places.result_buffer(LARGE), places.hidden()) == (0, 8, 16)


def test_registers_then_the_stack() -> None:
    places = SystemVArguments(0, STACK)
    assert places.hidden() == 0
    found = [places.place(kind) for kind in (OBJECT, DOUBLE, INTEGER, OBJECT, OBJECT, OBJECT, OBJECT, INTEGER, OBJECT)]
    assert found == [
        (Piece(8, 0, 8),),
        (),
        *((Piece(offset, 0, 8),) for offset in (16, 24, 32, 40, STACK, STACK + 8, STACK + 16)),
    ]


def test_structs_go_into_registers_whole_or_onto_the_stack() -> None:
    places = SystemVArguments(0, STACK)
    found = [places.place(kind) for kind in (PAIR, MIXED, FLOATS, LARGE, PAIR, PAIR, OBJECT)]
    assert found == [
        (Piece(0, 0, 8), Piece(8, 8, 8)),
        (Piece(16, 8, 8),),
        (),
        (Piece(STACK, 0, 24),),
        (Piece(24, 0, 8), Piece(32, 8, 8)),
        (Piece(STACK + 24, 0, 16),),
        (Piece(40, 0, 8),),
    ]


def test_floats_beyond_the_eighth_are_on_the_stack() -> None:
    places = SystemVArguments(0, STACK)
    assert [places.place(DOUBLE) for _ in range(9)][7:] == [(), (Piece(STACK, 0, 8),)]
    assert places.place(MIXED) == (Piece(STACK + 8, 0, 16),)
    assert places.place(OBJECT) == (Piece(0, 0, 8),)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5)), max_size=20, unique_by=lambda entry: entry[0]))
@settings(max_examples=200)
def test_maps_come_back(entries: list[tuple[int, int]]) -> None:
    image, memory = written_memory()
    image.write(0x1000, encode_map(sorted(entries)) + b"\xff" * 8)
    assert decode_map(memory, 0x1000) == sorted(entries)


@given(st.binary(min_size=1, max_size=64))
@settings(max_examples=200)
def test_random_maps(data: bytes) -> None:
    image, memory = written_memory()
    image.write(0x1000, data)
    with suppress(Malformed, LimitExceeded, Unreadable):
        decode_map(memory, 0x1000)


def image_with(sections: bytes) -> ReadyToRunImage:
    return cast(ReadyToRunImage, SimpleNamespace(base=0x100000, section=lambda kind: sections if kind == 101 else None))


def test_the_map_of_a_cell() -> None:
    """Cells of eight bytes from RVA 0x2000 on; the maps lie one after another behind the table of offsets."""
    image, memory = written_memory()
    maps = [encode_map([(index, 1)]) for index in range(4)]
    image.write(0x105000, pack("<I", 4) + b"".join(maps))
    sections = pack("<IIHBBII", 0x1000, 0x100, 0, 0, 8, 0, 0) + pack("<IIHBBII", 0x2000, 32, 0, 2, 8, 0x3000, 0x5000)
    for index in range(4):
        found = find_map(memory, image_with(sections), 0x102000 + 8 * index)
        assert found is not None
        assert decode_map(memory, found) == [(index, 1)]
    assert find_map(memory, image_with(sections), 0x101000) is None
    assert find_map(memory, image_with(sections), 0x109000) is None
    assert find_map(memory, image_with(b""), 0x102000) is None


def test_import_sections_are_counted() -> None:
    _, memory = written_memory()
    with pytest.raises(LimitExceeded):
        find_map(memory, image_with(bytes(20 * 5000)), 0x102000)


TEXT = ArgumentKind("System.String", ElementType.STRING, 8, (Leaf(0, ElementType.STRING, 8),))
BY_REFERENCE = ArgumentKind("System.Object&", ElementType.BY_REFERENCE, 8, (Leaf(0, ElementType.BY_REFERENCE, 8),))
TWO = struct((0, ElementType.OBJECT, 8), (8, ElementType.STRING, 8))


FLOATS_BEFORE = struct((0, ElementType.R8, 8), (8, ElementType.R8, 8))
FURTHER_IN = 0x90  # of the stack of the method that returned: arm64 saves its return address anywhere in it


@pytest.mark.parametrize(
    ("machine", "kind", "registers"),
    [
        *[
            (machine, kind, registers)
            for machine in ("x64", "arm64")
            for kind, registers in [
                (TEXT, [(0, False)]),
                (BY_REFERENCE, [(0, True)]),
                (INTEGER, []),
                (VOID, []),
                (TWO, [(0, False), (1, False)]),
                (PAIR, [(0, False)]),
                (FLOATS_BEFORE, []),
                (LARGE, []),
            ]
        ],
        ("x64", MIXED, [(0, False)]),  # the double before the reference is in a register of its own
        ("arm64", MIXED, [(1, False)]),
    ],
)
def test_registers_of_a_diverted_return(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, kind: ArgumentKind, registers: list[tuple[int, bool]]
) -> None:
    """The thread's fields are found by what they hold."""
    toy = ToyProcess("9.0")
    toy.layout = layout_file("9.0.0", machine, None).layout
    ip, sp, method_desc = 0x7F00_0000_1234, 0x7FFC_0000_1008, 0x7F00_0000_5000
    place = sp - 8 if machine == "x64" else sp - FURTHER_IN
    values = toy.layout.offset("HijackArgs", "ReturnValue")
    arguments = toy.words(*[0] * (values // 8), 0x5000, 0x6008, *[0] * 8)
    thread = toy.words(*[7] * 30, ip, place, method_desc, *[0] * 8)
    frame = toy.allocate(48)
    toy.put(frame + toy.layout.offset("HijackFrame", "Thread"), thread)
    toy.put(frame + toy.layout.offset("HijackFrame", "HijackArgsPtr"), arguments)
    hijack = ExplicitFrame(frame, "HijackFrame", ip, RegisterContext.at(machine, ip, sp, {}, {}))
    asked: list[int] = []
    signature = SimpleNamespace(returns=kind)
    methods = SimpleNamespace(
        method=lambda address: asked.append(address) or SimpleNamespace(),
        signature=lambda _method: signature,
        arguments_of=lambda _method: ((), ()),
        module_of=lambda _method: None,
        types=SimpleNamespace(signatures=SimpleNamespace(resolve=lambda node, *_context: node)),
    )
    monkeypatch.setattr(hijacked_return, "argument_kind", lambda resolved: resolved)
    runtime = toy.runtime()
    found = returned_references(runtime.memory, toy.layout, cast(Methods, methods), hijack)
    assert asked == [method_desc]
    assert [(one.address, one.interior) for one in found] == [(arguments + values + 8 * at, interior) for at, interior in registers]


@pytest.mark.parametrize("machine", ["x64", "arm64"])
@pytest.mark.parametrize("place", [0x1000_0000, 4])
def test_a_thread_that_remembers_a_return_elsewhere(machine: Machine, place: int) -> None:
    """What lies above the stack that goes on, or is no place for a return address, is not this Frame's."""
    toy = ToyProcess("9.0")
    ip, sp = 0x7F00_0000_1234, 0x7FFC_0000_1008
    frame = toy.allocate(48)
    toy.put(frame + toy.layout.offset("HijackFrame", "Thread"), toy.words(*[7] * 30, ip, sp - 8 + place, 0x5000))
    hijack = ExplicitFrame(frame, "HijackFrame", ip, RegisterContext.at(machine, ip, sp, {}, {}))
    runtime = toy.runtime()
    with pytest.raises(Malformed, match="does not know"):
        returned_references(runtime.memory, runtime.layout, cast(Methods, SimpleNamespace(method=int)), hijack)


def test_a_thread_that_does_not_know_whose_return_was_diverted() -> None:
    toy = ToyProcess("8.0")
    frame = toy.allocate(48)
    toy.put(frame + toy.layout.offset("HijackFrame", "Thread"), toy.words(*[7] * 30))
    hijack = ExplicitFrame(frame, "HijackFrame", 1, RegisterContext.at("x64", 1, 8, {}, {}))
    runtime = toy.runtime()
    with pytest.raises(Malformed, match="does not know"):
        returned_references(runtime.memory, runtime.layout, cast(Methods, SimpleNamespace(method=int)), hijack)
