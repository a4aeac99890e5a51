"""Finding CoreCLR in a written core: by its exports, its version from where the dump has it, refused by name when it does not fit."""

import json
from pathlib import Path
from struct import pack

import pytest

from heaphound.dump.core import open_core
from heaphound.errors import LayoutError, RuntimeNotFound, UnsupportedRuntime
from heaphound.layouts.descriptor import HEADER, MAGIC
from heaphound.layouts.load import layout_file
from heaphound.runtime.find import find_runtime
from heaphound.runtime.heap_checks import read_heap_abilities
from heaphound.runtime.locate import find_coreclr
from heaphound.runtime.self_checks import read_abilities
from tests.dumpwriter import DumpWriter
from tests.elf_library import PAGE, elf_library
from tests.unit.runtime.toy_process import BLOCK, BLOCK_BYTES, ToyProcess

LIBRARY = "/usr/share/dotnet/shared/Microsoft.NETCore.App/9.0.4/libcoreclr.so"
BASE = 0x7F1000000000
TABLE, DESCRIPTOR = 0x10000, 0x20000
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class WrittenRuntime:
    """A core with a toy CoreCLR 9.0; a test changes what it wants wrong before `open()`."""

    def __init__(self) -> None:
        self.toy = ToyProcess()
        self.path, self.symbols = LIBRARY, {"g_dacTable": TABLE}
        self.text = b""
        self.writer = DumpWriter().process(42, "shop").thread(100)
        self.tables: dict[str, int] = {}
        base = self.method_table("ObjectMethodTable", 0, 24)
        self.method_table("StringMethodTable", 0x80000002, 22, base)
        self.method_table("FreeObjectMethodTable", 0x80000001, 24)
        self.descriptor: dict[str, object] | None = None
        self.moved: dict[str, int] = {}

    def method_table(self, name: str, flags: int, base_bytes: int, parent: int = 0) -> int:
        toy = self.toy
        found = toy.structure("MethodTable", 64, ParentMethodTable=parent)
        toy.fill(found, "MethodTable", size=4, MTFlags=flags, BaseSize=base_bytes)
        toy.variable(name, found)
        self.tables[name] = found
        return found

    def write(self, path: Path) -> Path:
        toy = self.toy
        toy.runtime()
        shape = layout_file("9.0.4", "x64", None).dac_table
        entries = [0] * shape.entry_count
        for name, address in toy.globals.items():
            entries[shape.globals[name][0]] = address
        image = bytearray(elf_library(self.symbols))
        image[2 * PAGE + 0x800 : 2 * PAGE + 0x800 + len(self.text)] = self.text
        self.writer.library(self.path, BASE, bytes(image))
        self.writer.segment(BASE + TABLE, pack(f"<{len(entries)}Q", *entries).ljust(PAGE, b"\0"))
        if self.descriptor is not None:
            text = json.dumps(self.descriptor).encode()
            pointers = [*{**toy.globals, **self.moved}.values()]
            head = HEADER.pack(MAGIC, 1, len(text), BASE + DESCRIPTOR + 0x400, len(pointers), 0, BASE + DESCRIPTOR + 0x100)
            words = pack(f"<{len(pointers)}Q", *pointers)
            self.writer.segment(BASE + DESCRIPTOR, (head.ljust(0x100, b"\0") + words.ljust(0x300, b"\0") + text).ljust(PAGE, b"\0"))
        self.writer.segment(BLOCK, toy.image.read(BLOCK, BLOCK_BYTES))
        return self.writer.write(path)


def test_a_runtime_is_found_and_bound(tmp_path: Path) -> None:
    written = WrittenRuntime()
    runtime = find_runtime(open_core(written.write(tmp_path / "core")))
    assert (runtime.version, runtime.layout_name, runtime.commit, runtime.single_file) == ("9.0.4", "coreclr-9.0-x64", None, False)
    assert runtime.build_id == "11" * 20
    assert runtime.global_value("StringMethodTable") == written.tables["StringMethodTable"]
    assert runtime.layout.global_origin("StringMethodTable") == "layout file"
    assert (runtime.descriptor, runtime.descriptor_missing) == (None, None)


def test_the_version_is_the_images_own_text(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.text = f"@(#)Version 9.0.1125.51716 @Commit: {COMMIT}\0".encode()
    runtime = find_runtime(open_core(written.write(tmp_path / "core")))
    assert (runtime.version, runtime.commit) == ("9.0.11", COMMIT)


def test_the_version_is_the_core_librarys_where_the_image_has_none(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.path = "/app/libcoreclr.so"
    written.writer.mapped("/app/System.Private.CoreLib.dll", 0x600000, 0x602000)
    written.writer.segment(0x601000, f"1.0 and 9.0.7-servicing.1+{COMMIT}\0".encode())
    found = find_coreclr(open_core(written.write(tmp_path / "core")))
    assert (found.version, found.version_origin, found.commit) == ("9.0.7", "core library", COMMIT)


def test_a_runtime_without_any_version_is_refused(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.path = "/app/libcoreclr.so"
    with pytest.raises(UnsupportedRuntime, match=r"version text of /app/libcoreclr\.so .*--binaries"):
        find_runtime(open_core(written.write(tmp_path / "core")))


def test_a_version_without_a_layout_is_refused(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.path = LIBRARY.replace("9.0.4", "12.0.20")
    with pytest.raises(UnsupportedRuntime, match=r"no layout for \.NET 12\.0\.20 x64 \(build-id 1111"):
        find_runtime(open_core(written.write(tmp_path / "core")))


def test_a_single_file_program_is_a_runtime_by_its_exports(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.path, written.text = "/app/shop", b"@(#)Version 9.0.424.1\0"
    runtime = find_runtime(open_core(written.write(tmp_path / "core")))
    assert (runtime.version, runtime.single_file, runtime.commit) == ("9.0.4", True, None)


def test_a_file_that_is_also_mapped_as_data_is_not_taken_for_the_loaded_image(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.path, written.text = "/app/shop", b"@(#)Version 9.0.424.1\0"
    flat = elf_library(written.symbols)
    written.writer.mapped("/app/shop", 0x5000000, 0x5000000 + len(flat)).segment(0x5000000, flat)
    assert find_coreclr(open_core(written.write(tmp_path / "core"))).module.base == BASE


def test_a_native_program_has_no_runtime(tmp_path: Path) -> None:
    core = DumpWriter().process(42, "sleep").library("/usr/bin/sleep", BASE, main=0x100).write(tmp_path / "core")
    with pytest.raises(RuntimeNotFound, match=r"no \.NET runtime in sleep \(pid 42\): none of its 1 images"):
        find_runtime(open_core(core))


def test_a_native_aot_program_is_told_apart(tmp_path: Path) -> None:
    library = DumpWriter().process(42).library("/app/shop", BASE, DotNetRuntimeDebugHeader=0x100, DotNetRuntimeContractDescriptor=0x200)
    with pytest.raises(RuntimeNotFound, match="/app/shop is a Native AOT program"):
        find_runtime(open_core(library.write(tmp_path / "core")))


def test_a_dump_without_the_symbol_table_asks_for_the_image(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.symbols = {"coreclr_execute_assembly": 0x100}
    with pytest.raises(LayoutError, match="--binaries"):
        find_runtime(open_core(written.write(tmp_path / "core")))


@pytest.mark.parametrize(
    ("name", "field", "value", "check"),
    [
        ("FreeObjectMethodTable", "BaseSize", 32, "free object"),
        ("FreeObjectMethodTable", "MTFlags", 0x80000002, "free object"),
        ("StringMethodTable", "BaseSize", 24, "System.String"),
        ("StringMethodTable", "ParentMethodTable", 0, "System.String"),
        ("ObjectMethodTable", "BaseSize", 16, "System.Object"),
    ],
)
def test_a_build_that_does_not_fit_is_refused_by_the_failed_check(tmp_path: Path, name: str, field: str, value: int, check: str) -> None:
    written = WrittenRuntime()
    written.toy.fill(written.tables[name], "MethodTable", size=4, **{field: value})
    with pytest.raises(UnsupportedRuntime) as error:
        find_runtime(open_core(written.write(tmp_path / "core")))
    for part in (f"self-check {check}", "9.0.4", "build-id 1111", "CONTRIBUTING.md"):
        assert part in str(error.value)


def with_descriptor(**moved: int) -> WrittenRuntime:
    written = WrittenRuntime()
    written.symbols["DotNetRuntimeContractDescriptor"] = DESCRIPTOR
    written.toy.variable("FinalizerThread", 0)
    written.toy.runtime()
    names = list(written.toy.globals)
    globals_ = {name: [[number], "pointer"] for number, name in enumerate(names) if name != "GcDacVars"}
    written.descriptor = {"types": {"Thread": {"Id": 16}}, "globals": globals_, "contracts": {"Thread": 1}}
    written.moved = moved
    return written


def test_the_dumps_own_descriptor_is_laid_over(tmp_path: Path) -> None:
    runtime = find_runtime(open_core(with_descriptor().write(tmp_path / "core")))
    assert runtime.descriptor == BASE + DESCRIPTOR
    assert runtime.layout.origin("Thread", "Id") == "descriptor"
    assert runtime.layout.global_origin("ThreadStore") == "descriptor"
    assert runtime.layout.contract("Thread") == 1


def test_a_global_that_is_elsewhere_than_the_file_says_is_refused(tmp_path: Path) -> None:
    written = with_descriptor(FinalizerThread=BLOCK)
    with pytest.raises(UnsupportedRuntime, match="globals FinalizerThread are not where"):
        find_runtime(open_core(written.write(tmp_path / "core")))


def test_a_descriptor_that_is_not_dumped_leaves_the_file_alone(tmp_path: Path) -> None:
    written = WrittenRuntime()
    written.symbols["DotNetRuntimeContractDescriptor"] = DESCRIPTOR
    runtime = find_runtime(open_core(written.write(tmp_path / "core")))
    assert runtime.descriptor is None
    assert runtime.descriptor_missing == f"40 bytes at {BASE + DESCRIPTOR:#x} are not in the dump"


def test_a_check_that_fails_takes_its_ability_away_by_name(tmp_path: Path) -> None:
    runtime = find_runtime(open_core(WrittenRuntime().write(tmp_path / "core")))
    found = {ability.name: ability for ability in read_abilities(runtime)}
    assert not found["threads"].available
    assert "FinalizerThread" in str(found["threads"].failed)
    assert found["threads"].origin == ""
    assert not found["handles"].available


def test_what_types_rest_on_is_checked_alone_as_it_is_with_the_rest(tmp_path: Path) -> None:
    runtime = find_runtime(open_core(WrittenRuntime().write(tmp_path / "core")))
    alone, among_all = read_heap_abilities(runtime), read_abilities(runtime)
    assert alone == among_all[: len(alone)]
    assert {ability.name for ability in alone} >= {"layout", "heap walk", "types", "type names", "modules"}


@pytest.mark.parametrize(
    ("order", "named"), [("qemu-user", "no NT_FILE note.*, as qemu-user writes it"), ("createdump", "no NT_FILE note")]
)
def test_a_core_without_a_list_of_mapped_files_is_no_process_without_dotnet(tmp_path: Path, order: str, named: str) -> None:
    writer = DumpWriter("arm64", order).segment(0x10000, b"x").thread(1).thread(2).process(42, "dotnet").auxv(phdr=1)
    with pytest.raises(RuntimeNotFound, match=named):
        find_coreclr(open_core(writer.write(tmp_path / "core")))
