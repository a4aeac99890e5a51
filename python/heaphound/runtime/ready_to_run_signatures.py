"""Names of the instantiations that a ready-to-run image has code for, out of their encoded signatures.

Source: docs/design/coreclr/botr/readytorun-format.md ("Fixup encoding"), src/coreclr/vm/zapsig.h, src/coreclr/inc/readytorun.h
(ReadyToRunMethodSigFlags). Signature types of ECMA-335 plus a prefix that says in which module's metadata the next type's token lies.
"""

from dataclasses import dataclass
from typing import Protocol

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.metadata.heaps import compressed_signed, compressed_unsigned
from heaphound.runtime.metadata.type_names import with_arguments
from heaphound.runtime.signatures import PRIMITIVES

_INSTANTIATION, _SLOT, _MEMBER_REF, _CONSTRAINED, _OWNER, _UPDATE_CONTEXT = 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
_CANON, _MODULE_OVERRIDE, _NATIVE_VALUE_TYPE = 0x3E, 0x3F, 0x3D
_SUFFIXES = {0x0F: "*", 0x10: "&", 0x1D: "[]"}
_TABLES = (0x02, 0x01, 0x1B)


class TokenNames(Protocol):
    """What a token means in the module that an index of the image stands for (0: the image's own)."""

    def type_token_name(self, module_index: int, token: int) -> str:
        """Metadata name (`Ns.Outer`1+Inner`) of a TypeDef, TypeRef or TypeSpec token."""


@dataclass(frozen=True, slots=True)
class InstanceSignature:
    """A method instantiation. `owner` is the C# name of its exact type, None if the token alone says it."""

    flags: int
    owner: str | None
    module_index: int
    token: int
    arguments: tuple[str, ...]
    end: int
    """Offset behind the signature."""


class _TokensThemselves:
    def type_token_name(self, module_index: int, token: int) -> str:
        return f"<type {token:#010x} of module {module_index}>"


def skip_method_signature(data: bytes, offset: int) -> int:
    """Offset behind the method signature at `offset`. Raises Malformed, LimitExceeded."""
    return read_method_signature(data, offset, _TokensThemselves()).end


def read_method_signature(data: bytes, offset: int, names: TokenNames) -> InstanceSignature:
    """The method signature at `offset` of a section. Raises Malformed, LimitExceeded."""
    decoder = _Decoder(data, offset, names)
    flags = decoder.unsigned()
    module = decoder.unsigned() if flags & _UPDATE_CONTEXT else 0
    owner = decoder.type(module, module, 0) if flags & _OWNER else None
    if flags & _SLOT:
        raise Malformed(f"the signature at {offset:#x} of an image's instance entry points names a slot, not a method")
    token = (0x0A if flags & _MEMBER_REF else 0x06) << 24 | decoder.unsigned()
    arguments = tuple(decoder.types(module)) if flags & _INSTANTIATION else ()
    if flags & _CONSTRAINED:
        decoder.type(module, module, 0)
    return InstanceSignature(flags, owner, module, token, arguments, decoder.offset)


class _Decoder:
    """One pass. `module` is where the next token lies, `outer` where generic arguments' tokens lie."""

    def __init__(self, data: bytes, offset: int, names: TokenNames) -> None:
        self._data = data
        self.offset = offset
        self._names = names

    def unsigned(self) -> int:
        value, self.offset = compressed_unsigned(self._data, self.offset)
        return value

    def types(self, module: int, depth: int = 0) -> list[str]:
        count = self.unsigned()
        if count > LIMITS.generic_arguments:
            raise LimitExceeded(f"a ready-to-run signature claims {count} type arguments")
        return [self.type(module, module, depth) for _ in range(count)]

    def type(self, module: int, outer: int, depth: int) -> str:
        if depth > LIMITS.type_nesting:
            raise LimitExceeded(f"a ready-to-run signature is nested more than {LIMITS.type_nesting} deep")
        code = self.unsigned()
        if code == _MODULE_OVERRIDE:
            return self.type(self.unsigned(), outer, depth + 1)
        if code in PRIMITIVES:
            return PRIMITIVES[code]
        if code in (0x11, 0x12):
            return self._named(module)
        if code in _SUFFIXES:
            return self.type(module, outer, depth + 1) + _SUFFIXES[code]
        return self._other(code, module, outer, depth)

    def _other(self, code: int, module: int, outer: int, depth: int) -> str:
        if code == 0x15:
            definition = self.type(module, outer, depth + 1)
            return with_arguments(definition, self.types(outer, depth + 1))
        if code == _CANON:
            return "System.__Canon"
        if code == 0x14:
            return self._array(module, outer, depth)
        if code in (0x13, 0x1E):
            return ("!" if code == 0x13 else "!!") + str(self.unsigned())
        if code == _NATIVE_VALUE_TYPE:
            return self.type(module, outer, depth + 1)
        if code in (0x1F, 0x20):
            self.unsigned()
            return self.type(module, outer, depth + 1)
        if code == 0x1B:
            return self._function_pointer(module, outer, depth)
        raise Malformed(f"a ready-to-run signature has the unknown element type {code:#x}")

    def _named(self, module: int) -> str:
        coded = self.unsigned()
        if coded & 3 == 3:
            raise Malformed(f"a ready-to-run signature has the coded type {coded:#x}, whose tag 3 is not in use")
        return self._names.type_token_name(module, _TABLES[coded & 3] << 24 | coded >> 2)

    def _array(self, module: int, outer: int, depth: int) -> str:
        element = self.type(module, outer, depth + 1)
        rank = self.unsigned()
        for _ in range(self._count()):
            self.unsigned()
        for _ in range(self._count()):
            _, self.offset = compressed_signed(self._data, self.offset)
        if not 0 < rank <= 32:
            raise Malformed(f"a ready-to-run signature has an array of rank {rank}")
        return element + "[" + "," * (rank - 1) + "]"

    def _function_pointer(self, module: int, outer: int, depth: int) -> str:
        self.unsigned()
        count = self._count()
        returns, *parameters = [self.type(module, outer, depth + 1) for _ in range(count + 1)]
        return "delegate*<" + ", ".join([*parameters, returns]) + ">"

    def _count(self) -> int:
        count = self.unsigned()
        if count > LIMITS.generic_arguments:
            raise LimitExceeded(f"a ready-to-run signature claims {count} parts")
        return count
