"""Signature blobs by hand: every construct, and what is no signature."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.errors import Malformed
from heaphound.runtime.metadata.heaps import compressed_signed, compressed_unsigned
from heaphound.runtime.metadata.type_names import signature_name, type_name, with_arguments
from heaphound.runtime.signatures import (
    field_type,
    local_variables,
    method_instantiation,
    method_signature,
    property_signature,
    type_specification,
)


class Names:
    """Names tokens by number."""

    def token_name(self, token: int) -> str:
        return {0x02000001: "Ns.A`1+B`1", 0x01000002: "Ns.List`1", 0x02000003: "Ns.Plain"}[token]

    def handle_name(self, address: int) -> str:
        return f"handle {address:#x}"


A_B, LIST, PLAIN = b"\x04", b"\x09", b"\x0c"  # TypeDefOrRef codes of the three tokens above


@pytest.mark.parametrize(
    ("blob", "name"),
    [
        (b"\x08", "System.Int32"),
        (b"\x12" + PLAIN, "Ns.Plain"),
        (b"\x15\x12" + LIST + b"\x01\x0e", "Ns.List<System.String>"),
        (b"\x15\x12" + A_B + b"\x02\x0e\x15\x12" + LIST + b"\x01\x1c", "Ns.A<System.String>+B<Ns.List<System.Object>>"),
        (b"\x13\x00", "T0"),
        (b"\x1e\x01", "M1"),
        (b"\x13\x07", "!7"),
        (b"\x1d\x1d\x05", "System.Byte[][]"),
        (b"\x14\x08\x03\x00\x00", "System.Int32[,,]"),
        (b"\x14\x08\x02\x02\x03\x04\x01\x7f", "System.Int32[,]"),
        (b"\x0f\x0f\x01", "System.Void**"),
        (b"\x10\x0d", "System.Double&"),
        (b"\x1f" + PLAIN + b"\x08", "System.Int32"),
        (b"\x1b\x00\x02\x01\x08\x0e", "delegate*<System.Int32, System.String, System.Void>"),
        (b"\x21\x10\x20\x00\x00\x00\x00\x00\x00", "handle 0x2010"),
    ],
)
def test_types(blob: bytes, name: str) -> None:
    assert type_name(type_specification(blob), Names(), ["T0"], ["M0", "M1"]) == name
    assert type_name(field_type(b"\x06" + blob), Names(), ["T0"], ["M0", "M1"]) == name


def test_methods() -> None:
    generic = method_signature(b"\x30\x01\x02\x01\x1e\x00\x08")
    assert (generic.has_this, generic.generic_arity, len(generic.parameters)) == (True, 1, 2)
    assert signature_name(generic, Names(), (), ["T"]) == "(T, System.Int32)"
    vararg = method_signature(b"\x05\x03\x01\x08\x41\x0e\x1c")
    assert (vararg.required_parameters, len(vararg.parameters)) == (1, 3)
    indexer = property_signature(b"\x28\x01\x0e\x08")
    assert (type_name(indexer.returns, Names()), len(indexer.parameters)) == ("System.String", 1)
    assert [type_name(item, Names()) for item in local_variables(b"\x07\x02\x45\x10\x05\x0e")] == ["System.Byte&", "System.String"]
    assert [type_name(item, Names()) for item in method_instantiation(b"\x0a\x01\x0e")] == ["System.String"]


@pytest.mark.parametrize(
    "blob", [b"", b"\x06", b"\x06\x1d", b"\x06\x12", b"\x06\x12\x03", b"\x06\x15\x08", b"\x06\x77", b"\x07\x08", b"\x06\x14\x08\x00"]
)
def test_no_field_signature(blob: bytes) -> None:
    with pytest.raises(Malformed):
        field_type(blob)


def test_depth_and_width_are_bounded() -> None:
    with pytest.raises(Malformed, match="deep"):
        type_specification(b"\x0f" * 100_000 + b"\x01")
    with pytest.raises(Malformed):
        type_specification(b"\x15\x12" + LIST + b"\xdf\xff\xff\xff")


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_malformed(blob: bytes) -> None:
    for decode in (field_type, method_signature, property_signature, local_variables, type_specification, method_instantiation):
        try:
            decode(blob)
        except Malformed:
            continue


@pytest.mark.parametrize(
    ("raw", "value"),
    # examples of ECMA-335 II.23.2
    [("03", 3), ("7f", 0x7F), ("8080", 0x80), ("ae57", 0x2E57), ("bfff", 0x3FFF), ("c0004000", 0x4000), ("dfffffff", 0x1FFFFFFF)],
)
def test_compressed_unsigned(raw: str, value: int) -> None:
    assert compressed_unsigned(bytes.fromhex(raw), 0) == (value, len(raw) // 2)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("06", 3),
        ("7b", -3),
        ("8080", 64),
        ("01", -64),
        ("c0004000", 8192),
        ("8001", -8192),
        ("dffffffe", 268435455),
        ("c0000001", -268435456),
    ],
)
def test_compressed_signed(raw: str, value: int) -> None:
    assert compressed_signed(bytes.fromhex(raw), 0) == (value, len(raw) // 2)


def test_arguments_go_to_the_part_that_declares_them() -> None:
    assert with_arguments("Ns.A`1+B`2", ["X", "Y", "Z"]) == "Ns.A<X>+B<Y, Z>"
    assert with_arguments("Ns.A`1+B", ["X"]) == "Ns.A<X>+B"
    assert with_arguments("Ns.Odd", ["X"]) == "Ns.Odd<X>"
