"""One type: what its MethodTable, its class and its metadata say."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.fields import Field, literal_fields, read_fields
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.modules import Module
from heaphound.runtime.type_names import FREE, array_name, definition_name, generic_name, placeholder
from heaphound.runtime.well_known_types import primitive_name

if TYPE_CHECKING:
    from heaphound.runtime.typesystem import TypeSystem

_VALUE_TYPE_CATEGORIES = 0x40000  # this bit of the category is set for value types alone once arrays and interfaces are excluded
_ARRAY_HEADER_BYTES = 24  # object header, MethodTable, length: src/coreclr/vm/object.h, ArrayBase
_BOUNDS_BYTES = 8  # length and lower bound of a dimension


class Type:
    """A loaded type. Everything past `flags` and `base_size` is read when asked for; properties raise Unreadable or Malformed.

    `flags` is MTFlags as stored; `base_size` and `component_size` are in bytes as the GC uses them: an object takes `base_size` (with its
    header) plus `component_size` for each element or character, rounded up to 8.
    """

    def __init__(self, system: TypeSystem, method_table: int) -> None:
        self.system = system
        self.method_table = method_table
        self.flags, self.base_size = system.method_tables.flags_and_base_size(method_table)
        constant = system.layout.constant
        has_components = bool(self.flags & constant("MethodTableFlags.HasComponentSize"))
        self.component_size = self.flags & constant("MethodTableFlags.ComponentSizeMask") if has_components else 0
        self.is_free = method_table == system.well_known("FreeObjectMethodTable")
        if not self.is_free:
            self.eeclass = system.method_tables.eeclass(method_table)

    def __repr__(self) -> str:
        return f"<Type {self.name} at {self.method_table:#x}>"

    def _category(self, mask: str) -> int:
        return self.flags & self.system.layout.constant(f"MethodTableFlags.{mask}")

    @property
    def is_string(self) -> bool:
        """Whether it is System.String."""
        return self.method_table == self.system.well_known("StringMethodTable")

    @property
    def is_array(self) -> bool:
        """Whether it is an array type of any rank."""
        return not self.is_free and self._category("CategoryArrayMask") == self.system.layout.constant("MethodTableFlags.CategoryArray")

    @property
    def is_vector(self) -> bool:
        """Whether it is an array of one dimension with lower bound 0 (`T[]`)."""
        return self.is_array and bool(self._category("CategorySZArrayIf"))

    @property
    def is_interface(self) -> bool:
        """Whether it is an interface."""
        return self._category("CategoryMask") == self.system.layout.constant("MethodTableFlags.CategoryInterface")

    @property
    def is_value_type(self) -> bool:
        """Whether instances are values: structs, enums, primitives. On the heap they are boxed."""
        if self.is_free or self.is_array or self.is_interface:
            return False
        return bool(self._category("CategoryMask") & _VALUE_TYPE_CATEGORIES)

    @cached_property
    def is_enum(self) -> bool:
        """Whether it is an enum type."""
        return self.is_value_type and self._parent_address == self.system.well_known("EnumMethodTable")

    @cached_property
    def is_delegate(self) -> bool:
        """Whether it is a delegate type."""
        return not self.is_free and self._parent_address == self.system.well_known("MulticastDelegateMethodTable")

    @property
    def is_nullable(self) -> bool:
        """Whether it is System.Nullable<T>."""
        return self._category("CategoryMask") == self.system.layout.constant("MethodTableFlags.CategoryNullable")

    @property
    def is_collectible(self) -> bool:
        """Whether its objects keep a collectible load context alive."""
        return bool(self._category("Collectible"))

    @property
    def contains_references(self) -> bool:
        """Whether instances hold references to objects (the GC has a description of where)."""
        return bool(self._category("ContainsGCPointers"))

    @property
    def has_finalizer(self) -> bool:
        """Whether instances are finalizable."""
        return bool(self._category("HasFinalizer"))

    @property
    def _generics(self) -> int:
        return 0 if self.component_size or self.is_free else self._category("GenericsMask")

    @property
    def is_generic(self) -> bool:
        """Whether it is an instantiation or definition of a generic type (or nested in one)."""
        return bool(self._generics)

    @property
    def is_generic_definition(self) -> bool:
        """Whether it is the open type, such as List<T>."""
        return self._generics == self.system.layout.constant("MethodTableFlags.GenericsTypicalInst")

    @cached_property
    def _parent_address(self) -> int:
        return self.system.method_tables.parent(self.method_table)

    @cached_property
    def parent(self) -> Type | None:
        """The base type; None for System.Object and interfaces."""
        return self.system.type(self._parent_address) if self._parent_address and not self.is_free else None

    def bases(self) -> list[Type]:
        """Its base types, nearest first. Raises LimitExceeded when they form a loop."""
        found: list[Type] = []
        current = self.parent
        while current is not None:
            if len(found) > LIMITS.type_parents:
                raise LimitExceeded(f"the base types of {self.method_table:#x} form a loop")
            found.append(current)
            current = current.parent
        return found

    @cached_property
    def canonical(self) -> Type:
        """The type whose class and code it shares: itself, or for instantiations over references the one over System.__Canon."""
        return self.system.type(self.system.method_tables.canonical(self.method_table))

    @cached_property
    def module_address(self) -> int:
        """Address of the Module structure that defines it; 0 for free space."""
        return 0 if self.is_free else self.system.method_tables.module(self.method_table, self.flags)

    @cached_property
    def module(self) -> Module | None:
        """The module that defines it; None for free space and where the module is not among the loaded ones."""
        return self.system.module_at(self.module_address)

    @cached_property
    def row(self) -> int | None:
        """Row id of its TypeDef, 0 for arrays and free space.

        A 16-bit token that overflowed is looked up backwards in the module's table; None when it is not there either.
        """
        if self.is_array or self.is_free:
            return 0
        row = self.system.method_tables.token_row(self.method_table)
        if row is not None or self.module is None:
            return row
        table = self.module.address + self.system.layout.offset("Module", "TypeDefToMethodTableMap")
        wanted = {self.method_table, self.canonical.method_table}
        return next((row for row, address in self.system.maps.items(table) if address in wanted or self._same_class(address)), None)

    def _same_class(self, address: int) -> bool:
        return self.system.method_tables.eeclass(address) == self.eeclass

    @property
    def token(self) -> int:
        """TypeDef token, 0 where it has none."""
        return 0x02000000 | self.row if self.row else 0

    @cached_property
    def value_bytes(self) -> int:
        """Size in bytes of an unboxed value of a value type (what an array element of it takes)."""
        padding = self.system.memory.u8(self.eeclass + self.system.layout.offset("EEClass", "BaseSizePadding"))
        if padding > self.base_size:
            raise Malformed(f"type {self.name} has {padding} bytes of padding in a base size of {self.base_size}")
        return self.base_size - padding

    @cached_property
    def rank(self) -> int:
        """Dimensions of an array, 0 for other types. Raises Malformed beyond the runtime's own bound of 32."""
        if not self.is_array:
            return 0
        dimensions = (self.base_size - _ARRAY_HEADER_BYTES) // _BOUNDS_BYTES
        if dimensions > LIMITS.array_rank:
            raise Malformed(f"array type {self.method_table:#x} has a base size of {self.base_size} bytes")
        return dimensions or 1

    @cached_property
    def element(self) -> ResolvedType | None:
        """Type of an array's elements; None for other types."""
        return self.system.resolve_handle(self.system.method_tables.element(self.method_table)) if self.is_array else None

    @cached_property
    def generic_arguments(self) -> tuple[ResolvedType, ...]:
        """Arguments of a generic type, those of enclosing types first; the parameters themselves for a definition; empty for others."""
        if not self.is_generic:
            return ()
        return tuple(self.system.resolve_handle(handle) for handle in self.system.method_tables.arguments(self.method_table))

    @cached_property
    def element_type(self) -> int:
        """CorElementType; of an enum the one of its underlying type."""
        if self.is_array:
            return ElementType.VECTOR if self.is_vector else ElementType.ARRAY
        if self.is_string:
            return ElementType.STRING
        if self.is_free:
            return ElementType.CLASS
        return self.system.method_tables.element_type(self.eeclass)

    @cached_property
    def _named(self) -> tuple[str, str | None]:
        if self.is_free:
            return FREE, None
        try:
            if self.element is not None:
                return array_name(self.element.name, self.rank, self.is_vector), None
            plain, problem = definition_name(self.module, self.module_address, self.row, self.method_table)
            if problem is not None and self._known_name is not None:
                return self._known_name, None
            return (generic_name(plain, [part.name for part in self.generic_arguments]) if self.is_generic else plain), problem
        except (Unreadable, Malformed) as error:
            return placeholder(self.method_table), str(error)

    @property
    def _known_name(self) -> str | None:
        """Name without metadata: of a primitive by its kind, of what a global of the runtime points to."""
        if self._category("CategoryMask") == self.system.layout.constant("MethodTableFlags.CategoryTruePrimitive"):
            return primitive_name(self.element_type)
        return self.system.well_known_name(self.method_table)

    @property
    def definition_name(self) -> str:
        """Metadata name without arguments (`Ns.List`1`); a placeholder as in `name`. Arrays have none of their own."""
        return definition_name(self.module, self.module_address, self.row, self.method_table)[0]

    @property
    def name(self) -> str:
        """C#-like name; where metadata is missing, a placeholder in angle brackets (`name_problem` says why). Raises nothing."""
        return self._named[0]

    @property
    def name_problem(self) -> str | None:
        """Why the name is a placeholder; None when it is the real one."""
        return self._named[1]

    @cached_property
    def resolved(self) -> ResolvedType:
        """Itself, as signatures and handles name types."""
        arguments = () if self.is_array else self.generic_arguments
        return ResolvedType(self.name, self._kind, self, arguments=arguments, layout=self, element=self.element)

    @property
    def _kind(self) -> int:
        if self.is_value_type and not self.is_enum:
            return self.element_type
        return ElementType.VALUE_TYPE if self.is_value_type else self.element_type

    @cached_property
    def own_fields(self) -> tuple[Field, ...]:
        """Fields that the type itself declares and that have storage: instance fields, then statics."""
        return () if self.is_array or self.is_free else read_fields(self.system, self, self.resolved.arguments)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Instance fields, those of base types first."""
        lineage = [*reversed(self.bases()), self]
        return tuple(field for owner in lineage for field in owner.own_fields if not field.is_static)

    @property
    def static_fields(self) -> tuple[Field, ...]:
        """Own static fields with storage, thread statics and those in the image too; no literals."""
        return tuple(field for field in self.own_fields if field.is_static)

    @cached_property
    def literals(self) -> dict[str, int | float | str | None]:
        """Constants that the type declares, in metadata order; of an enum its members. Empty without metadata."""
        return literal_fields(self)
