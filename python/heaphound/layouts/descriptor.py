"""The runtime's own data descriptor: DotNetRuntimeContractDescriptor in libcoreclr, .NET 9 and later."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from heaphound.errors import Malformed
from heaphound.layouts.schema import TypeLayout, merge_types, read_types

MAGIC = b"DNCCDAC\0"
HEADER = struct.Struct("<8sIIQIIQ")
MAXIMUM_JSON_BYTES = 1 << 20
MAXIMUM_POINTERS = 4096
PARTS = "subDescriptors"


@dataclass(frozen=True)
class Descriptor:
    """What the runtime says of itself: types, literal globals, addresses of pointer globals, contract versions.

    Strings among the globals (`Architecture`) are in `texts`. `parts` are the variables that point to descriptors of their own: the GC's,
    since 11.0. Format: docs/design/datacontracts/contract-descriptor.md of dotnet/runtime; CDAC_GLOBAL_SUB_DESCRIPTOR for the parts.
    """

    types: Mapping[str, TypeLayout]
    literals: Mapping[str, int]
    addresses: Mapping[str, int]
    texts: Mapping[str, str]
    contracts: Mapping[str, int]
    parts: Mapping[str, int] = field(default_factory=dict)

    def with_part(self, part: "Descriptor") -> "Descriptor":
        """What this descriptor and one of its parts say together; what both have is the part's."""
        return Descriptor(
            merge_types(self.types, part.types),
            {**self.literals, **part.literals},
            {**self.addresses, **part.addresses},
            {**self.texts, **part.texts},
            {**self.contracts, **part.contracts},
            self.parts,
        )


def read_descriptor(read: Callable[[int, int], bytes], address: int) -> Descriptor:
    """The descriptor at `address`, which the symbol DotNetRuntimeContractDescriptor names.

    `read(address, size_bytes)` gives the dump's bytes and raises Unreadable where it has none (a `--withheap` dump lacks the page).
    Raises Malformed when the bytes are no descriptor of a 64-bit little-endian process.
    """
    magic, flags, json_bytes, json_address, pointer_count, _, pointers_address = HEADER.unpack(read(address, HEADER.size))
    if magic != MAGIC:
        raise Malformed(f"no contract descriptor at {address:#x}: magic {magic!r}")
    if not flags & 1 or flags & 2:
        raise Malformed(f"contract descriptor at {address:#x} has flags {flags:#x}: not of a 64-bit process")
    if json_bytes > MAXIMUM_JSON_BYTES or pointer_count > MAXIMUM_POINTERS:
        raise Malformed(f"contract descriptor at {address:#x} has {json_bytes} bytes of JSON and {pointer_count} pointers")
    text = read(json_address, json_bytes)
    pointers = struct.unpack(f"<{pointer_count}Q", read(pointers_address, 8 * pointer_count))
    return parse_descriptor(text, pointers)


def parse_descriptor(text: bytes, pointers: tuple[int, ...]) -> Descriptor:
    """The descriptor out of its JSON and its pointer table; raises Malformed on anything but the compact schema."""
    try:
        raw = json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Malformed(f"the contract descriptor's JSON cannot be read: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("globals", {}), dict) or not isinstance(raw.get("contracts", {}), dict):
        raise Malformed("the contract descriptor's JSON is not an object of types, globals and contracts")
    literals: dict[str, int] = {}
    addresses: dict[str, int] = {}
    texts: dict[str, str] = {}
    for name, value in raw.get("globals", {}).items():
        _read_global(name, value, pointers, literals, addresses, texts)
    contracts = {name: version for name, version in raw.get("contracts", {}).items() if type(version) is int}
    parts: dict[str, int] = {}
    given = raw.get(PARTS, {})
    if not isinstance(given, dict):
        raise Malformed("the contract descriptor's parts are not an object")
    for name, value in given.items():
        _read_global(name, value, pointers, {}, parts, {})
    return Descriptor(read_types(raw.get("types", {}), "descriptor"), literals, addresses, texts, contracts, parts)


def _read_global(
    name: str, value: object, pointers: tuple[int, ...], literals: dict[str, int], addresses: dict[str, int], texts: dict[str, str]
) -> None:
    """Sort one global in: `[[index], type]` is an indirect one, `["0x..", type]` or a bare number a literal."""
    type_name = value[1] if isinstance(value, list) and len(value) == 2 else None
    plain = value[0] if type_name is not None and isinstance(value, list) else value
    if isinstance(plain, list) and len(plain) == 1 and type(plain[0]) is int:
        if not 0 <= plain[0] < len(pointers):
            raise Malformed(f"the contract descriptor's global {name} has index {plain[0]} of {len(pointers)} pointers")
        addresses[name] = pointers[plain[0]]
    elif type_name == "string" and isinstance(plain, str):
        texts[name] = plain
    elif type(plain) is int:
        literals[name] = plain
    elif isinstance(plain, str):
        try:
            literals[name] = int(plain, 0)
        except ValueError:
            texts[name] = plain
    else:
        raise Malformed(f"the contract descriptor's global {name} is {value!r}")
