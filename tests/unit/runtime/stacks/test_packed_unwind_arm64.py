"""Packed unwind data of arm64 spelled out as codes, against prologues written down by hand."""

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.errors import Malformed
from heaphound.runtime.runtime_functions import piece_bytes
from heaphound.runtime.stacks.packed_unwind_arm64 import packed_codes
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.unwind_arm64 import unwind
from heaphound.runtime.stacks.unwind_codes_arm64 import codes_from
from heaphound.runtime.stacks.unwind_data_arm64 import piece_size, read_unwind_data
from tests.unit.runtime.written_memory import written_memory

BASE, CODE, STACK, RETURN = 0x7F0000000000, 0x7F0000001000, 0x7FFC00000000, 0x7F0000001234
UNCHAINED, UNCHAINED_LR, CHAINED_SIGNED, CHAINED = range(4)


def packed(frame: int, integers: int = 0, vectors: int = 0, chain: int = CHAINED, homes: int = 0, flag: int = 1, words: int = 100) -> int:
    return flag | words << 2 | vectors << 13 | integers << 16 | homes << 20 | chain << 21 | frame // 16 << 23


SHAPES = {  # name: packed data, codes of the prologue from its last instruction on, codes of the epilogue
    "everything": (  # the example in the comment of RtlpUnwindFunctionCompact
        packed(8000, 10, 7, CHAINED_SIGNED, 1),
        "e1 40 c1e7 e3 e3 e3 e3 d990 d90e d88c d80a ca08 c986 c904 c882 cc19 fc e4",
        "40 c1e7 d990 d90e d88c d80a ca08 c986 c904 c882 cc19 fc e4",
    ),
    "fp and lr": (packed(32), "e1 83 e4", "83 e4"),
    "a large frame": (packed(1024), "e1 40 c040 e4", "40 c040 e4"),
    "a pair above fp and lr": (packed(48, 2), "e1 83 cc01 e4", "83 cc01 e4"),
    "three registers": (packed(48, 3), "e1 81 d082 cc03 e4", "81 d082 cc03 e4"),
    "a leaf with locals": (packed(64, chain=UNCHAINED), "04 e4", "04 e4"),
    "lr alone": (packed(16, chain=UNCHAINED_LR), "d561 e4", "d561 e4"),
    "x19 and lr": (packed(32, 1, chain=UNCHAINED_LR), "01 d600 01 e4", "01 d600 01 e4"),
    "three and lr": (packed(32, 3, chain=UNCHAINED_LR), "d642 cc03 e4", "d642 cc03 e4"),
    "two and lr": (packed(32, 2, chain=UNCHAINED_LR), "d2c2 cc03 e4", "d2c2 cc03 e4"),
    "one register": (packed(16, 1, chain=UNCHAINED), "d401 e4", "d401 e4"),
    "vectors": (packed(32, 0, 2, chain=UNCHAINED), "dc82 da03 e4", "dc82 da03 e4"),
    "homes without saved registers": (packed(96, homes=1), "e1 8b e4", "8b e4"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_codes(name: str) -> None:
    unwind_data, prolog, epilog = SHAPES[name]
    found = packed_codes(unwind_data)
    assert tuple(codes.hex() for codes in found) == (prolog.replace(" ", ""), epilog.replace(" ", ""))


@pytest.mark.parametrize(
    ("position", "sp"), [(0, STACK + 48), (1, STACK + 32), (2, STACK), (20, STACK), (97, STACK), (98, STACK + 32), (99, STACK + 48)]
)
def test_a_frame_is_undone_anywhere(position: int, sp: int) -> None:
    """stp x19, x20, [sp, #-16]!; stp fp, lr, [sp, #-32]!; mov fp, sp ... ldp fp, lr, [sp], #32; ldp x19, x20, [sp], #16; ret."""
    image, memory = written_memory()
    image.write(STACK, pack("<6Q", 0xF9, RETURN, 0, 0, 0xB19, 0xB20))
    saved = {"x19": 0xB19, "x20": 0xB20} if position in (0, 99) else {"x19": 0, "x20": 0}
    fp, lr = (0xF9, RETURN) if position in (0, 1, 2, 98, 99) else (STACK, 0x6666)
    context = RegisterContext("arm64", {"pc": CODE + 4 * position, "sp": sp, "fp": fp, "lr": lr, **saved})
    found = unwind(memory, context, BASE, CODE, BASE + packed(48, 2))
    assert (found.ip, found.sp) == (RETURN, STACK + 48)
    assert [found.value(name) for name in ("fp", "x19", "x20")] == [0xF9, 0xB19, 0xB20]


def test_a_fragment_has_neither_prologue_nor_epilogue() -> None:
    data = read_unwind_data(written_memory()[1], BASE, BASE + packed(32, flag=2))
    assert (data.is_fragment, data.epilogs, data.at_end, data.words) == (True, (), None, 100)
    assert piece_bytes(packed(32, flag=2), lambda _rva, _size: b"") == 400


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(Malformed, match="room"):
        packed_codes(packed(16, 10))
    with pytest.raises(Malformed, match="another function"):
        piece_bytes(3, lambda _rva, _size: b"")
    with pytest.raises(Malformed, match="no place for GcInfo"):
        piece_size(written_memory()[1], BASE, BASE + packed(32))


@given(st.integers(0, 2**30 - 1), st.sampled_from([1, 2]))
def test_every_packed_word_has_codes_that_exist(bits: int, flag: int) -> None:
    with suppress(Malformed):
        for codes in packed_codes(bits << 2 | flag):
            assert all(len(code.registers) <= 2 for code in codes_from(codes, 0))
            allocated = sum(code.allocated + (code.offset if code.operation == "allocate" else 0) for code in codes_from(codes, 0))
            assert allocated == 16 * (bits >> 21)
