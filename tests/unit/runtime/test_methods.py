"""MethodDescs in chunks, written as 6.0, 8.0 and 9.0 lay them out."""

from typing import Any

import pytest

from heaphound.errors import Malformed
from heaphound.layouts.load import layout_file
from heaphound.layouts.schema import Layout
from heaphound.runtime.methods import Method, Methods
from tests.unit.runtime.fake_types import BOX, CAT, MODULE, FakeTypes
from tests.unit.runtime.written_memory import WrittenImage, written_memory

CHUNK = 0x7F0000001000
VERSIONS = ["6.0.0", "8.0.0", "9.0.0", "10.0.0"]


def method_desc(image: WrittenImage, layout: Layout, owner: int, rid: int, classification: int, index: int = 2) -> int:
    """A chunk with one MethodDesc, `index` units of 8 bytes into it; its address."""
    bits = layout.constant("MethodDescTokenRemainderBitCount")
    size = layout.size("MethodDescChunk")
    image.write(CHUNK, bytes(size + 8 * index + 64))
    image.words(CHUNK + layout.offset("MethodDescChunk", "MethodTable"), owner)
    image.write(CHUNK + layout.offset("MethodDescChunk", "Size"), bytes([index + 5]))
    image.write(CHUNK + layout.offset("MethodDescChunk", "FlagsAndTokenRange"), (rid >> bits).to_bytes(2, "little"))
    address = CHUNK + size + 8 * index
    flags3 = rid & ((1 << bits) - 1) | (1 << 15 if bits < 14 else 0)  # a flag above the token's bits must not disturb it
    image.write(address, flags3.to_bytes(2, "little"))
    image.write(address + layout.offset("MethodDesc", "ChunkIndex"), bytes([index]))
    image.write(address + layout.offset("MethodDesc", "Flags"), (classification | 0x28).to_bytes(2, "little"))
    return address


def prepared(version: str) -> tuple[WrittenImage, Layout, Any]:
    image, memory = written_memory()
    layout = layout_file(version, "x64", None).layout
    return image, layout, Methods(FakeTypes(memory, layout))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_method(version: str) -> None:
    image, layout, methods = prepared(version)
    address = method_desc(image, layout, CAT, 7, 0)
    expected = Method("Zoo.Cat.Purr(System.Int32)", "Purr", "Zoo.Cat", address, CAT, MODULE, 0x06000007, "managed")
    assert methods.method(address) == expected
    assert methods.method(address).rid == 7


@pytest.mark.parametrize("version", VERSIONS)
def test_a_generic_method_of_a_generic_type(version: str) -> None:
    image, layout, methods = prepared(version)
    address = method_desc(image, layout, BOX, 0x4009, 5)
    image.words(address + layout.offset("InstantiatedMethodDesc", "PerInstInfo"), 0x8000)
    image.write(address + layout.offset("InstantiatedMethodDesc", "NumGenericArgs"), b"\1\0")
    image.words(0x8000, 0xABC)
    found = methods.method(address)
    assert (found.full_name, found.token) == ("Zoo.Box<System.String>.Put<Ns.Tabc>(System.String, Ns.Tabc)", 0x06004009)
    assert found.generic_arguments == ("Ns.Tabc",)


@pytest.mark.parametrize("version", VERSIONS)
def test_dynamic_methods(version: str) -> None:
    image, layout, methods = prepared(version)
    for flag, name, kind in (
        ("LCGMethod", "DynamicClass.Dyn0(System.Int32)", "dynamic"),
        ("ILStub", "ILStubClass.Dyn0(System.Int32)", "il stub"),
    ):
        address = method_desc(image, layout, CAT, 0, 7)
        image.words(address + layout.offset("DynamicMethodDesc", "MethodName"), 0x9000)
        image.words(address + layout.offset("StoredSigMethodDesc", "Sig"), 0x9100)
        image.write(address + layout.offset("StoredSigMethodDesc", "cSig"), (4).to_bytes(4, "little"))
        flags = layout.constant("DynamicMethodDescFlags.LCGMethod") if flag == "LCGMethod" else 0x8000  # IL stubs are the others
        image.write(address + layout.offset("StoredSigMethodDesc", "ExtendedFlags"), flags.to_bytes(4, "little"))
        image.write(0x9000, b"Dyn0\0" + bytes(64))
        image.write(0x9100, b"\x00\x01\x08\x08")
        found = Methods(methods.types).method(address)
        assert (found.full_name, found.kind, found.is_dynamic, found.token) == (name, kind, True, 0)


def test_a_signature_that_is_cut_short_leaves_the_name() -> None:
    image, layout, methods = prepared("8.0.0")
    assert methods.method(method_desc(image, layout, CAT, 8, 0)).full_name == "Zoo.Cat.Torn(?)"


def test_what_is_no_method_desc() -> None:
    image, layout, methods = prepared("8.0.0")
    address = method_desc(image, layout, CAT, 7, 0)
    with pytest.raises(Malformed, match="not aligned"):
        methods.method(address + 4)
    image.write(CHUNK + layout.offset("MethodDescChunk", "Size"), b"\0")
    with pytest.raises(Malformed, match="its chunk ends before it"):
        methods.method(address)
    image.words(CHUNK, 0x1234)
    with pytest.raises(Malformed, match="no MethodTable"):
        methods.method(address)


def test_a_row_without_method_desc_is_named_by_metadata() -> None:
    _, layout, methods = prepared("8.0.0")
    found = methods.defined(methods.types.module, 7)
    assert (found.full_name, found.method_desc, found.method_table, found.token) == ("Zoo.Cat.Purr(System.Int32)", None, CAT, 0x06000007)
    assert layout.has("Module", "MethodDefToDescMap")
