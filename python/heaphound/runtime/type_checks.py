"""Self-checks on types: flags and sizes in the MethodTable against what metadata and fields say of the same type."""

from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.element_types import PRIMITIVE_BYTES, ElementType
from heaphound.runtime.types import Type

# Types of the core library of whose kind there is no doubt; those that a process has not loaded are passed over.
PRIMITIVES = ("Boolean", "Char", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Single", "Double", "IntPtr")
STRUCTURES = {"System.Guid": 16, "System.Decimal": 16, "System.DateTime": 8, "System.TimeSpan": 8}
INTERFACES = ("System.IDisposable", "System.IComparable", "System.Collections.IEnumerable", "System.ICloneable")
NULLABLE = "System.Nullable`1"
GENERIC = "System.Collections.Generic.List`1"
CLASSES = (
    "System.Object",
    "System.Exception",
    "System.OutOfMemoryException",
    "System.Delegate",
    "System.MulticastDelegate",
    "System.RuntimeType",
    "System.Version",
    "System.WeakReference",
    "System.Threading.Thread",
    "System.Threading.Timer",
    "System.Threading.TimerQueue",
    "System.Threading.CancellationTokenSource",
    "System.Threading.Tasks.Task",
    "System.Runtime.InteropServices.SafeHandle",
    "Microsoft.Win32.SafeHandles.SafeWaitHandle",
    "System.Collections.Hashtable",
    "System.Reflection.LoaderAllocator",
)
HEADER_AND_METHOD_TABLE_BYTES = 16
SMALLEST_OBJECT_BYTES = 24
WORD_BYTES = 8


def check_kinds(subject: CheckSubject) -> None:
    """Types of the core library are of the kind that their names promise: primitive, struct, interface, Nullable, class."""
    found = {name: subject.types.core_type(name) for name in (*INTERFACES, *STRUCTURES, NULLABLE, *CLASSES)}
    found |= {f"System.{name}": subject.types.core_type(f"System.{name}") for name in PRIMITIVES}
    constant = subject.layout.constant
    primitive = constant("MethodTableFlags.CategoryTruePrimitive")
    for name, known in found.items():
        if known is None:
            continue
        kinds = (
            known.flags & constant("MethodTableFlags.CategoryMask") == primitive,
            known.is_value_type,
            known.is_interface,
            known.is_nullable,
        )
        is_value = name not in INTERFACES and name not in CLASSES
        expected = (is_value and name not in STRUCTURES and name != NULLABLE, is_value, name in INTERFACES, name == NULLABLE)
        expect(
            kinds == expected,
            f"MethodTableFlags.Category: {name} has flags {known.flags:#x}: (primitive, value, interface, Nullable) = {kinds}",
        )
        expect(not known.is_collectible, f"MethodTableFlags.Collectible: {name} of the core library has flags {known.flags:#x}")
        loader = subject.types.method_tables.loader_module(known.method_table)
        expect(loader == subject.core_library, f"MethodTableAuxiliaryData.LoaderModule: {name} is said to be loaded into {loader:#x}")
    generic = subject.types.core_type(GENERIC)
    named = [] if generic is None else [argument.name for argument in generic.generic_arguments]
    expect(generic is None or named == ["T"], f"TypeVarTypeDesc: the parameters of {GENERIC} are called {named}")
    if found[NULLABLE] is None:
        subject.not_exercised("MethodTableFlags.CategoryNullable")


def check_sizes(subject: CheckSubject) -> None:
    """Sizes of types, which base size and padding give, agree with their fields; base sizes with sizes."""
    for name in PRIMITIVES:
        known = subject.types.core_type(f"System.{name}")
        if known is not None:
            expected = PRIMITIVE_BYTES.get(known.element_type)
            expect(known.value_bytes == expected, f"EEClass.BaseSizePadding: System.{name} takes {known.value_bytes} bytes, not {expected}")
    for name, size_bytes in STRUCTURES.items():
        known = subject.types.core_type(name)
        agrees = known is None or known.value_bytes == size_bytes
        expect(agrees, f"EEClass.BaseSizePadding: {name} takes {known.value_bytes if known else 0} bytes, not {size_bytes}")
    for name in CLASSES:
        known = subject.types.core_type(name)
        if known is not None:
            end, least = _fields_end(known), _rounded(known.value_bytes + HEADER_AND_METHOD_TABLE_BYTES)
            fits = end is None or end <= known.value_bytes < end + WORD_BYTES
            expect(fits, f"EEClass.BaseSizePadding: the fields of {name} end at {end}, its size is {known.value_bytes}")
            agrees = known.base_size == max(SMALLEST_OBJECT_BYTES, least)
            expect(agrees, f"MethodTable.BaseSize: {name} has {known.base_size} bytes and fields of {known.value_bytes}")


def _rounded(size_bytes: int) -> int:
    return -(-size_bytes // WORD_BYTES) * WORD_BYTES


def _fields_end(known: Type) -> int | None:
    """Where the last instance field ends; None where one is a struct whose own type is not loaded."""
    end = 0
    for field in known.fields:
        if field.element_type == ElementType.VALUE_TYPE:
            layout = field.type.layout
            if layout is None:
                return None
            size = layout.value_bytes
        else:
            size = PRIMITIVE_BYTES.get(field.element_type, WORD_BYTES)
        end = max(end, (field.offset or 0) + size)
    return end


def check_contents(subject: CheckSubject) -> None:
    """Who has fields that refer to objects has the flag that tells the GC so; who declares or inherits a finalizer has that flag."""
    finalizable = 0
    for name in CLASSES:
        known = subject.types.core_type(name)
        if known is None:
            continue
        kinds = {field.element_type for field in known.fields}
        references = any(field.is_reference for field in known.fields)
        told = references or ElementType.VALUE_TYPE not in kinds
        flags = f"{name} has flags {known.flags:#x}"
        expect(not told or known.contains_references == references, f"MethodTableFlags.ContainsGCPointers: {flags}")
        declares = any(declares_method(owner, "Finalize") for owner in (known, *known.bases()))
        expect(known.has_finalizer == declares, f"MethodTableFlags.HasFinalizer: {flags}, and {'a' if declares else 'no'} finalizer")
        finalizable += declares
    if not finalizable:
        subject.not_exercised("MethodTableFlags.HasFinalizer")


def declares_method(owner: Type, name: str) -> bool:
    """Whether a type declares a method of that name itself, by metadata; not for System.Object, nor where metadata is lacking."""
    module = owner.module
    if owner.parent is None or module is None or module.metadata is None or not owner.row:
        return False
    metadata = module.metadata
    return any(metadata.method_name(method) == name for method in metadata.typedef(owner.row).methods)
