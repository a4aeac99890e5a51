"""The IL decoder."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.errors import Malformed
from heaphound.runtime.il import BY_NAME, ONE_BYTE, TWO_BYTES, instructions
from tests.unit.metadata.images import REDIS, ZOO, image, metadata


def test_operands() -> None:
    code = (
        b"\x00\x1f\xff\x2b\x01\x00\x45" + struct.pack("<Iii", 2, 1, -2) + b"\xfe\x06\x01\x00\x00\x06\x22" + struct.pack("<f", 1.5) + b"\x2a"
    )
    found = [(item.offset, item.name, item.operand) for item in instructions(code)]
    assert found == [
        (0, "nop", None),
        (1, "ldc.i4.s", -1),
        (3, "br.s", 6),
        (5, "nop", None),
        (6, "switch", (20, 17)),
        (19, "ldftn", 0x06000001),
        (25, "ldc.r4", 1.5),
        (30, "ret", None),
    ]


@pytest.mark.parametrize("code", [b"\x28\x01", b"\xfe", b"\xfe\xff", b"\x24", b"\x45\xff\xff\xff\xff", b"\x21\x00"])
def test_broken_code(code: bytes) -> None:
    with pytest.raises(Malformed):
        list(instructions(code))


def test_opcodes_of_the_standard() -> None:
    # ECMA-335 III.1.2.1 defines 191 one-byte opcodes and 28 after 0xFE (`no.` included)
    assert (len(ONE_BYTE), len(TWO_BYTES)) == (191, 28)
    assert len(BY_NAME) == 219
    assert BY_NAME["callvirt"] == b"\x6f"
    assert BY_NAME["ldftn"] == b"\xfe\x06"


@pytest.mark.parametrize("path", [ZOO, REDIS])
def test_every_body_ends_at_an_instruction_and_branches_inside(path: Path) -> None:
    whole, data = image(path), metadata(path)
    for rid in range(1, data.tables.count(6) + 1):
        method = data.methoddef(rid)
        if not method.has_il:
            continue
        body = whole.method_body(method.rva)
        decoded = list(instructions(body.code))
        starts = {item.offset for item in decoded}
        assert decoded[-1].offset + decoded[-1].size_bytes == len(body.code)
        for item in decoded:
            if item.opcode.operand in ("b1", "b4"):
                assert item.operand in starts
        assert all(clause.try_start in starts and clause.handler_start in starts for clause in body.clauses)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_malformed(code: bytes) -> None:
    try:
        assert sum(item.size_bytes for item in instructions(code)) == len(code)
    except Malformed:
        return
