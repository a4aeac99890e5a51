"""Files in place of bytes that the core lacks: only the right file, only what the process cannot have changed."""

from pathlib import Path
from struct import pack

import pytest

from heaphound.dump.backing import attach_binaries
from heaphound.dump.core import Core, open_core
from heaphound.dump.elf_modules import elf_modules
from heaphound.dump.relocations import Relocations, relocate
from heaphound.errors import DumpError, Unreadable
from tests.dumpwriter import DumpWriter
from tests.elf_library import DATA_OFFSET, PAGE, elf_library

BASE = 0x7F0000000000
PATH = "/usr/lib/libx.so"
RELATIVE_AT, IMPORT_AT, PLAIN_AT = 0x200, 0x300, 0x208


def library(machine: str = "x64", build_id: bytes | None = b"\x11" * 20) -> bytes:
    image = elf_library({"find_me": 0x1234}, machine=machine, relative={RELATIVE_AT: 0x1500}, imported=[IMPORT_AT], build_id=build_id)
    return image[: DATA_OFFSET + PLAIN_AT] + b"constant" + image[DATA_OFFSET + PLAIN_AT + 8 :]


def core_without(tmp_path: Path, image: bytes, pages: range, machine: str = "x64") -> Core:
    return open_core(DumpWriter(machine).library(PATH, BASE, image, pages=pages).write(tmp_path / "core"))


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    (tmp_path / "binaries" / "deep").mkdir(parents=True)
    return tmp_path / "binaries"


@pytest.mark.parametrize("machine", ["x64", "arm64"])
@pytest.mark.parametrize("place", ["deep/libx.so", "usr/lib/libx.so"])
def test_absent_pages_come_from_the_file(tmp_path: Path, binaries: Path, machine: str, place: str) -> None:
    (binaries / place).parent.mkdir(parents=True, exist_ok=True)
    (binaries / place).write_bytes(library(machine))
    core, report = attach_binaries(core_without(tmp_path, library(machine), range(1), machine), [binaries], use_original_paths=False)
    [attached] = report.attached
    assert (attached.path, attached.file, attached.checked_by) == (PATH, str(binaries / place), "build-id")
    assert attached.size_bytes == 2 * PAGE - 8
    assert (report.refused, report.not_found) == ([], [])
    [module] = elf_modules(core)
    assert module.symbol("find_me") == BASE + 0x1234


def test_relocated_words(tmp_path: Path, binaries: Path) -> None:
    """A relative word has the load address added; an imported one is unknown and stays unreadable."""
    (binaries / "libx.so").write_bytes(library())
    core, _ = attach_binaries(core_without(tmp_path, library(), range(1)), [binaries], use_original_paths=False)
    data = BASE + DATA_OFFSET
    assert core.memory.u64(data + RELATIVE_AT) == BASE + 0x1500
    assert core.memory.bytes(data + PLAIN_AT, 8) == b"constant"
    with pytest.raises(Unreadable):
        core.memory.u64(data + IMPORT_AT)
    assert core.memory.u64(data + IMPORT_AT - 8) == core.memory.u64(data + IMPORT_AT + 8) == 0


def test_the_cores_own_bytes_stand(tmp_path: Path, binaries: Path) -> None:
    (binaries / "libx.so").write_bytes(library())
    changed = library()[: DATA_OFFSET + PLAIN_AT] + b"at work!" + library()[DATA_OFFSET + PLAIN_AT + 8 :]
    writer = DumpWriter().library(PATH, BASE, changed, pages=range(0, 3, 2))
    core, report = attach_binaries(open_core(writer.write(tmp_path / "core")), [binaries], use_original_paths=False)
    assert [attached.size_bytes for attached in report.attached] == [PAGE]
    assert core.memory.bytes(BASE + DATA_OFFSET + PLAIN_AT, 8) == b"at work!"


def test_what_a_program_maps_of_its_own_file_as_data_comes_from_the_file(tmp_path: Path, binaries: Path) -> None:
    """A single-file .NET program maps the assemblies behind its image far away; a part that it could write does not count."""
    bundle = b"assembly".ljust(PAGE, b"\0") + b"written".ljust(PAGE, b"\0")
    (binaries / "libx.so").write_bytes(library() + bundle)
    far, written = BASE + 0x4000000, BASE + 0x5000000
    writer = DumpWriter().library(PATH, BASE, library(), pages=range(1))
    writer.mapped(PATH, far, far + PAGE, 3 * PAGE).mapped(PATH, written, written + PAGE, 4 * PAGE)
    writer.segment(written, b"", memory_size=PAGE)
    core, _ = attach_binaries(open_core(writer.write(tmp_path / "core")), [binaries], use_original_paths=False)
    assert core.memory.bytes(far, 8) == b"assembly"
    with pytest.raises(Unreadable):
        core.memory.u8(written)


def test_another_build_is_refused(tmp_path: Path, binaries: Path) -> None:
    (binaries / "libx.so").write_bytes(library(build_id=b"\x22" * 20))
    core, report = attach_binaries(core_without(tmp_path, library(), range(1)), [binaries], use_original_paths=False)
    [refused] = report.refused
    assert refused.reason == f"its build-id is {'22' * 20}, that of the mapped file {'11' * 20}"
    assert report.attached == []
    with pytest.raises(Unreadable):
        core.memory.u8(BASE + PAGE)


def test_the_right_build_is_found_behind_a_wrong_one(tmp_path: Path, binaries: Path) -> None:
    (binaries / "deep/libx.so").write_bytes(library())
    (binaries / "libx.so").write_bytes(library(build_id=b"\x22" * 20))
    _, report = attach_binaries(core_without(tmp_path, library(), range(1)), [binaries], use_original_paths=False)
    assert [attached.file for attached in report.attached] == [str(binaries / "deep/libx.so")]


def test_without_a_build_id_the_resident_pages_decide(tmp_path: Path, binaries: Path) -> None:
    image = library(build_id=None)
    (binaries / "libx.so").write_bytes(image)
    _, report = attach_binaries(core_without(tmp_path, image, range(1)), [binaries], use_original_paths=False)
    assert [attached.checked_by for attached in report.attached] == ["resident bytes"]
    (binaries / "libx.so").write_bytes(image[:0x400] + b"other" + image[0x405:])
    _, report = attach_binaries(core_without(tmp_path, image, range(1)), [binaries], use_original_paths=False)
    assert "differ from those in the core" in report.refused[0].reason


def test_files_that_are_no_images_or_not_there(tmp_path: Path, binaries: Path) -> None:
    core = core_without(tmp_path, library(), range(1))
    assert attach_binaries(core, [binaries], use_original_paths=False)[1].not_found == [PATH]
    (binaries / "libx.so").write_bytes(b"no image, but a text of more than sixty-four bytes, which is read as a file")
    assert "no ELF image" in attach_binaries(core, [binaries], use_original_paths=False)[1].refused[0].reason
    (binaries / "libx.so").write_bytes(library()[:PAGE])
    assert attach_binaries(core, [binaries], use_original_paths=False)[1].attached == []


def test_the_original_path(tmp_path: Path) -> None:
    (tmp_path / "libx.so").write_bytes(library())
    writer = DumpWriter().library(str(tmp_path / "libx.so"), BASE, library(), pages=range(1))
    core = open_core(writer.write(tmp_path / "core"))
    assert len(attach_binaries(core)[1].attached) == 1
    assert attach_binaries(core, use_original_paths=False)[1].attached == []


def test_no_path_of_the_dump_leads_out_of_the_given_directory(tmp_path: Path, binaries: Path) -> None:
    (tmp_path / "libx.so").write_bytes(library())
    writer = DumpWriter().library("/../libx.so", BASE, library(), pages=range(1))
    core = open_core(writer.write(tmp_path / "core"))
    assert attach_binaries(core, [binaries], use_original_paths=False)[1].attached == []


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="is not a directory"):
        attach_binaries(core_without(tmp_path, library(), range(1)), [tmp_path / "core"])


TEXT_AND_DATA = ((0x200, 0x200, 0x1E00, 0x60000020), (0x2000, 0x2000, 0x1000, 0xC0000040))


def pe_image(flat_pages: int = 4, sections: tuple[tuple[int, int, int, int], ...] = TEXT_AND_DATA) -> bytes:
    """A PE file of read-only text (page 0) and writable data (page 2). `sections`: address, file offset, size, flags."""
    table = b"".join(
        b"name\0\0\0\0" + pack("<IIIIIIHHI", size, address, size, at, 0, 0, 0, 0, flags) for address, at, size, flags in sections
    )
    head = b"MZ".ljust(0x3C, b"\0") + pack("<I", 0x80)
    head = head.ljust(0x80, b"\0") + b"PE\0\0" + pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 0, 0) + table
    return head.ljust(PAGE, b"h") + b"t" * PAGE + b"d" * PAGE + b"e" * (flat_pages - 3) * PAGE


def test_a_pe_image_mapped_flat(tmp_path: Path, binaries: Path) -> None:
    (binaries / "App.dll").write_bytes(pe_image())
    core = open_core(DumpWriter().mapped("/app/App.dll", BASE, BASE + 4 * PAGE).segment(0x1000, b"x").write(tmp_path / "core"))
    core, report = attach_binaries(core, [binaries], use_original_paths=False)
    [attached] = report.attached
    assert (attached.checked_by, attached.size_bytes) == (None, 4 * PAGE)
    assert core.memory.bytes(BASE, 4 * PAGE) == pe_image()


def test_a_pe_image_mapped_by_sections_keeps_its_data_absent(tmp_path: Path, binaries: Path) -> None:
    """The process writes to the data section: the file's bytes would be stale."""
    (binaries / "App.dll").write_bytes(pe_image())
    writer = DumpWriter().segment(BASE, pe_image()[:PAGE], flags=4)
    writer.mapped("/app/App.dll", BASE, BASE + PAGE).mapped("/app/App.dll", BASE + 0x10000, BASE + 0x12000)
    writer.mapped("/app/App.dll", BASE + 0x20000, BASE + 0x21000, 0x2000)
    core, report = attach_binaries(open_core(writer.write(tmp_path / "core")), [binaries], use_original_paths=False)
    assert [(attached.checked_by, attached.size_bytes) for attached in report.attached] == [("resident bytes", 2 * PAGE)]
    assert core.memory.bytes(BASE + 0x11000, 4) == b"tttt"
    with pytest.raises(Unreadable):
        core.memory.u8(BASE + 0x20000)


def test_headers_and_data_in_one_page_of_the_file(tmp_path: Path, binaries: Path) -> None:
    """As in assemblies of 3.1: the first page is mapped as headers, as the data section, to which the process writes, and as text."""
    image = pe_image(4, ((0x10000, 0x200, 0x800, 0xC0000040), (0x20000, 0xA00, 0x2600, 0x60000020)))
    (binaries / "App.dll").write_bytes(image)
    writer = DumpWriter().mapped("/app/App.dll", BASE, BASE + PAGE).mapped("/app/App.dll", BASE + 0x10000, BASE + 0x11000)
    writer.mapped("/app/App.dll", BASE + 0x20000, BASE + 0x23000).segment(0x1000, b"x")
    core, report = attach_binaries(open_core(writer.write(tmp_path / "core")), [binaries], use_original_paths=False)
    assert [attached.size_bytes for attached in report.attached] == [4 * PAGE]
    assert core.memory.bytes(BASE, 2) == b"MZ"
    assert core.memory.bytes(BASE + 0x21000, 4) == b"tttt"
    with pytest.raises(Unreadable):
        core.memory.u8(BASE + 0x10000)


def test_an_elf_file_mapped_as_data_alone_is_refused(tmp_path: Path, binaries: Path) -> None:
    (binaries / "x.o").write_bytes(library())
    writer = DumpWriter().mapped("/build/x.o", BASE, BASE + PAGE, PAGE).segment(0x1000, b"x")
    core, report = attach_binaries(open_core(writer.write(tmp_path / "core")), [binaries], use_original_paths=False)
    assert "mapped no segments" in report.refused[0].reason
    with pytest.raises(Unreadable):
        core.memory.u8(BASE)


def test_a_shorter_pe_is_refused(tmp_path: Path, binaries: Path) -> None:
    (binaries / "App.dll").write_bytes(pe_image())
    writer = DumpWriter().mapped("/app/App.dll", BASE, BASE + 9 * PAGE).segment(0x1000, b"x")
    _, report = attach_binaries(open_core(writer.write(tmp_path / "core")), [binaries], use_original_paths=False)
    assert report.refused[0].reason == f"it has {4 * PAGE} bytes, the mapped file had more than {8 * PAGE}"


def test_relocate_leaves_out_what_overlaps_the_borders() -> None:
    relocations = Relocations({0x1000: 5, 0x1010: None}, frozenset({0xFFC, 0x1020, 0x103C}))
    data = bytes(0x10) + (7).to_bytes(8, "little") + bytes(0x28)
    pieces = relocate(data, 0x1000, 0x100, relocations)
    assert [(start, len(piece)) for start, piece in pieces] == [(0x1004, 0x1C), (0x1028, 0x14)]
    assert pieces[0][1][0xC:0x14] == (0x107).to_bytes(8, "little")
