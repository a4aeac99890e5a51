"""Loaded images of a core: grouping, build-ids, and symbols by each kind of table."""

from pathlib import Path

import pytest

from heaphound.dump.core import Core, open_core
from heaphound.dump.elf_modules import ElfModule, elf_modules, group_mappings
from heaphound.dump.elf_symbols import gnu_hash, sysv_hash
from heaphound.dump.notes import MappedFile
from heaphound.errors import Malformed, Unreadable
from tests.dumpwriter import DumpWriter
from tests.elf_library import PAGE, elf_library

BASE = 0x7F0000000000
SYMBOLS = {f"symbol_{number}": 0x100 + 8 * number for number in range(9)} | {"imported": 0}


def opened(tmp_path: Path, image: bytes, pages: range | None = None) -> Core:
    return open_core(DumpWriter().library("/lib/libx.so", BASE, image, pages=pages).write(tmp_path / "core"))


def only(core: Core) -> ElfModule:
    [module] = elf_modules(core)
    return module


@pytest.mark.parametrize("hash_table", ["gnu", "sysv", None])
def test_symbols_by_each_kind_of_table(tmp_path: Path, hash_table: str | None) -> None:
    module = only(opened(tmp_path, elf_library(SYMBOLS, hash_table=hash_table)))
    for name, value in SYMBOLS.items():
        assert module.symbol(name) == (BASE + value if value else None), name
    assert module.symbol("symbol_") is None
    assert module.symbol("nothing of the kind") is None


def test_identity(tmp_path: Path) -> None:
    module = only(opened(tmp_path, elf_library(SYMBOLS, build_id=bytes(range(20)))))
    assert (module.path, module.name, module.base, module.end) == ("/lib/libx.so", "libx.so", BASE, BASE + 3 * PAGE)
    assert module.build_id == bytes(range(20)).hex()
    assert only(opened(tmp_path, elf_library(SYMBOLS, build_id=None))).build_id is None


def test_a_program_at_a_fixed_address(tmp_path: Path) -> None:
    image = elf_library({"main": 0x400123}, linked_at=0x400000)
    writer = DumpWriter().library("/app", 0x400000, image)
    module = only(open_core(writer.write(tmp_path / "core")))
    assert module.bias == 0
    assert module.symbol("main") == 0x400123


def test_dynamic_section_with_absolute_addresses(tmp_path: Path) -> None:
    """glibc writes absolute addresses over the linked ones."""
    image = bytearray(elf_library(SYMBOLS))
    for entry in range(8):
        place = 2 * PAGE + 16 * entry
        tag, value = (int.from_bytes(image[place + at : place + at + 8], "little") for at in (0, 8))
        if tag in (5, 6, 7, 0x6FFFFEF5):
            image[place + 8 : place + 16] = (value + BASE).to_bytes(8, "little")
    module = only(opened(tmp_path, bytes(image)))
    assert module.symbol("symbol_3") == BASE + SYMBOLS["symbol_3"]


def test_missing_pages_are_unreadable_not_absent(tmp_path: Path) -> None:
    """Without the page of the symbol tables there is no answer; saying None would mean that there is no such symbol."""
    module = only(opened(tmp_path, elf_library(SYMBOLS), pages=range(1)))
    assert module.build_id is not None
    with pytest.raises(Unreadable):
        module.symbol("symbol_3")


def test_a_library_without_its_first_page_is_listed(tmp_path: Path) -> None:
    module = only(opened(tmp_path, elf_library(SYMBOLS), pages=range(1, 3)))
    assert (module.base, module.headers, module.build_id) == (BASE, None, None)
    with pytest.raises(Unreadable):
        module.symbol("symbol_3")


def test_a_mapped_file_that_is_no_image_is_no_module(tmp_path: Path) -> None:
    writer = DumpWriter().mapped("/data/file.dat", 0x1000, 0x2000).segment(0x1000, b"no image".ljust(PAGE))
    writer.mapped("/data/absent.dat", 0x8000, 0x9000)
    assert elf_modules(open_core(writer.write(tmp_path / "core"))) == []


def test_a_bundle_behind_the_segments_is_no_part_of_the_image(tmp_path: Path) -> None:
    """A single-file program maps its assemblies out of its own file."""
    writer = (
        DumpWriter()
        .library("/app/bundle", BASE, elf_library(SYMBOLS))
        .mapped("/app/bundle", BASE + (1 << 30), BASE + (1 << 30) + PAGE, 0x9000)
    )
    module = only(open_core(writer.write(tmp_path / "core")))
    assert (module.base, module.end, len(module.mappings)) == (BASE, BASE + 3 * PAGE, 2)


def test_the_vdso_is_a_module(tmp_path: Path) -> None:
    vdso = 0x7FFFF7FC1000
    writer = DumpWriter().auxv(sysinfo_ehdr=vdso).segment(vdso, elf_library({"__vdso_time": 0x40}), flags=5)
    module = only(open_core(writer.write(tmp_path / "core")))
    assert module.path == "[vdso]"
    assert module.symbol("__vdso_time") == vdso + 0x40


def test_a_circular_chain_ends(tmp_path: Path) -> None:
    image = bytearray(elf_library({"one": 0x10, "two": 0x20}, hash_table="sysv"))
    buckets, chains = PAGE + 8, PAGE + 12
    image[buckets : buckets + 4] = (1).to_bytes(4, "little")
    image[chains + 4 : chains + 8] = (1).to_bytes(4, "little")
    with pytest.raises(Malformed, match="circle"):
        only(opened(tmp_path, bytes(image))).symbol("three")


def test_no_buckets(tmp_path: Path) -> None:
    image = bytearray(elf_library({"one": 0x10}))
    image[PAGE : PAGE + 4] = bytes(4)
    with pytest.raises(Malformed, match="no buckets"):
        only(opened(tmp_path, bytes(image))).symbol("one")


def test_a_file_loaded_twice_is_two_modules() -> None:
    rows = [(0x1000, 0), (0x3000, 0x2000), (0x9000, 0), (0xB000, 0x2000)]
    files = [MappedFile(start, start + 0x2000, offset, "/lib/x.so") for start, offset in rows]
    assert [[file.start for file in group] for group in group_mappings(files)] == [[0x1000, 0x3000], [0x9000, 0xB000]]


def test_known_hashes() -> None:
    """Values of the specifications' own examples."""
    assert gnu_hash(b"printf") == 0x156B2BB8
    assert sysv_hash(b"printf") == 0x077905A6
