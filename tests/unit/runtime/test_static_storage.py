"""Where statics lie, in structures written as the runtimes lay them out."""

from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.errors import Malformed
from heaphound.layouts.load import layout_file
from heaphound.layouts.schema import Layout
from heaphound.runtime.collectible_statics import LoaderHandles
from heaphound.runtime.domain_local_statics import DomainLocalStatics
from heaphound.runtime.dynamic_statics import DynamicStatics
from heaphound.runtime.static_bases import StaticBases
from heaphound.runtime.thread_statics import ThreadLocalModules, ThreadLocalObjects
from tests.unit.runtime.written_memory import WrittenImage, written_memory

MODULE, METHOD_TABLE, CLASS, LOCAL, ENTRY, TABLE, ALLOCATOR = 0x10000, 0x20000, 0x30000, 0x40000, 0x50000, 0x60000, 0x70000
HANDLE, OBJECT, SLOTS, HOLDER, THREAD, DATA = 0x80000, 0x90000, 0xA0000, 0xB0000, 0xC0000, 0xD0000
INDEX, GC = 3, 0x7F1000000018


def layout_of(version: str) -> Layout:
    return layout_file(version, "x64", None).layout


def owner(flags: int = 0, row: int = 5) -> Any:
    """A type of the one module there is."""
    module = SimpleNamespace(address=MODULE, loader_allocator=ALLOCATOR)
    tables = SimpleNamespace(loader_module=lambda _: MODULE)
    system = SimpleNamespace(method_tables=tables, module_at={MODULE: module}.get)
    return SimpleNamespace(system=system, method_table=METHOD_TABLE, flags=flags, component_size=0, eeclass=CLASS, row=row)


def write(image: WrittenImage, layout: Layout, address: int, name: str, size: int, **fields: int) -> None:
    """A structure of `size` bytes with 64-bit fields of the layout; one whose name ends in _u32 takes 32 bits."""
    image.write(address, bytes(size))
    for field, value in fields.items():
        plain = field.removesuffix("_u32")
        image.write(address + layout.offset(name, plain), value.to_bytes(4 if plain != field else 8, "little"))


def local_module(image: WrittenImage, layout: Layout, class_flags: dict[int, int]) -> None:
    write(image, layout, MODULE, "Module", 2048, ModuleID=LOCAL, ModuleIndex=INDEX)
    write(image, layout, LOCAL, "DomainLocalModule", 256, DynamicClassTable=TABLE, DynamicEntries=2, GCStatics=GC, ModuleIndex=INDEX)
    for row, flags in class_flags.items():
        image.write(LOCAL + layout.offset("DomainLocalModule", "DataBlob") + row - 1, bytes([flags]))


@pytest.mark.parametrize("version", ["6.0.0", "8.0.0"])
@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (0, StaticBases(GC, LOCAL, None, only_what_is_set=True)),
        (4, StaticBases(GC, LOCAL, False)),
        (5, StaticBases(GC, LOCAL, True)),
    ],
)
def test_a_plain_type_up_to_8(version: str, flags: int, wanted: StaticBases) -> None:
    image, memory = written_memory()
    local_module(image, layout_of(version), {5: flags})
    assert DomainLocalStatics(memory, layout_of(version)).bases(owner()) == wanted


def generic(image: WrittenImage, layout: Layout, identity: int) -> Any:
    """A type with 4 virtual methods (one vtable chunk) and three multipurpose slots, one of which lies behind it."""
    image.write(METHOD_TABLE, bytes(256))
    image.write(METHOD_TABLE + layout.offset("MethodTable", "MTFlags2"), (0x0D).to_bytes(4, "little"))
    image.write(METHOD_TABLE + layout.offset("MethodTable", "NumVirtuals"), (4).to_bytes(2, "little"))
    info = METHOD_TABLE + layout.size("MethodTable") + 8 + 8
    image.write(info + layout.offset("GenericsStaticsInfo", "DynamicTypeID"), identity.to_bytes(4, "little"))
    return owner(flags=0x14)


@pytest.mark.parametrize("version", ["6.0.0", "8.0.0"])
def test_an_instantiation_up_to_8(version: str) -> None:
    image, memory = written_memory()
    layout = layout_of(version)
    local_module(image, layout, {})
    image.words(TABLE, 0, 0, ENTRY, 5)
    image.words(ENTRY, GC, 77)
    storage = DomainLocalStatics(memory, layout)
    assert storage.bases(generic(image, layout, 1)) == StaticBases(GC, ENTRY, True)


@pytest.mark.parametrize("identity", [0, 2, 0xFFFFFFFF])
def test_an_instantiation_that_has_no_storage(identity: int) -> None:
    image, memory = written_memory()
    layout = layout_of("8.0.0")
    local_module(image, layout, {})
    image.words(TABLE, 0, 0, ENTRY, 5)
    assert not DomainLocalStatics(memory, layout).bases(generic(image, layout, identity))


def test_a_collectible_type_up_to_8() -> None:
    """Handle 4 is slot 1 of the loader allocator's array, handle 2 slot 0; numbers count from 8 bytes before the elements."""
    image, memory = written_memory()
    layout = layout_of("8.0.0")
    local_module(image, layout, {})
    write(image, layout, CLASS, "EEClass", 64, OptionalFields=0xE0000)
    write(image, layout, 0xE0000, "EEClassOptionalFields", 64, ModuleDynamicID_u32=0)
    image.words(TABLE, ENTRY, 0xD, 0, 0)
    image.words(ENTRY, 4, 2)
    write(image, layout, ALLOCATOR, "LoaderAllocator", 2048, ObjectHandle=HANDLE)
    image.words(HANDLE, OBJECT)
    write(image, layout, OBJECT, "LoaderAllocatorObject", 64, m_slots=SLOTS)
    image.words(SLOTS, 0x1234, 2, 0xF0000, HOLDER)
    assert DomainLocalStatics(memory, layout).bases(owner(flags=2)) == StaticBases(HOLDER + 16, 0xF0008, True)


def test_handles_of_a_loader_allocator() -> None:
    image, memory = written_memory()
    layout = layout_of("8.0.0")
    module: Any = SimpleNamespace(address=MODULE, loader_allocator=ALLOCATOR)
    image.words(HANDLE, 0)
    image.words(0x81000, OBJECT)
    write(image, layout, ALLOCATOR, "LoaderAllocator", 2048, ObjectHandle=HANDLE)
    handles = LoaderHandles(memory, layout)
    assert handles.object(module, 0) is None
    assert handles.object(module, 0x81001) == OBJECT  # a slot's address plus one
    assert handles.object(module, 4) is None  # the managed allocator is gone
    image.words(HANDLE, OBJECT)
    write(image, layout, OBJECT, "LoaderAllocatorObject", 64, m_slots=SLOTS)
    image.words(SLOTS, 0x1234, 1, HOLDER)
    with pytest.raises(Malformed, match="past its 1 slots"):
        handles.object(module, 4)


def test_a_module_whose_statics_are_another_modules() -> None:
    image, memory = written_memory()
    layout = layout_of("8.0.0")
    local_module(image, layout, {5: 5})
    image.words(LOCAL + layout.offset("DomainLocalModule", "ModuleIndex"), INDEX + 1)
    with pytest.raises(Malformed, match="self-check DomainLocalModule"):
        DomainLocalStatics(memory, layout).bases(owner())


def dynamic_type(image: WrittenImage, layout: Layout, named: int, gc: int, non_gc: int) -> None:
    write(image, layout, METHOD_TABLE, "MethodTable", 64, AuxiliaryData=ENTRY + 0x100, MTFlags2_u32=2)
    image.write(ENTRY, bytes(0x200))
    image.words(ENTRY + 0x100 - layout.size("DynamicStaticsInfo"), gc, non_gc, named)


@pytest.mark.parametrize("version", ["9.0.0", "10.0.0"])
def test_statics_since_9(version: str) -> None:
    image, memory = written_memory()
    layout = layout_of(version)
    dynamic_type(image, layout, METHOD_TABLE, GC | 1, 0)
    storage = DynamicStatics(memory, layout)
    assert storage.bases(owner()) == StaticBases(GC, None, False)
    dynamic_type(image, layout, METHOD_TABLE, GC, 0x5000)
    assert storage.bases(owner()) == StaticBases(GC, 0x5000, True)
    dynamic_type(image, layout, METHOD_TABLE + 8, GC, 0x5000)
    with pytest.raises(Malformed, match="self-check DynamicStaticsInfo"):
        storage.bases(owner())
    image.write(METHOD_TABLE + layout.offset("MethodTable", "MTFlags2"), bytes(4))
    assert not storage.bases(owner())


@pytest.mark.parametrize("version", ["6.0.0", "8.0.0"])
def test_thread_statics_up_to_8(version: str) -> None:
    image, memory = written_memory()
    layout = layout_of(version)
    local_module(image, layout, {})
    image.write(THREAD, bytes(2048))
    storage = ThreadLocalModules(memory, layout)
    assert not storage.bases(THREAD, owner())
    image.words(THREAD + layout.offset("Thread", "ThreadLocalBlock"), TABLE, INDEX + 1)
    image.words(TABLE, 0, 0, 0, DATA)
    write(image, layout, DATA, "ThreadLocalModule", 64, GCStatics=HANDLE)
    image.words(HANDLE, HOLDER)
    assert storage.bases(THREAD, owner()) == StaticBases(HOLDER + 16, DATA)


def test_thread_statics_of_an_instantiation_up_to_8() -> None:
    image, memory = written_memory()
    layout = layout_of("8.0.0")
    local_module(image, layout, {})
    image.write(THREAD, bytes(2048))
    image.words(THREAD + layout.offset("Thread", "ThreadLocalBlock"), TABLE, INDEX + 1)
    image.words(TABLE, 0, 0, 0, DATA)
    write(image, layout, DATA, "ThreadLocalModule", 64, DynamicClassTable=SLOTS, DynamicEntries=1)
    image.words(SLOTS, ENTRY, 5)
    image.words(ENTRY, HANDLE, 0)
    image.words(HANDLE, HOLDER)
    assert ThreadLocalModules(memory, layout).bases(THREAD, generic(image, layout, 0)) == StaticBases(HOLDER + 16, ENTRY)


def thread_since_9(image: WrittenImage, layout: Layout, gc_index: int, non_gc_index: int) -> None:
    write(image, layout, METHOD_TABLE, "MethodTable", 64, AuxiliaryData=ENTRY + 0x100)
    image.write(ENTRY, bytes(0x200))
    info = ENTRY + 0x100 - layout.size("ThreadStaticsInfo")
    for name, index in (("GCTlsIndex", gc_index), ("NonGCTlsIndex", non_gc_index)):
        image.write(info + layout.offset("ThreadStaticsInfo", name), index.to_bytes(4, "little"))
    write(image, layout, THREAD, "Thread", 2048, ThreadLocalDataPtr=DATA)
    image.write(DATA, bytes(256))
    tls = "ThreadLocalData"
    image.write(DATA + layout.offset(tls, "CollectibleTlsDataCount"), (2).to_bytes(4, "little"))
    image.words(DATA + layout.offset(tls, "NonCollectibleTlsArrayData"), SLOTS)
    image.words(DATA + layout.offset(tls, "CollectibleTlsArrayData"), TABLE)
    image.words(SLOTS, 0x1234, 3, 0, HOLDER, OBJECT)
    image.words(TABLE, 0, HANDLE)
    image.words(HANDLE, OBJECT + 0x100)


@pytest.mark.parametrize("version", ["9.0.0", "10.0.0"])
@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (0xFFFFFFFF, None),  # never allocated
        (2, None),  # the array's first element is null
        (3, HOLDER),
        (4, OBJECT),
        (5, None),  # past the array
        (0x01000001, OBJECT + 0x100),
        (0x01000002, None),
        (0x02000060, DATA + 0x60),  # a number inside ThreadLocalData
    ],
)
def test_thread_statics_since_9(version: str, index: int, wanted: int | None) -> None:
    image, memory = written_memory()
    layout = layout_of(version)
    thread_since_9(image, layout, index, 0xFFFFFFFF)
    assert ThreadLocalObjects(memory, layout).bases(THREAD, owner()) == StaticBases(wanted, None)


def test_a_thread_that_never_used_thread_statics() -> None:
    image, memory = written_memory()
    layout = layout_of("9.0.0")
    thread_since_9(image, layout, 3, 4)
    image.words(THREAD + layout.offset("Thread", "ThreadLocalDataPtr"), 0)
    assert not ThreadLocalObjects(memory, layout).bases(THREAD, owner())


def test_a_block_that_the_thread_is_just_making() -> None:
    image, memory = written_memory()
    layout = layout_of("10.0.0")
    thread_since_9(image, layout, 2, 0xFFFFFFFF)
    image.words(DATA + layout.offset("ThreadLocalData", "InFlightData"), 0xE0000)
    image.words(0xE0000, 0, 2, 0xE1000)
    image.words(0xE1000, HOLDER)
    assert ThreadLocalObjects(memory, layout).bases(THREAD, owner()) == StaticBases(HOLDER, None)
    image.words(0xE0000, 0xE0000, 9, 0xE1000)
    with pytest.raises(Malformed, match="loops"):
        ThreadLocalObjects(memory, layout).bases(THREAD, owner())


def test_a_thread_static_index_of_an_unknown_kind() -> None:
    image, memory = written_memory()
    layout = layout_of("9.0.0")
    thread_since_9(image, layout, 0x03000001, 0xFFFFFFFF)
    with pytest.raises(Malformed, match="no known kind"):
        ThreadLocalObjects(memory, layout).bases(THREAD, owner())
