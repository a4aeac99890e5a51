"""From code addresses and delegates to methods, over one code heap and a few stubs."""

from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.layouts.load import layout_file
from heaphound.runtime.code import CodeLocator, DelegateTarget
from tests.unit.runtime.fake_types import CAT, FakeTypes
from tests.unit.runtime.test_methods import method_desc
from tests.unit.runtime.written_memory import WrittenImage, written_memory

GLOBAL, HEAP, MAP, HEADER, STUB, OTHER, NATIVE = 0x1000, 0x7F2200000000, 0x88000, 0x99000, 0x7F3300000000, 0x7F4400000000, 0x7F5500000000
CODE, END = HEAP + 0x120, HEAP + 0x2F9
PURR = "Zoo.Cat.Purr(System.Int32)"
DELEGATE, TARGET, FIRST = 0xA000, 0xA100, 0xA200


def locator() -> tuple[WrittenImage, CodeLocator, int]:
    """6.0: one code heap with one method at CODE and a block of stubs; a jump, a precode and a thunk elsewhere."""
    image, memory = written_memory()
    layout = layout_file("6.0.0", "x64", None).layout.with_globals({"ExecutionManagerCodeRangeList": GLOBAL}, "layout file")
    image.words(GLOBAL, 0x2000)
    image.words(0x2000, HEAP, HEAP + 0x10000, 0, 0, 0, 2, 0x3000)
    image.words(0x3000, 0, 0, HEAP, HEAP + 0x400, HEAP, MAP)
    image.write(MAP, pack("<256I", 0, 1 << 24, 0, 1 << 28, *bytes(252)))  # starts at 0x120 and 0x300
    address = method_desc(image, layout, CAT, 7, 0)
    image.write(HEAP, bytes(0x1000))
    image.words(CODE - 8, HEADER)
    image.words(HEAP + 0x300 - 8, 3)  # a block of stubs: the header is a small number
    image.write(HEADER, bytes(64))
    image.words(HEADER + layout.offset("RealCodeHeader", "MethodDesc"), address)
    image.write(HEADER + layout.offset("RealCodeHeader", "NumUnwindInfos"), pack("<7I", 2, 0x120, 0x200, 0, 0x200, END - HEAP, 0))
    image.write(STUB, b"\x48\xb8" + pack("<Q", CODE) + b"\xff\xe0" + bytes(64))
    image.write(OTHER, bytes.fromhex("488bc44989fb4d8b5320") + bytes(64))
    image.write(HEAP + 0x308, b"\x49\xba" + pack("<Q", address) + b"\x40\xe9" + bytes(4))
    types: Any = FakeTypes(memory, layout)
    runtime: Any = SimpleNamespace(memory=memory, layout=layout)
    return image, CodeLocator(runtime, types), address


@pytest.mark.parametrize(("offset", "kind"), [(0, "jit"), (0x60, "jit"), (0x1D8, "jit")])
def test_code_of_the_jit(offset: int, kind: str) -> None:
    _, code, address = locator()
    found = code.locate(CODE + offset)
    assert found is not None
    assert found.method is not None
    assert (found.kind, found.start, found.method.full_name, found.method.method_desc) == (kind, CODE, PURR, address)


def test_code_behind_the_end_of_the_last_method_before_it() -> None:
    """The nibble map names starts alone: between END and the block of stubs it still names the method at CODE."""
    _, code, _ = locator()
    found = code.locate(END + 4)
    assert found is not None
    assert (found.kind, found.method, code.resolve(END), code.resolve(END - 1)) == ("jit", None, None, code.resolve(CODE))
    assert found.problem is not None
    assert f"4 bytes behind the end of {PURR}" in found.problem


def test_code_of_a_method_whose_end_cannot_be_read() -> None:
    image, code, _ = locator()
    image.write(HEADER + 32, pack("<I", 0))
    found = code.locate(CODE + 4)
    assert found is not None
    assert found.method is not None
    assert (found.method.full_name, code.resolve(CODE + 4), code.resolve(CODE)) == (PURR, None, found.method)
    assert "claims 0 code fragments" in str(found.problem)


def test_a_precode_in_a_block_of_stubs() -> None:
    _, code, _ = locator()
    found = code.locate(HEAP + 0x308)
    assert found is not None
    assert found.method is not None
    assert (found.kind, found.method.full_name) == ("precode", PURR)


def test_a_jump_is_followed() -> None:
    _, code, _ = locator()
    found = code.locate(STUB)
    assert found is not None
    assert (found.kind, found.stub, found.start, found.method) == ("jit", "jump", CODE, code.resolve(CODE))


def test_jumps_in_a_circle_end() -> None:
    image, code, _ = locator()
    image.write(NATIVE, b"\xe9" + pack("<i", -5) + bytes(64))
    found = code.locate(NATIVE)
    assert found is not None
    assert found.method is None
    assert found.problem is not None


def test_code_whose_method_desc_is_broken_says_why() -> None:
    image, code, _ = locator()
    image.words(HEADER + 24, 0x1234)
    found = code.locate(CODE)
    assert found is not None
    assert (found.kind, found.method) == ("jit", None)
    assert found.problem is not None
    assert "0x1234" in found.problem


def test_neither_code_nor_stub() -> None:
    image, code, _ = locator()
    image.write(NATIVE, b"\x55\x48\x89\xe5" + bytes(64))
    assert code.locate(NATIVE) is None
    assert code.locate(0xDEAD0000) is None
    assert code.resolve_many([CODE, CODE, NATIVE]) == {CODE: code.resolve(CODE), NATIVE: None}


@pytest.mark.parametrize(
    ("fields", "kind", "target", "named"),
    [
        ((TARGET, CODE, 0), "closed", TARGET, True),
        ((DELEGATE, OTHER, CODE), "open", None, True),
        ((0, CODE, 0), "open", None, True),
        ((DELEGATE, OTHER, CODE, FIRST), "closed", FIRST, True),
        ((DELEGATE, OTHER, NATIVE, 0, 2**64 - 1), "unmanaged", None, False),
        ((TARGET, NATIVE, 0), "unknown", TARGET, False),
    ],
)
def test_delegates(fields: tuple[int, ...], kind: str, target: int | None, named: bool) -> None:
    _, code, _ = locator()
    found = code.resolve_delegate(DELEGATE, *fields)
    assert (found.kind, found.target, found.method is not None) == (kind, target, named)


def test_an_open_delegate_to_a_virtual_method() -> None:
    """Its code is a stub for virtual calls, also after such a stub was specialised; its invocation count is the MethodDesc."""
    image, code, address = locator()
    image.write(NATIVE, b"\x90\x48\xb8" + pack("<Q", 4) + b"\x50\x48\xb8" + bytes(64))
    found = code.resolve_delegate(DELEGATE, DELEGATE, OTHER, NATIVE, 0, address)
    assert found == DelegateTarget("open virtual", None, code.methods.method(address), NATIVE)
    assert code.resolve_delegate(DELEGATE, DELEGATE, OTHER, NATIVE, 0, 12).problem is not None
    stub = code.locate(NATIVE)
    assert stub is not None
    assert (stub.kind, stub.stub, stub.method) == ("stub", "virtual-call", None)


def test_internal_calls() -> None:
    """Native code of the runtime itself: known by its hash table alone, whatever its instructions are."""
    image, code, address = locator()
    layout = code.methods.types.layout.with_globals({"FCallMethods": 0xB0000}, "layout file")
    code = CodeLocator(SimpleNamespace(memory=code.methods.types.memory, layout=layout), code.methods.types)  # type: ignore[arg-type]
    image.write(0xB0000, bytes(127 * 8))
    image.words(0xB0000 + 8 * (NATIVE % 127), 0xC0000)
    image.words(0xC0000, 0xC1000, OTHER, 0)
    image.words(0xC1000, 0, NATIVE, address)
    found = code.locate(NATIVE)
    assert found is not None
    assert (found.kind, found.method) == ("internal call", code.methods.method(address))
    image.words(0xC1000, 0xC0000, 0, 0)
    circle = code.locate(NATIVE + 127)
    assert circle is not None
    assert circle.problem is not None
    assert "internal calls" in circle.problem
