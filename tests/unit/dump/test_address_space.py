"""Every resident byte in exactly one category, and in the right one."""

from pathlib import Path
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump import region
from heaphound.dump.address_space import AddressSpace, account
from heaphound.dump.core import Core, open_core
from heaphound.dump.region import Label
from tests.dumpwriter import DumpWriter, small_process
from tests.elf_library import PAGE, elf_library

ARENA = 0x7E0000000000


def sizes(space: AddressSpace) -> dict[str, int]:
    assert sum(category.resident_bytes for category in space.categories) == space.resident_bytes
    assert sum(piece.resident_bytes for piece in space.ranges) == space.resident_bytes
    assert all(first.end <= second.start for first, second in zip(space.ranges, space.ranges[1:], strict=False))
    return {category.name: category.resident_bytes for category in space.categories}


def opened(writer: DumpWriter, tmp_path: Path) -> Core:
    return open_core(writer.write(tmp_path / "core"))


def test_a_small_process(tmp_path: Path) -> None:
    assert sizes(account(opened(small_process(), tmp_path))) == {
        region.IMAGES: 6 * PAGE,
        region.STACKS: 2 * PAGE,
        region.ANONYMOUS: PAGE,
    }


def test_zero_initialised_data_belongs_to_its_image(tmp_path: Path) -> None:
    """The .bss behind the last mapping of the file, as long as the image's headers say; the rest is someone else's."""
    writer = DumpWriter().library("/lib/x.so", 0x7F0000000000, x=1).segment(0x7F0000003000, bytes(4 * PAGE))
    assert sizes(account(opened(writer, tmp_path))) == {region.IMAGES: 4 * PAGE, region.ANONYMOUS: 3 * PAGE}


def test_managed_images_and_other_files(tmp_path: Path) -> None:
    writer = DumpWriter().mapped("/app/App.dll", 0x10000, 0x11000).segment(0x10000, b"MZ".ljust(PAGE), flags=4)
    writer.mapped("/usr/lib/locale/C.utf8", 0x20000, 0x22000).segment(0x20000, bytes(PAGE), flags=4)
    assert sizes(account(opened(writer, tmp_path))) == {region.IMAGES: PAGE, region.FILE_MAPS: PAGE}


def arena_heap(pages: int) -> bytes:
    return pack("<4Q", ARENA + 0x30, 0, PAGE * pages, PAGE * pages).ljust(PAGE * pages, b"\0")


def test_arenas_and_a_stack_beside_one(tmp_path: Path) -> None:
    """The kernel joins neighbours of equal access: a stack that ends where an arena begins is one segment with it."""
    writer = DumpWriter().segment(ARENA - 0x8000, b"s" * 0x8000 + arena_heap(3) + bytes(PAGE)).thread(5, rip=1, rsp=ARENA - 0x100)
    space = account(opened(writer, tmp_path))
    assert sizes(space) == {region.STACKS: 0x8000, region.GLIBC_ARENAS: 3 * PAGE, region.INACCESSIBLE: PAGE}
    assert [piece.detail for piece in space.ranges] == ["thread 5", f"arena {ARENA + 0x30:#x}", f"arena {ARENA + 0x30:#x}"]


def test_what_only_looks_like_an_arena(tmp_path: Path) -> None:
    for words in [
        (ARENA + 0x50, 0, PAGE, PAGE),
        (ARENA + 0x30, 8, PAGE, PAGE),
        (ARENA + 0x30, 0, 100, PAGE),
        (ARENA + 0x30, 0, PAGE, 1 << 40),
    ]:
        writer = DumpWriter().segment(ARENA, pack("<4Q", *words).ljust(PAGE, b"\0"))
        assert sizes(account(opened(writer, tmp_path))) == {region.ANONYMOUS: PAGE}


def test_the_stack_that_glibc_recorded(tmp_path: Path) -> None:
    """The thread descriptor names the block, so that neighbours in the same segment are not taken for the stack."""
    block, size = 0x7D0000010000, 0x20000
    descriptor = block + size - 0x900
    data = bytearray(0x60000)
    place = descriptor - 0x7D0000000000 + 0x690
    data[place : place + 16] = pack("<QQ", block, size)
    writer = DumpWriter().segment(0x7D0000000000, bytes(data)).thread(8, rip=1, rsp=block + 0x1F000, fs_base=descriptor)
    found = sizes(account(opened(writer, tmp_path)))
    assert found[region.STACKS] + found[region.STACKS_UNTOUCHED] == size


@pytest.mark.parametrize(("named", "is_found"), [(8, True), (9, False)])
def test_on_arm64_the_record_is_found_above_the_stack_pointer(tmp_path: Path, named: int, is_found: bool) -> None:
    """No register that createdump writes leads to it; its thread id in front of the block tells it from other words."""
    start, block, size = 0x7D0000000000, 0x7D0000010000, 0x20000
    descriptor = block + size - 0x900
    data = bytearray(0x60000)
    data[descriptor - start + 0xD0 : descriptor - start + 0xD4] = pack("<I", named)
    data[descriptor - start + 0x490 : descriptor - start + 0x4A0] = pack("<QQ", block, size)
    writer = DumpWriter("arm64").segment(start, bytes(data)).thread(8, pc=1, sp=block + 0x1E000)
    found = sizes(account(opened(writer, tmp_path)))
    assert (found[region.STACKS] + found[region.STACKS_UNTOUCHED] == size) is is_found


def test_the_part_of_a_stack_that_was_never_used(tmp_path: Path) -> None:
    """Pages of zeros from the low end up to the first that holds anything; zeros in between belong to the stack in use."""
    stack = bytes(0x300000 + 0x234) + b"deepest" + bytes(0x2000) + b"frames" * 0x100
    writer = DumpWriter().segment(0x7D0000000000, stack.ljust(0x304000, b"\0")).thread(8, rip=1, rsp=0x7D0000303000)
    assert sizes(account(opened(writer, tmp_path))) == {region.STACKS_UNTOUCHED: 0x300000, region.STACKS: 0x4000}


def test_the_brk_heap_and_large_allocations(tmp_path: Path) -> None:
    heap = pack("<QQ", 0, 0x291).ljust(0x290, b"\0") + pack("<QQ", 0, 0x21) + bytes(0x2000)
    large = pack("<QQ", 0, 0x2000 | 2).ljust(0x2000, b"\0") + pack("<QQ", 0, 0x1000 | 2).ljust(0x1000, b"\0")
    writer = DumpWriter().auxv(phdr=0x400040).library("/app", 0x400000, elf_library({"main": 1}))
    writer.segment(0x500000, heap.ljust(0x3000, b"\0")).segment(0x7F0000000000, large + bytes(PAGE))
    assert sizes(account(opened(writer, tmp_path))) == {
        region.IMAGES: 3 * PAGE,
        region.GLIBC_MAIN_HEAP: 0x3000,
        region.GLIBC_MAPPED: 0x3000,
        region.ANONYMOUS: PAGE,
    }


def musl_meta(group: int, pages: int, size_class: int) -> bytes:
    """musl 1.2.1 and later, src/malloc/mallocng/meta.h: prev, next, mem, two masks, and the bit fields in one word."""
    return pack("<5Q", 0, 0, group, 0, pages << 12 | size_class << 6)


MUSL_AREA, MUSL_GROUP, MUSL_LARGE = 0x500000, 0x7F0000000000, 0x7F0000100000


def musl_heap(secrets: tuple[int, int] = (77, 77)) -> DumpWriter:
    """A group of two pages, one that lies in a slot of it, and an allocation of three pages; their metas lie in two areas."""
    inner = MUSL_GROUP + PAGE
    first = pack("<3Q", secrets[0], 0, 101) + musl_meta(MUSL_GROUP, 2, 20) + musl_meta(inner, 0, 3)
    second = pack("<3Q", secrets[1], 0, 101) + musl_meta(MUSL_LARGE, 3, 63)
    groups = pack("<Q", MUSL_AREA + 24).ljust(PAGE, b"\0") + pack("<Q", MUSL_AREA + 64).ljust(PAGE, b"\0") + bytes(PAGE)
    large = pack("<Q", MUSL_AREA + PAGE + 24).ljust(3 * PAGE, b"\0")
    writer = DumpWriter().segment(MUSL_AREA, first.ljust(PAGE, b"\0") + second.ljust(PAGE, b"\0"))
    return writer.segment(MUSL_GROUP, groups).segment(MUSL_LARGE, large)


def test_groups_of_musl(tmp_path: Path) -> None:
    found = sizes(account(opened(musl_heap(), tmp_path)))
    assert found == {region.MUSL_GROUPS: 4 * PAGE, region.MUSL_MAPPED: 3 * PAGE, region.ANONYMOUS: PAGE}


def test_areas_of_two_secrets_are_no_heap_of_musl(tmp_path: Path) -> None:
    assert sizes(account(opened(musl_heap((77, 78)), tmp_path))) == {region.ANONYMOUS: 8 * PAGE}
    assert sizes(account(opened(musl_heap((0, 0)), tmp_path))) == {region.ANONYMOUS: 8 * PAGE}


def test_kernel_pages_and_guard_pages(tmp_path: Path) -> None:
    vdso, guard = 0x7FFFF7FC1000, 0x10000
    writer = DumpWriter().auxv(sysinfo_ehdr=vdso).segment(vdso, elf_library({"t": 1}), flags=5).segment(guard, bytes(PAGE), flags=0)
    writer.segment(0xFFFFFFFFFF600000, bytes(PAGE), flags=5)
    assert sizes(account(opened(writer, tmp_path))) == {region.KERNEL: 4 * PAGE, region.INACCESSIBLE: PAGE}


def test_labels_come_before_what_the_file_tells(tmp_path: Path) -> None:
    core = opened(DumpWriter().mapped("/memfd:x (deleted)", 0x10000, 0x14000).segment(0x10000, bytes(4 * PAGE)), tmp_path)
    labels = [
        Label(0x11000, 0x12000, region.CODE, "jit"),
        Label(0x11800, 0x13000, region.LOADER_HEAPS),
        Label(0x90000, 0x99000, region.GC_USED),
    ]
    space = account(core, labels)
    assert sizes(space) == {region.FILE_MAPS: 2 * PAGE, region.CODE: PAGE, region.LOADER_HEAPS: PAGE}
    assert [(piece.start, piece.end, piece.category) for piece in space.ranges][1:3] == [
        (0x11000, 0x12000, region.CODE),
        (0x12000, 0x13000, region.LOADER_HEAPS),
    ]


def test_a_part_told_apart_by_amount(tmp_path: Path) -> None:
    core = opened(DumpWriter().segment(0x10000, bytes(4 * PAGE)), tmp_path)
    space = account(core, [Label(0x10000, 0x13000, region.GC_USED)])
    moved = space.moved(region.GC_USED, region.GC_FREE, 5000, 7)
    assert sizes(moved) == {region.GC_USED: 3 * PAGE - 5000, region.GC_FREE: 5000, region.ANONYMOUS: PAGE}
    assert sizes(space.moved(region.GC_USED, region.GC_FREE, 1 << 40, 1))[region.GC_FREE] == 3 * PAGE
    assert space.moved(region.CODE, region.GC_FREE, 10, 1) == space


NUMBER = st.integers(0, 40)
LABEL = st.tuples(NUMBER, NUMBER, st.sampled_from([region.CODE, region.GC_USED, region.STACKS]))


@settings(max_examples=60, deadline=None)
@given(segments=st.sets(NUMBER, min_size=1), wanted=st.lists(LABEL, max_size=8))
def test_like_painting_byte_by_byte(
    tmp_path_factory: pytest.TempPathFactory, segments: set[int], wanted: list[tuple[int, int, str]]
) -> None:
    writer = DumpWriter()
    for number in segments:
        writer.segment(number * 16, bytes(16))
    labels = [Label(start * 16 + 4, end * 16 + 4, name) for start, end, name in wanted]
    core = opened(writer, tmp_path_factory.mktemp("painted"))
    painted: dict[str, int] = {}
    for number in segments:
        for address in range(number * 16, number * 16 + 16):
            name = next((label.category for label in labels if label.start <= address < label.end), region.ANONYMOUS)
            painted[name] = painted.get(name, 0) + 1
    assert sizes(account(core, labels)) == painted


def test_every_category_has_a_meaning() -> None:
    names = {value for name, value in vars(region).items() if name.isupper() and isinstance(value, str)}
    assert names == set(region.CATEGORIES)
