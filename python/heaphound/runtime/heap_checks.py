"""The self-checks on what a table of objects and types rests on: the walk of the heap, types with their names and fields, modules."""

from collections.abc import Callable

from heaphound.runtime.ability import Ability
from heaphound.runtime.checks import Check, run_checks
from heaphound.runtime.content_checks import check_field_names, check_metadata, check_names
from heaphound.runtime.link_checks import check_instantiations
from heaphound.runtime.module_checks import check_binders, check_collectible_modules, check_emitted, check_images, check_references
from heaphound.runtime.modules import ModuleList
from heaphound.runtime.number_checks import check_numbers
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.structure_checks import (
    check_assembly,
    check_assembly_list,
    check_class,
    check_fields,
    check_file,
    check_gc_state,
    check_image,
    check_modules,
    check_objects,
    check_segments,
    check_token,
    check_walk,
)
from heaphound.runtime.type_checks import check_contents, check_kinds, check_sizes

HEAP_CHECKS = [
    Check("layout", "numbers", (("Thread", "Id"), ("TableSegment", "Values"), ("FieldDesc", "DWord1")), check_numbers),
    Check("heap walk", "objects", (("MethodTable", "MTFlags"), ("MethodTable", "ParentMethodTable")), check_objects),
    Check("heap walk", "segments", (("HeapSegment", "Mem"), ("GcDacVars", "GenerationTable")), check_segments),
    Check("heap walk", "state of the GC", (("GcDacVars", "StructuresInvalidCount"),), check_gc_state),
    Check("heap walk", "walk of the smallest segments", (("HeapSegment", "Allocated"), ("MethodTable", "BaseSize")), check_walk),
    Check("types", "EEClass", (("MethodTable", "EEClassOrCanonMT"), ("EEClass", "MethodTable")), check_class),
    Check("types", "TypeDef", (("Module", "TypeDefToMethodTableMap"), ("ModuleLookupMap", "TableData")), check_token),
    Check("types", "instantiations", (("Module", "AvailableTypeParams"), ("EETypeHashTable", "Count")), check_instantiations),
    Check("types", "kinds", (("MethodTable", "MTFlags"),), check_kinds),
    Check("types", "sizes", (("EEClass", "BaseSizePadding"),), check_sizes),
    Check("types", "contents", (("MethodTable", "MTFlags"),), check_contents),
    Check("type names", "metadata", (("PEImageLayout", "Base"),), check_metadata),
    Check("type names", "well-known types", (("Module", "TypeDefToMethodTableMap"),), check_names),
    Check("fields", "FieldDesc", (("EEClass", "FieldDescList"), ("FieldDesc", "DWord2")), check_fields),
    Check("fields", "known fields", (("FieldDesc", "DWord1"),), check_field_names),
    Check("modules", "assembly of the core library", (("Module", "Assembly"), ("Assembly", "Module")), check_assembly),
    Check("modules", "list of assemblies", (("AppDomain", "DomainAssemblyList"),), check_assembly_list),
    Check("modules", "file of the core library", (("PEAssembly", "PEImage"), ("PEImage", "Path")), check_file),
    Check("modules", "image of the core library", (("PEImageLayout", "Base"),), check_image),
    Check("modules", "modules", (("Module", "Assembly"), ("Assembly", "Module"), ("AppDomain", "DomainAssemblyList")), check_modules),
    Check("modules", "images", (("PEImageLayout", "Size"), ("PEImageLayout", "Flags")), check_images),
    Check("modules", "binders", (("PEAssembly", "AssemblyBinder"), ("AssemblyBinder", "AssemblyLoadContext")), check_binders),
    Check("modules", "modules that can be unloaded", (("LoaderAllocator", "ObjectHandle"),), check_collectible_modules),
    Check("modules", "modules made in memory", (("Module", "DynamicMetadata"),), check_emitted),
    Check("types", "references to types", (("Module", "TypeRefToMethodTableMap"),), check_references),
]


def read_heap_abilities(runtime: Runtime, modules: Callable[[], ModuleList] | None = None) -> tuple[Ability, ...]:
    """The abilities that `HEAP_CHECKS` are about, as `read_abilities` of all checks has them; in a third of its time."""
    return run_checks(runtime, HEAP_CHECKS, modules)
