"""Signature blobs as small frozen trees (ECMA-335 II.23.2). Decoding is depth-limited and raises Malformed on anything else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from heaphound.errors import LimitExceeded, Malformed
from heaphound.runtime.metadata.heaps import compressed_signed, compressed_unsigned

_MAXIMUM_DEPTH = 128  # nesting of one type; real signatures stay below 20
_MAXIMUM_NODES = 1024  # types in one signature: a forged tree must not fan out
_MAXIMUM_RANK = 32  # the runtime's own bound on array ranks

PRIMITIVES: Final[dict[int, str]] = {
    0x01: "System.Void",
    0x02: "System.Boolean",
    0x03: "System.Char",
    0x04: "System.SByte",
    0x05: "System.Byte",
    0x06: "System.Int16",
    0x07: "System.UInt16",
    0x08: "System.Int32",
    0x09: "System.UInt32",
    0x0A: "System.Int64",
    0x0B: "System.UInt64",
    0x0C: "System.Single",
    0x0D: "System.Double",
    0x0E: "System.String",
    0x16: "System.TypedReference",
    0x18: "System.IntPtr",
    0x19: "System.UIntPtr",
    0x1C: "System.Object",
}


@dataclass(frozen=True, slots=True)
class Primitive:
    """A built-in type by its CorElementType; `name` is its full name in the core library."""

    element_type: int

    @property
    def name(self) -> str:
        """Full name, such as System.Int32."""
        return PRIMITIVES[self.element_type]


@dataclass(frozen=True, slots=True)
class Named:
    """A class or value type by TypeDef, TypeRef or TypeSpec token of the module that the signature lies in."""

    token: int
    is_value_type: bool


@dataclass(frozen=True, slots=True)
class Internal:
    """A runtime type by the address of its TypeHandle; only in signatures of dynamic methods and stubs (ELEMENT_TYPE_INTERNAL)."""

    address: int


@dataclass(frozen=True, slots=True)
class GenericInstance:
    """A generic type with its arguments."""

    definition: "Named | Internal"
    arguments: "tuple[SignatureType, ...]"


@dataclass(frozen=True, slots=True)
class TypeParameter:
    """Type parameter of the enclosing type, by number."""

    number: int


@dataclass(frozen=True, slots=True)
class MethodParameter:
    """Type parameter of the generic method, by number."""

    number: int


@dataclass(frozen=True, slots=True)
class Vector:
    """A one-dimensional array with lower bound 0."""

    element: "SignatureType"


@dataclass(frozen=True, slots=True)
class Array:
    """An array of `rank` dimensions; sizes and lower bounds as far as the signature gives them."""

    element: "SignatureType"
    rank: int
    sizes: tuple[int, ...]
    lower_bounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pointer:
    """An unmanaged pointer."""

    target: "SignatureType"


@dataclass(frozen=True, slots=True)
class ByReference:
    """A managed reference (`ref`)."""

    target: "SignatureType"


@dataclass(frozen=True, slots=True)
class FunctionPointer:
    """A pointer to a method of that signature."""

    method: "MethodSignature"


@dataclass(frozen=True, slots=True)
class Modified:
    """A type under a custom modifier (`volatile`, `in`, ...); `required` is modreq."""

    modifier: int
    required: bool
    inner: "SignatureType"


@dataclass(frozen=True, slots=True)
class Pinned:
    """A local variable that is pinned."""

    inner: "SignatureType"


@dataclass(frozen=True, slots=True)
class MethodSignature:
    """Return and parameter types. `convention` is the low nibble of the first byte; `required_parameters` < len for a vararg call site."""

    convention: int
    has_this: bool
    explicit_this: bool
    generic_arity: int
    returns: "SignatureType"
    parameters: "tuple[SignatureType, ...]"
    required_parameters: int


SignatureType = (
    Primitive
    | Named
    | Internal
    | GenericInstance
    | TypeParameter
    | MethodParameter
    | Vector
    | Array
    | Pointer
    | ByReference
    | FunctionPointer
    | Modified
    | Pinned
)


def field_type(blob: bytes) -> SignatureType:
    """Type of a FieldSig (first byte 6). Raises Malformed."""
    decoder = _Decoder(blob)
    decoder.expect(0x06, "field")
    return decoder.type(0)


def method_signature(blob: bytes) -> MethodSignature:
    """A MethodDefSig, MethodRefSig or StandAloneMethodSig, generic and vararg forms too. Raises Malformed."""
    return _Decoder(blob).method(0)


def property_signature(blob: bytes) -> MethodSignature:
    """A PropertySig: its type as `returns`, its index parameters as `parameters`. Raises Malformed."""
    decoder = _Decoder(blob)
    first = decoder.byte()
    if first & 0x0F != 0x08:
        raise Malformed(f"property signature starts with {first:#x}")
    count = decoder.count("property parameters")
    returns = decoder.type(0)
    parameters = tuple(decoder.type(0) for _ in range(count))
    return MethodSignature(8, bool(first & 0x20), False, 0, returns, parameters, count)


def local_variables(blob: bytes) -> tuple[SignatureType, ...]:
    """Types of a LocalVarSig (first byte 7). Raises Malformed."""
    decoder = _Decoder(blob)
    decoder.expect(0x07, "local variable")
    return tuple(decoder.type(0) for _ in range(decoder.count("local variables")))


def type_specification(blob: bytes) -> SignatureType:
    """The type of a TypeSpec blob. Raises Malformed."""
    return _Decoder(blob).type(0)


def method_instantiation(blob: bytes) -> tuple[SignatureType, ...]:
    """Type arguments of a MethodSpec blob (first byte 0x0A). Raises Malformed."""
    decoder = _Decoder(blob)
    decoder.expect(0x0A, "method instantiation")
    return tuple(decoder.type(0) for _ in range(decoder.count("type arguments")))


class _Decoder:
    """One pass over one blob."""

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        self._offset = 0
        self._nodes = 0

    def byte(self) -> int:
        if self._offset >= len(self._blob):
            raise Malformed(f"signature {self._blob[:32].hex()} ends early")
        self._offset += 1
        return self._blob[self._offset - 1]

    def unsigned(self) -> int:
        value, self._offset = compressed_unsigned(self._blob, self._offset)
        return value

    def signed(self) -> int:
        value, self._offset = compressed_signed(self._blob, self._offset)
        return value

    def expect(self, value: int, what: str) -> None:
        first = self.byte()
        if first & 0x0F != value:
            raise Malformed(f"{what} signature starts with {first:#x} instead of {value:#x}")

    def count(self, what: str) -> int:
        """A count of things that take a byte each at least."""
        count = self.unsigned()
        if count > len(self._blob) - self._offset:
            raise Malformed(f"signature claims {count} {what} in {len(self._blob) - self._offset} bytes")
        return count

    def token(self) -> int:
        coded = self.unsigned()
        tag = coded & 3
        if tag == 3:
            raise Malformed(f"signature has the coded type {coded:#x}, whose tag 3 is not in use")
        return ((0x02, 0x01, 0x1B)[tag] << 24) | coded >> 2

    def type(self, depth: int) -> SignatureType:
        self._nodes += 1
        if depth > _MAXIMUM_DEPTH or self._nodes > _MAXIMUM_NODES:
            raise LimitExceeded(f"signature is nested {depth} deep with {self._nodes} types (bounds {_MAXIMUM_DEPTH}, {_MAXIMUM_NODES})")
        code = self.byte()
        if code in PRIMITIVES:
            return _PRIMITIVE_NODES[code]
        leaf = _LEAVES.get(code)
        if leaf is not None:
            return leaf(self)
        branch = _BRANCHES.get(code)
        if branch is None:
            raise Malformed(f"signature has the unknown element type {code:#x}")
        return branch(self, depth + 1)

    def named(self, code: int) -> Named:
        return Named(self.token(), code == 0x11)

    def internal(self) -> Internal:
        raw = self._blob[self._offset : self._offset + 8]
        if len(raw) < 8:
            raise Malformed(f"signature {self._blob[:32].hex()} ends early")
        self._offset += 8
        return Internal(int.from_bytes(raw, "little"))

    def instance(self, depth: int) -> GenericInstance:
        code = self.byte()
        if code not in (0x11, 0x12, 0x21):
            raise Malformed(f"generic instance of element type {code:#x}")
        definition = self.internal() if code == 0x21 else self.named(code)
        return GenericInstance(definition, tuple(self.type(depth) for _ in range(self.count("type arguments"))))

    def array(self, depth: int) -> Array:
        element = self.type(depth)
        rank = self.unsigned()
        if not 0 < rank <= _MAXIMUM_RANK:
            raise Malformed(f"signature has an array of rank {rank}")
        sizes = tuple(self.unsigned() for _ in range(self.count("array sizes")))
        bounds = tuple(self.signed() for _ in range(self.count("array bounds")))
        return Array(element, rank, sizes, bounds)

    def modified(self, required: bool, depth: int) -> Modified:
        modifier = self.token()
        return Modified(modifier, required, self.type(depth))

    def internal_modified(self, depth: int) -> Modified:
        required = bool(self.byte())
        self.internal()
        return Modified(0, required, self.type(depth))

    def method(self, depth: int) -> MethodSignature:
        first = self.byte()
        if first & 0x0F > 0x05 and first & 0x0F not in (0x09, 0x0B):
            raise Malformed(f"method signature starts with {first:#x}")
        arity = self.unsigned() if first & 0x10 else 0
        count = self.count("parameters")
        returns = self.type(depth)
        parameters: list[SignatureType] = []
        required = count
        for index in range(count):
            if self._blob[self._offset : self._offset + 1] == b"\x41":  # SENTINEL: what follows are the variable arguments
                self._offset += 1
                required = index
            parameters.append(self.type(depth))
        return MethodSignature(first & 0x0F, bool(first & 0x20), bool(first & 0x40), arity, returns, tuple(parameters), required)


_PRIMITIVE_NODES: Final = {code: Primitive(code) for code in PRIMITIVES}
_LEAVES: Final[dict[int, Callable[[_Decoder], SignatureType]]] = {
    0x11: lambda decoder: decoder.named(0x11),
    0x12: lambda decoder: decoder.named(0x12),
    0x13: lambda decoder: TypeParameter(decoder.unsigned()),
    0x1E: lambda decoder: MethodParameter(decoder.unsigned()),
    0x21: lambda decoder: decoder.internal(),
}
_BRANCHES: Final[dict[int, Callable[[_Decoder, int], SignatureType]]] = {
    0x0F: lambda decoder, depth: Pointer(decoder.type(depth)),
    0x10: lambda decoder, depth: ByReference(decoder.type(depth)),
    0x14: lambda decoder, depth: decoder.array(depth),
    0x15: lambda decoder, depth: decoder.instance(depth),
    0x1B: lambda decoder, depth: FunctionPointer(decoder.method(depth)),
    0x1D: lambda decoder, depth: Vector(decoder.type(depth)),
    0x1F: lambda decoder, depth: decoder.modified(True, depth),
    0x20: lambda decoder, depth: decoder.modified(False, depth),
    0x22: lambda decoder, depth: decoder.internal_modified(depth),
    0x45: lambda decoder, depth: Pinned(decoder.type(depth)),
}
