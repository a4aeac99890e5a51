"""Encoded instantiations, and the way from an address to a method in an image."""

from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.errors import LimitExceeded, Malformed
from heaphound.runtime.ready_to_run import CompiledMethod, ReadyToRunImage
from heaphound.runtime.ready_to_run_signatures import read_method_signature, skip_method_signature
from tests.unit.runtime.test_native_format import array, unsigned


class Names:
    """Module 0 has List`1 as TypeDef 5; module 2 has Cat as TypeDef 9."""

    def type_token_name(self, module_index: int, token: int) -> str:
        return {(0, 0x02000005): "Ns.List`1", (2, 0x02000009): "Zoo.Cat", (0, 0x01000003): "Ns.Point"}[module_index, token]


LIST, CAT, POINT = b"\x12\x14", b"\x3f\x02\x12\x24", b"\x11\x0d"


def test_a_method_of_an_instantiated_type() -> None:
    found = read_method_signature(b"\x40\x15" + LIST + b"\x01\x02\x1f", 0, Names())
    assert (found.owner, found.token, found.arguments, found.end) == ("Ns.List<System.Boolean>", 0x0600001F, (), 7)


def test_arguments_of_another_module_leave_the_rest_alone() -> None:
    """The prefix counts for the next type only: the second argument is of the image's own module again."""
    found = read_method_signature(b"\x44\x15" + LIST + b"\x01" + CAT + b"\x07" + b"\x02\x3e\x1d" + POINT, 0, Names())
    assert (found.owner, found.token, found.arguments) == ("Ns.List<Zoo.Cat>", 0x06000007, ("System.__Canon", "Ns.Point[]"))


def test_a_generic_type_of_another_module_has_arguments_of_this_one() -> None:
    class Other(Names):
        def type_token_name(self, module_index: int, token: int) -> str:
            return "Other.Set`1" if module_index == 3 else super().type_token_name(module_index, token)

    found = read_method_signature(b"\x40\x15\x3f\x03" + LIST + b"\x01" + POINT + b"\x07", 0, Other())
    assert found.owner == "Other.Set<Ns.Point>"


def test_a_member_reference_in_a_module_that_is_named_first() -> None:
    found = read_method_signature(b"\x80\xd0\x02\x12\x24\x07", 0, Names())
    assert (found.module_index, found.owner, found.token) == (2, "Zoo.Cat", 0x0A000007)


@pytest.mark.parametrize("data", [b"", b"\x40", b"\x40\x15\x12", b"\x40\x12\x17\x01", b"\x40\x7e\x01", b"\x48\x12\x14\x01"])
def test_what_is_no_signature(data: bytes) -> None:
    with pytest.raises(Malformed):
        skip_method_signature(data, 0)


def test_nesting_without_end() -> None:
    with pytest.raises(LimitExceeded):
        skip_method_signature(b"\x40" + b"\x1d" * 5000, 0)


BASE = 0x7F0000000000
METHODS = {0: unsigned(0 << 1), 3: unsigned(2 << 1)}  # MethodDef rows 1 and 4; the second RUNTIME_FUNCTION is a funclet of row 1
FUNCTIONS = [(0x1000, 0x1040), (0x1040, 0x1050), (0x1060, 0x10A0), (0x10B0, 0x10C0)]
INSTANCE = b"\x40\x15" + LIST + b"\x01\x02\x1f" + unsigned(3 << 1)


def image(functions: list[tuple[int, int]], machine: str = "x64") -> ReadyToRunImage:
    """On arm64 the first two functions have their lengths in packed unwind data, the others in an .xdata record each, from RVA 0x800 on."""
    instances = bytes([0, 2, 4, 0xAA, (5 - 4) << 1]) + INSTANCE  # one bucket with one entry, whose payload follows it
    tables = {
        102: b"".join(
            pack("<III", begin, end, 0)
            if machine == "x64"
            else pack(
                "<II", begin, 1 | end - begin if number < 2 else 0x800 + 4 * number
            )  # bits 2 to 12 count words, so bytes fit as they are
            for number, (begin, end) in enumerate(functions)
        ),
        103: array(METHODS),
        106: bytes(0x20),
        109: instances,
    }
    content, sections, at = b"", b"", 0x2000
    for kind, data in tables.items():
        sections += pack("<III", kind, at + len(content), len(data))
        content += data
    header = b"RTR\0" + pack("<HHII", 9, 3, 0, len(tables)) + sections
    blob = bytearray(header + bytes(0x2000 - len(header)) + content)
    for number, (begin, end) in enumerate(functions):
        blob[0x800 + 4 * number : 0x804 + 4 * number] = pack("<I", (end - begin) // 4 | 1 << 27)
    source: Any = SimpleNamespace(
        base=BASE, is_arm64=machine == "arm64", managed_native_header=(0, len(header)), read=lambda rva, size: bytes(blob[rva : rva + size])
    )
    return ReadyToRunImage(source)


@pytest.mark.parametrize("machine", ["x64", "arm64"])
@pytest.mark.parametrize(
    ("offset", "wanted"),
    [
        (0x0FFF, None),
        (0x1000, CompiledMethod(BASE + 0x1000, 1, None)),
        (0x104F, CompiledMethod(BASE + 0x1000, 1, None)),
        (0x1050, None),
        (0x1060, CompiledMethod(BASE + 0x1060, 4, None)),
        (0x10B4, CompiledMethod(BASE + 0x10B0, None, INSTANCE[:7])),
        (0x10C0, None),
    ],
)
def test_method_at(machine: str, offset: int, wanted: CompiledMethod | None) -> None:
    assert image(FUNCTIONS, machine).method_at(BASE + offset) == wanted


@pytest.mark.parametrize("machine", ["x64", "arm64"])
def test_a_method_reaches_to_the_end_of_its_last_funclet(machine: str) -> None:
    found = image(FUNCTIONS, machine)
    method = found.method_at(BASE + 0x1000)
    assert method is not None
    assert (found.method_size(method), found.method_count()) == (0x50, 3)


def test_thunks_are_told_from_code() -> None:
    found = image(FUNCTIONS)
    start = BASE + found.sections[106][0]
    assert [found.is_delay_load_thunk(start + offset) for offset in (-1, 0, 0x1F, 0x20)] == [False, True, True, False]


def test_ranges_out_of_order_are_refused() -> None:
    with pytest.raises(Malformed, match="ascending"):
        image(FUNCTIONS[::-1]).method_at(BASE + 0x1000)
