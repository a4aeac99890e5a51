"""The list of assemblies of a toy process whose modules are real images (the program Zoo, in the flat mapping)."""

from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.errors import LayoutError, LimitExceeded, Malformed
from heaphound.layouts.load import layout_file
from heaphound.runtime.modules import ModuleList, read_module_list
from tests.lab.dumps import PROGRAMS
from tests.unit.runtime.written_memory import written_memory

VERSIONS = ["6.0", "8.0", "9.0", "10.0"]
ZOO = (PROGRAMS / "Zoo" / "bin" / "Zoo.dll").read_bytes()
IMAGE = 0x7F0000000000
DOMAIN, OBJECT_TABLE, ALLOCATOR, BINDER = 0x100000, 0x110000, 0x120000, 0x130000


class ToyDomain:
    """An AppDomain; `assembly` adds one, `read` reads the list."""

    def __init__(self, version: str) -> None:
        self.layout = layout_file(f"{version}.0", "x64", None).layout
        self.image, self.memory = written_memory()
        self.image.write(IMAGE, ZOO)
        for address in (DOMAIN, OBJECT_TABLE, ALLOCATOR, BINDER):
            self.image.write(address, bytes(0x1000))
        self.next = 0x1000000
        self.listed: list[int] = []
        self.system = self.assembly("/app/Zoo.dll")
        self.put(OBJECT_TABLE, "MethodTable", "Module", self.system)

    def structure(self) -> int:
        self.next += 0x1000
        self.image.write(self.next, bytes(0x1000))
        return self.next

    def put(self, address: int, type_name: str, field: str, value: int) -> None:
        if self.layout.has(type_name, field):
            self.image.words(address + self.layout.offset(type_name, field), value)

    def assembly(self, path: str | None, *, base: int = IMAGE, allocator: int = ALLOCATOR, binder: int = BINDER) -> int:
        """Add an assembly and give its Module; `path` None makes it dynamic."""
        listed, assembly, module, file = (self.structure() for _ in range(4))
        self.put(listed, "DomainAssembly", "Assembly", assembly)
        self.put(assembly, "Assembly", "Module", module)
        self.put(module, "Module", "Assembly", assembly)
        self.put(module, "Module", "PEAssembly", file)
        self.put(module, "Module", "LoaderAllocator", allocator)
        self.put(assembly, "Assembly", "LoaderAllocator", allocator)
        self.put(file, "PEAssembly", "AssemblyBinder", binder)
        if path is not None:
            self.put(file, "PEAssembly", "PEImage", self.pe_image(path, base))
        self.listed.append(listed)
        return module

    def pe_image(self, path: str, base: int) -> int:
        image, loaded, text = self.structure(), self.structure(), path.encode("utf-16-le") + b"\0\0"
        self.put(image, "PEImage", "LoadedImageLayout", loaded)
        self.put(loaded, "PEImageLayout", "Base", base)
        self.image.write(loaded + self.layout.offset("PEImageLayout", "Size"), pack("<II", len(ZOO), 0x172))
        self.image.write(image + 0x800, text)
        self.image.write(image + self.layout.offset("PEImage", "Path"), pack("<IIIIQ", len(text), len(text), 0, 0, image + 0x800))
        return image

    def write_list(self, count: int | None = None, first_block: int = 2) -> None:
        """The ArrayList of the domain: a first block inside it, and as many further ones as needed."""
        head = DOMAIN + self.layout.offset("AppDomain", "DomainAssemblyList")
        self.image.words(head, len(self.listed) if count is None else count)
        blocks = [self.listed[at : at + first_block] for at in range(0, len(self.listed), first_block)]
        addresses = [head + 8, *(self.structure() for _ in blocks[1:])]
        for address, block, following in zip(addresses, blocks, [*addresses[1:], 0], strict=True):
            self.image.words(address, following, first_block, *block)

    def read(self) -> ModuleList:
        runtime: Any = SimpleNamespace(
            core=SimpleNamespace(writer=SimpleNamespace(mode="full")),
            memory=self.memory,
            layout=self.layout,
            global_value={"AppDomain": DOMAIN, "ObjectMethodTable": OBJECT_TABLE}.__getitem__,
        )
        return read_module_list(runtime)


@pytest.fixture(params=VERSIONS)
def domain(request: pytest.FixtureRequest) -> ToyDomain:
    return ToyDomain(request.param)


def test_modules_in_load_order_over_several_blocks(domain: ToyDomain) -> None:
    added = [domain.assembly(f"/app/{name}.dll") for name in ("b", "c", "d")]
    domain.write_list()
    found = domain.read()
    assert [module.address for module in found.modules] == [domain.system, *added]
    assert [module.path for module in found.modules] == ["/app/Zoo.dll", "/app/b.dll", "/app/c.dll", "/app/d.dll"]
    assert found.gaps == ()
    first = found.modules[0]
    assert (first.name, first.version, first.image_base, first.size_bytes) == ("Zoo", "1.0.0.0", IMAGE, len(ZOO))
    assert (first.dynamic, first.mapped, first.metadata_missing) == (False, False, None)
    assert first.pe is not None
    assert first.pe.mapping == "flat"


def test_slots_of_unloaded_assemblies_are_passed_over(domain: ToyDomain) -> None:
    domain.listed += [0, 0]
    last = domain.assembly("/app/last.dll")
    domain.write_list()
    assert [module.address for module in domain.read().modules] == [domain.system, last]


def test_collectible_modules_and_other_load_contexts(domain: ToyDomain) -> None:
    allocator, binder, handle, context = domain.structure(), domain.structure(), domain.structure(), domain.structure()
    domain.put(binder, "AssemblyBinder", "AssemblyLoadContext", handle)
    domain.image.words(handle, context)
    domain.assembly("/plugins/p.dll", allocator=allocator, binder=binder)
    domain.write_list()
    own, plugin = domain.read().modules
    assert (own.collectible, own.in_default_context, own.load_context) == (False, True, None)
    assert (plugin.collectible, plugin.in_default_context, plugin.load_context) == (True, False, context)


def test_a_dynamic_module_has_no_image_and_says_why_it_has_no_metadata(domain: ToyDomain) -> None:
    domain.assembly(None)
    domain.write_list()
    made = domain.read().modules[1]
    assert (made.dynamic, made.path, made.image_base, made.pe, made.metadata) == (True, None, None, None, None)
    assert made.metadata_missing is not None
    assert "made in memory" in made.metadata_missing
    assert made.name == f"<module at {made.address:#x}>"


def test_metadata_that_is_not_in_the_dump(domain: ToyDomain) -> None:
    domain.assembly("/app/absent.dll", base=0x7E0000000000)
    domain.write_list()
    absent = domain.read().modules[1]
    assert absent.metadata is None
    assert absent.metadata_missing is not None
    assert "0x7e0000000000" in absent.metadata_missing
    assert absent.name == "absent"


def test_an_entry_that_cannot_be_read_is_a_gap(domain: ToyDomain) -> None:
    domain.listed.append(0x66600000)
    domain.write_list()
    found = domain.read()
    assert len(found.modules) == 1
    assert [gap.address for gap in found.gaps] == [0x66600000]


def test_a_module_that_does_not_lead_back_fails_the_self_check(domain: ToyDomain) -> None:
    module = domain.assembly("/app/b.dll")
    domain.put(module, "Module", "Assembly", 0x12345)
    domain.write_list()
    with pytest.raises(LayoutError, match=r"self-check Module.Assembly"):
        domain.read()


def test_a_list_without_the_core_library_fails_the_self_check(domain: ToyDomain) -> None:
    domain.assembly("/app/b.dll")
    domain.listed.pop(0)
    domain.write_list()
    with pytest.raises(LayoutError, match=r"System\.Object is not in the list"):
        domain.read()


def test_absurd_counts_and_empty_blocks(domain: ToyDomain) -> None:
    domain.write_list(count=0xFFFFFFFF)
    with pytest.raises(LimitExceeded, match="4294967295 assemblies"):
        domain.read()
    domain.write_list(first_block=1)
    head = DOMAIN + domain.layout.offset("AppDomain", "DomainAssemblyList")
    domain.image.words(head, 1, 0, 0)
    with pytest.raises(Malformed, match="is empty with 1 elements left"):
        domain.read()
