"""Loaded modules: AppDomain → DomainAssembly → Assembly → Module, with image, metadata and load context.

.NET has one manifest module per assembly since netmodules were dropped, so a module stands for its assembly. Structures: src/coreclr/vm
appdomain.hpp (`m_Assemblies`), assembly.hpp, ceeload.h, peassembly.h, peimage.h, arraylist.h of 6.0 to 10.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.dynamic_metadata import dynamic_metadata
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.pe import PEImage
from heaphound.runtime.runtime import Runtime


@dataclass(frozen=True)
class Module:
    """One module. Addresses are of the runtime's own structures, but for `load_context`.

    `path` and `image_base` are None for a module that was made in memory by Reflection.Emit (`dynamic`); `path` alone for one that
    was loaded out of a byte array. `mapped` tells whether sections lie at their virtual addresses (False: as in the file).
    `load_context` is the managed AssemblyLoadContext object, None for the default one while the program never asked for it.
    `loader_allocator` is None where the layout does not lead to it.
    """

    memory: Memory = field(repr=False, compare=False)
    layout: Layout = field(repr=False, compare=False)
    address: int
    assembly: int
    path: str | None
    image_base: int | None
    size_bytes: int | None
    mapped: bool | None
    dynamic: bool
    collectible: bool
    loader_allocator: int | None
    binder: int | None
    load_context: int | None
    in_default_context: bool

    @cached_property
    def _image(self) -> tuple[PEImage | None, str | None]:
        if self.image_base is None:
            return None, "it was made in memory and has no image"
        try:
            return PEImage.from_memory(self.memory, self.image_base), None
        except (Unreadable, Malformed) as error:
            return None, str(error)

    @property
    def pe(self) -> PEImage | None:
        """The PE image; None when there is none, or its headers are not in the dump (`metadata_missing` says why)."""
        return self._image[0]

    @cached_property
    def _metadata(self) -> tuple[Metadata | None, str | None]:
        try:
            if self.dynamic:
                return dynamic_metadata(self.memory, self.layout, self.address), None
            image, missing = self._image
            return (None, missing) if image is None else (image.metadata(), None)
        except (Unreadable, Malformed, LayoutError) as error:
            return None, str(error)

    @property
    def metadata(self) -> Metadata | None:
        """The reader of its metadata, made once; None when that is not in the dump or makes no sense (`metadata_missing` says why)."""
        return self._metadata[0]

    @property
    def metadata_missing(self) -> str | None:
        """Why there is no metadata; None when there is."""
        return self._metadata[1]

    @cached_property
    def name(self) -> str:
        """Simple name of the assembly, from its manifest, else from the file name, else from the address."""
        if self.metadata is not None:
            try:
                assembly = self.metadata.assembly()
                if assembly is not None and assembly.name:
                    return assembly.name
            except Malformed:
                pass  # the next best name is as good; the defect shows where the metadata is used
        return PurePosixPath(self.path).stem if self.path else f"<module at {self.address:#x}>"

    @cached_property
    def version(self) -> str | None:
        """Version of the assembly, such as 8.0.0.0; None without a readable manifest."""
        try:
            assembly = None if self.metadata is None else self.metadata.assembly()
        except Malformed:
            return None
        return None if assembly is None else ".".join(str(part) for part in assembly.version)


@dataclass(frozen=True, slots=True)
class ModuleGap:
    """An entry of the assembly list that could not be read: its address and the reason."""

    address: int
    reason: str


@dataclass(frozen=True, slots=True)
class ModuleList:
    """All modules in load order, and the entries that could not be read."""

    modules: tuple[Module, ...]
    gaps: tuple[ModuleGap, ...]


def read_modules(runtime: Runtime) -> list[Module]:
    """All loaded modules in load order, of every load context, collectible and dynamic ones too. Raises as `read_module_list`."""
    return list(read_module_list(runtime).modules)


def read_module_list(runtime: Runtime) -> ModuleList:
    """As `read_modules`, with the entries that could not be read.

    Raises LayoutError when the list itself cannot be found (a whole list names the core library) or a module does not lead back to its
    assembly, Unreadable when the list is not in the dump.
    """
    memory, layout = runtime.memory, runtime.layout
    system = memory.pointer(runtime.global_value("ObjectMethodTable") + layout.offset("MethodTable", "Module"))
    reader = _ModuleReader(runtime, system)
    modules: list[Module] = []
    gaps: list[ModuleGap] = []
    for domain_assembly in array_list(memory, layout, runtime.global_value("AppDomain") + layout.offset("AppDomain", "DomainAssemblyList")):
        if not domain_assembly:
            continue  # the slot of an assembly that was unloaded (AppDomain::RemoveAssembly writes null)
        try:
            module = reader.module(domain_assembly)
        except (Unreadable, Malformed) as error:
            gaps.append(ModuleGap(domain_assembly, str(error)))
            continue
        if module is not None:
            modules.append(module)
    if not gaps and all(module.address != system for module in modules):
        raise LayoutError(f"self-check AppDomain.DomainAssemblyList: module {system:#x} of System.Object is not in the list of assemblies")
    return ModuleList(tuple(modules), tuple(gaps))


def array_list(memory: Memory, layout: Layout, address: int) -> Iterator[int]:
    """Elements of the runtime's ArrayListBase at `address`. Raises LimitExceeded, Malformed (blocks form a loop) or Unreadable."""
    left = memory.u32(address + layout.offset("ArrayListBase", "Count"))
    if left > LIMITS.assemblies:
        raise LimitExceeded(f"the list at {address:#x} claims {left} assemblies, more than {LIMITS.assemblies}")
    block = address + layout.offset("ArrayListBase", "FirstBlock")
    while left:
        size = memory.u32(block + layout.offset("ArrayListBlock", "Size"))
        if size == 0:
            raise Malformed(f"block {block:#x} of the list at {address:#x} is empty with {left} elements left")
        yield from memory.words(block + layout.offset("ArrayListBlock", "ArrayStart"), min(size, left))
        left -= min(size, left)
        block = memory.pointer(block + layout.offset("ArrayListBlock", "Next"))


def read_path(memory: Memory, layout: Layout, image: int) -> str | None:
    """PEImage.m_path, an SString in UTF-16: byte size with the terminating zero, then the buffer. Empty for Assembly.Load(byte[]).

    Raises Unreadable, LimitExceeded.
    """
    string = image + layout.offset("PEImage", "Path")
    size_bytes = memory.u32(string + layout.offset("SString", "Size"))
    if size_bytes > LIMITS.path_bytes:
        raise LimitExceeded(f"the path of image {image:#x} claims {size_bytes} bytes")
    buffer = memory.pointer(string + layout.offset("SString", "Buffer"))
    text = memory.utf16(buffer, size_bytes // 2) if size_bytes >= 2 else ""
    return text.rstrip("\0") or None


class _ModuleReader:
    """Reads one DomainAssembly after the other."""

    def __init__(self, runtime: Runtime, system_module: int) -> None:
        self._memory = runtime.memory
        self._layout = runtime.layout
        self._small = runtime.core.writer.mode == "mini"
        # To 3.1 the core library itself is bound by none; there the AppDomain leads to the binder of the default context.
        separate = self._layout.has("AppDomain", "TPABinder")
        default = self._pointer(runtime.global_value("AppDomain"), "AppDomain", "TPABinder") if separate else None
        self._default_binder: int | None = default
        if default is None:
            self._default_binder = self._binder(self._pointer(system_module, "Module", "PEAssembly"))
        self._system_allocator = self._loader_allocator(system_module, self._pointer(system_module, "Module", "Assembly"))

    def module(self, domain_assembly: int) -> Module | None:
        """The module; None for an assembly that is still being loaded and has none."""
        assembly = self._pointer(domain_assembly, "DomainAssembly", "Assembly")
        address = self._pointer(assembly, "Assembly", "Module") if assembly else 0
        if not address:
            return None
        if self._pointer(address, "Module", "Assembly") != assembly:
            raise LayoutError(f"self-check Module.Assembly: module {address:#x} does not lead back to assembly {assembly:#x}")
        pe_assembly = self._pointer(address, "Module", "PEAssembly")
        image = self._pointer(pe_assembly, "PEAssembly", "PEImage")
        base, size, mapped = self._image_layout(image) if image else (None, None, None)
        allocator = self._loader_allocator(address, assembly)
        try:
            binder = self._binder(pe_assembly)
        except Unreadable:
            if not self._small:
                raise
            binder = None  # a small dump has the modules that its stacks run through, without what tells their load context
        return Module(
            memory=self._memory,
            layout=self._layout,
            address=address,
            assembly=assembly,
            path=read_path(self._memory, self._layout, image) if image else None,
            image_base=base,
            size_bytes=size,
            mapped=mapped,
            dynamic=not image,
            collectible=allocator is not None and allocator != self._system_allocator,
            loader_allocator=allocator,
            binder=binder,
            load_context=self._load_context(binder),
            in_default_context=binder == self._default_binder,
        )

    def _pointer(self, address: int, type_name: str, field_name: str) -> int:
        return self._memory.pointer(address + self._layout.offset(type_name, field_name))

    def _loader_allocator(self, module: int, assembly: int) -> int | None:
        for owner, type_name in ((module, "Module"), (assembly, "Assembly")):
            if self._layout.has(type_name, "LoaderAllocator"):
                return self._pointer(owner, type_name, "LoaderAllocator")
        return None

    def _image_layout(self, image: int) -> tuple[int | None, int | None, bool | None]:
        """Base, size and kind of the layout that the runtime works with: the loaded one, else the flat one. IMAGE_FLAT comes before
        IMAGE_LOADED in PEImage::m_pLayouts (peimage.h); an IL-only image has the same layout object in both."""
        for name in ("LoadedImageLayout", "MappedImageLayout", "FlatImageLayout"):
            found = self._pointer(image, "PEImage", name) if self._layout.has("PEImage", name) else 0
            if found:
                base = self._pointer(found, "PEImageLayout", "Base")
                size = self._memory.u32(found + self._layout.offset("PEImageLayout", "Size"))
                flags = self._memory.u32(found + self._layout.offset("PEImageLayout", "Flags"))
                return base or None, size, bool(flags & self._layout.constant("PEImageLayoutFlags.Mapped"))
        return None, None, None

    def _binder(self, pe_assembly: int) -> int | None:
        """The AssemblyBinder: directly, or through the binder's own assembly (BINDER_SPACE::Assembly::m_pBinder) when there is one."""
        if self._layout.has("PEAssembly", "HostAssembly"):
            host = self._pointer(pe_assembly, "PEAssembly", "HostAssembly")
            if host:
                return self._pointer(host, "BinderAssembly", "Binder") or self._default_binder or 0
        if not self._layout.has("PEAssembly", "AssemblyBinder"):
            return None
        return self._pointer(pe_assembly, "PEAssembly", "AssemblyBinder") or None

    def _load_context(self, binder: int | None) -> int | None:
        """The managed AssemblyLoadContext behind the binder's GC handle (assemblybinder.h, m_ptrManagedAssemblyLoadContext).

        None also where a small dump lacks the binder or any dump the handle: all else of the module is there.
        """
        if not binder:
            return None
        default = binder == self._default_binder and self._layout.has("TPABinder")  # to 3.1 that binder is a class of its own
        try:
            handle = self._pointer(binder, "TPABinder" if default else "AssemblyBinder", "AssemblyLoadContext")
        except Unreadable:
            if not self._small:
                raise
            return None
        try:
            return self._memory.pointer(handle) or None if handle else None
        except Unreadable:
            return None
