"""Native functions by name: from memory, from the same file on disk, and not from another."""

from pathlib import Path
from struct import pack

import pytest

from heaphound.dump.core import open_core
from heaphound.dump.disk_file import FileFinder
from heaphound.dump.elf_modules import elf_modules
from heaphound.dump.native_symbols import NativeSymbols, Symbol
from tests.dumpwriter import DumpWriter
from tests.elf_library import elf_library

BASE = 0x7F0000000000
SYMBOLS = {"first": 0x100, "_ZN4Shop5StoreC1Ei": 0x110, "imported": 0}  # the writer gives each 8 bytes


def named(directory: Path, image: bytes, ip: int, active: bool = True, *, disk: bytes | None = None) -> Symbol | None:
    core = open_core(DumpWriter().library("/lib/libx.so", BASE, image).write(directory / "core"))
    if disk is not None:
        (directory / "libx.so").write_bytes(disk)
    (module,) = elf_modules(core)
    files = FileFinder([directory] if disk is not None else [], use_original_paths=False)
    return NativeSymbols(files).find(module, BASE + ip, active)


def with_symtab(image: bytes, **symbols: int) -> bytes:
    """The same file with section headers and a full table of symbols of 16 bytes each."""
    names, table = b"\0", bytes(24)
    for name, value in symbols.items():
        table += pack("<IBBHQQ", len(names), 0x02, 0, 1, value, 16)
        names += name.encode() + b"\0"
    start = len(image)
    sections = bytes(64) + pack("<IIQQQQIIQQ", 0, 2, 0, 0, start, len(table), 2, 0, 8, 24)
    sections += pack("<IIQQQQIIQQ", 0, 3, 0, 0, start + len(table), len(names), 0, 0, 1, 0)
    head = image[:40] + pack("<Q", start + len(table) + len(names)) + image[48:58] + pack("<HH", 64, 3) + image[62:64]
    return head + image[64:] + table + names + sections


@pytest.mark.parametrize("hash_table", ["gnu", "sysv", None])
def test_by_the_dynamic_symbols(tmp_path: Path, hash_table: str | None) -> None:
    image = elf_library(SYMBOLS, hash_table=hash_table)
    assert named(tmp_path, image, 0x103) == Symbol("first", 3)
    assert named(tmp_path, image, 0x110) == Symbol("Shop::Store::Store", 0)
    assert named(tmp_path, image, 0x108) is None  # behind its end
    assert named(tmp_path, image, 0x50) is None


def test_a_return_address_belongs_to_the_call_before_it(tmp_path: Path) -> None:
    assert named(tmp_path, elf_library(SYMBOLS), 0x108, active=False) == Symbol("first", 8)
    assert named(tmp_path, elf_library(SYMBOLS), 0x110, active=False) is None


def test_the_file_on_disk_knows_more(tmp_path: Path) -> None:
    image = elf_library(SYMBOLS)
    assert named(tmp_path, image, 0x204, disk=with_symtab(image, hidden=0x200)) == Symbol("hidden", 4)
    assert named(tmp_path, image, 0x103, disk=image) == Symbol("first", 3)  # stripped: memory serves


def test_another_file_does_not_count(tmp_path: Path) -> None:
    other = with_symtab(elf_library(SYMBOLS, build_id=b"\x22" * 20), hidden=0x200)
    assert named(tmp_path, elf_library(SYMBOLS), 0x204, disk=other) is None
    assert named(tmp_path, elf_library(SYMBOLS), 0x103, disk=other) == Symbol("first", 3)


def test_tables_that_make_no_sense_name_nothing(tmp_path: Path) -> None:
    image = elf_library(SYMBOLS)
    broken = with_symtab(image, hidden=0x200)[:-10]
    assert named(tmp_path, image, 0x103, disk=broken) == Symbol("first", 3)


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    image = elf_library(SYMBOLS, hash_table=None).replace(b"first\0", b"fi\xffst\0")
    assert named(tmp_path, image, 0x103) == Symbol("fi\ufffdst", 3)
