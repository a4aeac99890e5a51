"""Which methods take a continuation, by what lies behind their MethodDescs, and chunks that make no sense."""

from struct import pack

import pytest

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.async_methods import async_signature, check_chunk, takes_continuation
from tests.unit.runtime.toy_process import ToyProcess

NON_VTABLE, IMPLEMENTS, NATIVE_CODE, ASYNC = 0x08, 0x10, 0x20, 0x40
INSTANTIATED, DELEGATE = 5, 3
SIGNATURE = b"\x00\x01\x0e\x1c"


def desc(toy: ToyProcess, flags: int, kind: int = 0, signature: bytes | None = SIGNATURE, size: int | None = None) -> int:
    """A MethodDesc with those flags, and its AsyncMethodData where they say that it has some."""
    found = toy.allocate(128)
    toy.put(found + toy.layout.offset("MethodDesc", "Flags"), flags, 2)
    if flags & ASYNC:
        at = found + toy.layout.size("InstantiatedMethodDesc" if flags & 7 == INSTANTIATED else "MethodDesc")
        at += 8 * bool(flags & NON_VTABLE) + 16 * bool(flags & IMPLEMENTS) + 8 * bool(flags & NATIVE_CODE)
        text = toy.allocate(16)
        toy.image.write(text, signature or b"")
        toy.image.write(at, pack("<QQI", kind, text, len(signature or b"") if size is None else size))
    return found


@pytest.mark.parametrize("slots", [0, NON_VTABLE, NATIVE_CODE, NON_VTABLE | IMPLEMENTS | NATIVE_CODE])
@pytest.mark.parametrize("classification", [0, INSTANTIATED])
@pytest.mark.parametrize(
    ("kind", "takes", "own"), [(0, False, False), (1, False, False), (2, False, False), (3, True, True), (5, True, False)]
)
def test_kinds(slots: int, classification: int, kind: int, takes: bool, own: bool) -> None:
    toy = ToyProcess("10.0")
    method = desc(toy, classification | slots | ASYNC, kind)
    assert takes_continuation(toy.memory, toy.layout, method) is takes
    assert async_signature(toy.memory, toy.layout, method) == (SIGNATURE if own else None)


@pytest.mark.parametrize("version", ["8.0", "10.0"])
def test_other_methods(version: str) -> None:
    toy = ToyProcess(version)
    method = toy.allocate(64)
    toy.put(method + toy.layout.offset("MethodDesc", "Flags"), NON_VTABLE | (ASYNC if version == "8.0" else 0), 2)
    assert not takes_continuation(toy.memory, toy.layout, method)
    assert async_signature(toy.memory, toy.layout, method) is None


@pytest.mark.parametrize(("version", "flags"), [("11.0", ASYNC), ("10.0", ASYNC | DELEGATE)])
def test_what_is_not_known_is_said(version: str, flags: int) -> None:
    toy = ToyProcess(version)
    method = desc(toy, flags, 3)
    with pytest.raises(Malformed, match="not known"):
        takes_continuation(toy.memory, toy.layout, method)
    assert async_signature(toy.memory, toy.layout, method) is None


def test_a_signature_is_bounded() -> None:
    toy = ToyProcess("10.0")
    with pytest.raises(LimitExceeded):
        async_signature(toy.memory, toy.layout, desc(toy, ASYNC, 3, size=LIMITS.method_signature_bytes + 1))


def chunk(toy: ToyProcess, *methods: tuple[int, int, int], shift: int = 0) -> int:
    """A chunk of MethodDescs, each (flags, bytes that it takes, kind); the last lies `shift` units further on than it should."""
    found = toy.allocate(512)
    first = at = found + toy.layout.size("MethodDescChunk")
    for number, (flags, size, kind) in enumerate(methods):
        at += 8 * shift * (number == len(methods) - 1)
        toy.put(at + toy.layout.offset("MethodDesc", "ChunkIndex"), (at - first) // 8, 1)
        toy.put(at + toy.layout.offset("MethodDesc", "Flags"), flags, 2)
        if flags & ASYNC:
            toy.put(at + size - 24, kind, 4)
        at += size
    toy.put(found + toy.layout.offset("MethodDescChunk", "Size"), (at - first) // 8 - 1, 1)
    return found


def test_methods_of_a_chunk_follow_each_other() -> None:
    toy = ToyProcess("10.0")
    methods = ((0, 16, 0), (ASYNC | NON_VTABLE, 48, 2), (INSTANTIATED | NATIVE_CODE | ASYNC, 72, 3), (IMPLEMENTS, 32, 0))
    check_chunk(toy.memory, toy.layout, chunk(toy, *methods))
    check_chunk(toy.memory, toy.layout, chunk(toy, *methods, (DELEGATE, 40, 0)))
    for shift in (1, 2):
        with pytest.raises(Malformed, match="size of MethodDesc"):
            check_chunk(toy.memory, toy.layout, chunk(toy, *methods, shift=shift))
    with pytest.raises(Malformed, match="Kind"):
        check_chunk(toy.memory, toy.layout, chunk(toy, (ASYNC, 40, 9)))
