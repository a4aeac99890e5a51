"""Layout: offsets, sizes, constants, global addresses and contract names of one CoreCLR, each with its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from heaphound.errors import LayoutError

Origin = Literal["descriptor", "layout file", "found by search"]


@dataclass(frozen=True)
class Field:
    """One field: its offset in bytes, the type name where the source gives one, and where the number comes from."""

    offset: int
    type_name: str | None
    origin: Origin


@dataclass(frozen=True)
class TypeLayout:
    """Fields of one structure; `size_bytes` is None where nothing needs the size and no source gives it."""

    fields: Mapping[str, Field]
    size_bytes: int | None = None


@dataclass(frozen=True)
class Broken:
    """A rule among numbers that does not hold, and why.

    `names` are those that may be wrong: `Thread.Id`, `size of Thread`, `constant GCInfoVersion`, `contract ILMap`.
    """

    names: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Layout:
    """What is known of one CoreCLR's structures. Names are those of the runtime's own contract descriptor where it has them, else C++'s.

    `version` is the layout's major.minor. `globals` holds addresses of the runtime's global variables in this dump (not their values).
    `broken` are numbers that contradict others of the layout, each with the sentence: asking for one raises LayoutError.
    """

    version: str
    types: Mapping[str, TypeLayout]
    constants: Mapping[str, int]
    contracts: Mapping[str, str | int]
    handle_kinds: tuple[str, ...]
    globals: Mapping[str, int] = field(default_factory=dict)
    global_origins: Mapping[str, Origin] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def offset(self, type_name: str, field_name: str) -> int:
        """Byte offset of a field; LayoutError if this runtime's layout has no such field."""
        return self._field(type_name, field_name).offset

    def origin(self, type_name: str, field_name: str) -> Origin:
        """Where the offset comes from, also of one that is refused; LayoutError if there is none."""
        return self._known_field(type_name, field_name).origin

    def has(self, type_name: str, field_name: str | None = None) -> bool:
        """Whether the type (and the field, when named) is in the layout."""
        known = self.types.get(type_name)
        return known is not None and (field_name is None or field_name in known.fields)

    def size(self, type_name: str) -> int:
        """Size of a structure in bytes; LayoutError where it is not known."""
        known = self.types.get(type_name)
        if known is None or known.size_bytes is None:
            raise LayoutError(f"the layout of .NET {self.version} has no size of {type_name}")
        self._refuse_broken(f"size of {type_name}")
        return known.size_bytes

    def constant(self, name: str) -> int:
        """A literal (flag mask, count, index); LayoutError if absent."""
        if name not in self.constants:
            raise LayoutError(f"the layout of .NET {self.version} has no constant {name}")
        self._refuse_broken(f"constant {name}")
        return self.constants[name]

    def has_constant(self, name: str) -> bool:
        """Whether the literal is in the layout."""
        return name in self.constants

    def global_address(self, name: str) -> int:
        """Address in the dump of the runtime's global variable (read it to get its value); LayoutError if absent."""
        if name not in self.globals:
            raise LayoutError(f"the layout of .NET {self.version} has no global {name} for this dump")
        return self.globals[name]

    def has_global(self, name: str) -> bool:
        """Whether the address of the global variable is known."""
        return name in self.globals

    def global_origin(self, name: str) -> Origin:
        """Where the address of the global comes from; LayoutError if absent."""
        self.global_address(name)
        return self.global_origins[name]

    def contract(self, name: str) -> str | int:
        """Which algorithm applies: a short name (`Statics`, `CodeRanges`, ...), or a version number of the runtime's own contracts."""
        if name not in self.contracts:
            raise LayoutError(f"the layout of .NET {self.version} has no contract {name}")
        self._refuse_broken(f"contract {name}")
        return self.contracts[name]

    def has_contract(self, name: str) -> bool:
        """Whether the contract is named in the layout."""
        return name in self.contracts

    def with_globals(self, addresses: Mapping[str, int], origin: Origin) -> "Layout":
        """The same layout with addresses of globals laid over those it has."""
        origins = dict(self.global_origins) | dict.fromkeys(addresses, origin)
        return replace(self, globals={**self.globals, **addresses}, global_origins=origins)

    def with_types(self, types: Mapping[str, TypeLayout]) -> "Layout":
        """The same layout with types laid over: a field given here wins, others stay."""
        return replace(self, types=merge_types(self.types, types))

    def with_found(self, type_name: str, field_name: str, offset: int) -> "Layout":
        """The same layout with one offset that was found by search in this dump."""
        return self.with_types({type_name: TypeLayout({field_name: Field(offset, None, "found by search")})})

    def _field(self, type_name: str, field_name: str) -> Field:
        found = self._known_field(type_name, field_name)
        self._refuse_broken(f"{type_name}.{field_name}")
        return found

    def _known_field(self, type_name: str, field_name: str) -> Field:
        known = self.types.get(type_name)
        if known is None or field_name not in known.fields:
            raise LayoutError(f"the layout of .NET {self.version} has no {type_name}.{field_name}")
        return known.fields[field_name]

    def _refuse_broken(self, name: str) -> None:
        if self.broken and name in self.broken:
            raise LayoutError(f"self-check of the layout: {self.broken[name]}")


def merge_types(below: Mapping[str, TypeLayout], above: Mapping[str, TypeLayout]) -> dict[str, TypeLayout]:
    """Both sets of types; where both have a field or a size, `above` wins."""
    merged = dict(below)
    for name, layout in above.items():
        known = merged.get(name)
        if known is None:
            merged[name] = layout
            continue
        size_bytes = known.size_bytes if layout.size_bytes is None else layout.size_bytes
        merged[name] = TypeLayout({**known.fields, **layout.fields}, size_bytes)
    return merged


MAXIMUM_OFFSET = 1 << 20


def read_types(raw: object, origin: Origin) -> dict[str, TypeLayout]:
    """Types out of the compact descriptor schema: {type: {"!": size, field: offset | [offset, type name]}}. LayoutError if it is not that.

    Schema: docs/design/datacontracts/data_descriptor.md of dotnet/runtime, "Compact JSON".
    """
    if not isinstance(raw, dict):
        raise LayoutError("a layout's types are not an object")
    return {name: _read_type(name, fields, origin) for name, fields in raw.items()}


def _read_type(name: str, raw: object, origin: Origin) -> TypeLayout:
    if not isinstance(raw, dict):
        raise LayoutError(f"the layout of type {name} is not an object")
    size_bytes: int | None = None
    fields: dict[str, Field] = {}
    for field_name, value in raw.items():
        offset, type_name = (value[0], value[1]) if isinstance(value, list) and len(value) == 2 else (value, None)
        if type(offset) is not int or not 0 <= offset < MAXIMUM_OFFSET or not (type_name is None or isinstance(type_name, str)):
            raise LayoutError(f"the layout's {name}.{field_name} is {value!r}, not an offset")
        if field_name == "!":
            size_bytes = offset
        else:
            fields[field_name] = Field(offset, type_name, origin)
    return TypeLayout(fields, size_bytes)
