"""Self-checks on modules: their images, binders and load contexts, metadata of those made in memory, and the types they refer to."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.dynamic_metadata import dynamic_metadata
from heaphound.runtime.modules import Module

SAMPLE_MODULES = 64
SAMPLE_REFERENCES = 40
LOAD_CONTEXT = "System.Runtime.Loader.AssemblyLoadContext"


def check_images(subject: CheckSubject) -> None:
    """What the runtime says of most images agrees with their headers: how they are mapped, and their size. Paths are whole texts."""
    seen, wrong = {True: 0, False: 0}, {True: list[str](), False: list[str]()}
    for module in subject.modules.modules[:SAMPLE_MODULES]:
        expect(module.path is None or "\0" not in module.path, f"PEImage.Path: the path of {module.name} goes on behind its end")
        if module.pe is None or module.size_bytes is None:
            continue
        headers, loaded = module.pe.headers, module.pe.mapping == "loaded"
        seen[loaded] += 1
        end = max((section.file_offset + section.file_size for section in headers.sections), default=0)
        if module.mapped != loaded:
            wrong[loaded].append(
                f"PEImageLayout.Flags: {module.name} is {'' if loaded else 'not '}mapped by sections, its flags say otherwise"
            )
        elif module.size_bytes != headers.size_of_image if loaded else module.size_bytes < end:
            wrong[loaded].append(
                f"PEImageLayout.Size: {module.name} has {module.size_bytes} bytes; by its headers {headers.size_of_image} or {end}"
            )
    for loaded, problems in wrong.items():
        some = problems[0] if problems else ""
        expect(2 * len(problems) <= seen[loaded], f"{some} ({len(problems)} of {seen[loaded]} images like it)")


def check_binders(subject: CheckSubject) -> None:
    """Each binder is an object of the runtime, and what it leads to is an AssemblyLoadContext."""
    image = subject.runtime.module
    known: set[int] = set()
    for module in subject.modules.modules:
        if not module.binder or module.binder in known:
            continue
        known.add(module.binder)
        vtable = subject.memory.pointer(module.binder)
        expect(
            image.base <= vtable < image.end, f"AssemblyBinder: that of {module.name} begins with {vtable:#x}, no vtable of {image.name}"
        )
        found = _class_of(subject, module.load_context)
        expect(
            found is None or LOAD_CONTEXT in found, f"AssemblyBinder.AssemblyLoadContext: that of {module.name} is a {(found or [''])[0]}"
        )
    own = [module for module in subject.modules.modules if module.binder and not module.in_default_context]
    if not own:
        subject.not_exercised("AssemblyBinder.AssemblyLoadContext")
    without = [module.name for module in own if not module.load_context]
    expect(2 * len(without) <= len(own), f"AssemblyBinder.AssemblyLoadContext: {', '.join(without[:4])} have none")


def _class_of(subject: CheckSubject, address: int | None) -> list[str] | None:
    """Names of an object's class and its bases; None for no object, one that is not in the dump, or where metadata is lacking."""
    if not address:
        return None
    try:
        found = subject.types.type(subject.memory.pointer(address) & ~subject.layout.constant("ObjectToMethodTableUnmask"))
        lineage = (found, *found.bases())
        return None if any(base.name_problem for base in lineage) else [base.name for base in lineage]
    except Unreadable:
        return None


def check_collectible_modules(subject: CheckSubject) -> None:
    """Modules that can be unloaded have a managed LoaderAllocator, and their types say that they can be."""
    found = [module for module in subject.modules.modules if module.collectible]
    if not found:
        subject.not_exercised("LoaderAllocator.ObjectHandle")
        subject.not_exercised("MethodTableFlags.Collectible")
    allocators: list[bool] = []
    for module in found[:SAMPLE_MODULES]:
        with suppress(Unreadable):  # a small dump has few types, and no objects
            allocators += [address is not None for address in _allocator_objects(subject, module)]
    expect(not allocators or any(allocators), f"LoaderAllocator.ObjectHandle: none of {len(found)} modules has a managed one")


def _allocator_objects(subject: CheckSubject, module: Module) -> Iterator[int | None]:
    """The managed LoaderAllocator by each of some types of a module that can be unloaded."""
    table = module.address + subject.layout.offset("Module", "TypeDefToMethodTableMap")
    for _, address in islice(subject.types.maps.items(table), SAMPLE_REFERENCES):
        known = subject.types.type(address)
        expect(known.is_collectible, f"MethodTableFlags.Collectible: {known.name} of {module.name} has flags {known.flags:#x}")
        yield subject.types.loader_allocator_object(address)


def check_emitted(subject: CheckSubject) -> None:
    """The metadata of modules made in memory can be read, of at least half."""
    dynamic = [module for module in subject.modules.modules if module.dynamic][:SAMPLE_MODULES]
    problems = [problem for module in dynamic if (problem := _emitted_problem(subject, module)) is not None]
    if not dynamic:
        subject.not_exercised("Module.DynamicMetadata")
    expect(2 * len(problems) <= len(dynamic), f"Module.DynamicMetadata: {len(problems)} of {len(dynamic)} cannot be read: {problems[:1]}")


def _emitted_problem(subject: CheckSubject, module: Module) -> str | None:
    try:
        row = dynamic_metadata(subject.memory, subject.layout, module.address).module()
        return None if row.name else f"the module at {module.address:#x} has no name"
    except (Malformed, Unreadable) as error:
        return None if subject.small and isinstance(error, Unreadable) else str(error)


def check_references(subject: CheckSubject) -> None:
    """Types that a module refers to have the name by which it does."""
    if not subject.layout.has("Module", "TypeRefToMethodTableMap"):
        return
    seen = 0
    for module in subject.modules.modules[:SAMPLE_MODULES]:
        if module.metadata is None or module.dynamic or seen >= SAMPLE_REFERENCES:
            continue
        table = module.address + subject.layout.offset("Module", "TypeRefToMethodTableMap")
        for row, handle in islice(subject.types.maps.items(table), SAMPLE_REFERENCES):
            if handle & subject.layout.constant("TypeHandle.TypeDescBit"):
                continue
            known = subject.types.type(handle)
            expected = module.metadata.typeref_full_name(row)
            agrees = known.name_problem is not None or known.definition_name == expected
            expect(
                agrees, f"Module.TypeRefToMethodTableMap: row {row} of {module.name} is {expected}, and leads to {known.definition_name}"
            )
            seen += 1
    if not seen:
        subject.not_exercised("Module.TypeRefToMethodTableMap")
