"""Search in the IL of modules: which code calls a method, loads or stores a field, creates objects of a type.

Every query first looks up the tokens by which a module can mean the member, then finds the methods whose raw code holds one of these
tokens, and decodes only those. A module without such a token is not touched.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.runtime.il_flow import MethodFlow, Operation, method_flow
from heaphound.runtime.il_values import Value, VariableNames, describe
from heaphound.runtime.metadata.display_names import DisplayMethod, display_method
from heaphound.runtime.metadata.member_names import member, method_display_name, type_specification_names
from heaphound.runtime.metadata.method_body import MethodBody
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import type_token_name
from heaphound.runtime.pe import PEImage
from heaphound.runtime.portable_pdb import PortablePdb, SourceLocation

CALLS: Final = frozenset(("call", "callvirt"))
LOADS: Final = frozenset(("ldfld", "ldflda", "ldsfld", "ldsflda"))
STORES: Final = frozenset(("stfld", "stsfld"))
_MAXIMUM_GAPS: Final = 1000
_MAXIMUM_CODE_BYTES: Final = 1 << 28  # of one module; the largest have some 30 MB, forged method rows may share one large body


@dataclass(frozen=True, slots=True)
class CodeGap:
    """A method whose IL could not be searched, and why."""

    module: str
    method_rid: int
    reason: str


@dataclass(eq=False)
class CodeModule:
    """One module whose code can be searched: `name` of the module, its image, and its PDB when one was found."""

    name: str
    image: PEImage
    pdb: PortablePdb | None = None
    gaps: list[CodeGap] = field(default_factory=list)
    _flows: dict[int, MethodFlow | None] = field(default_factory=dict, repr=False)

    @cached_property
    def metadata(self) -> Metadata:
        """The module's metadata. Raises Unreadable or Malformed."""
        return self.image.metadata()

    @cached_property
    def bodies(self) -> dict[int, MethodBody]:
        """IL bodies by MethodDef row id; a body that is missing or broken is a gap. Read once, at the first search that needs it."""
        found: dict[int, MethodBody] = {}
        left = _MAXIMUM_CODE_BYTES
        for rid in range(1, self.metadata.tables.count(Table.METHOD_DEF) + 1):
            rva, impl_flags, flags = self.metadata.tables.row(Table.METHOD_DEF, rid)[:3]
            if rva and not impl_flags & 3 and not flags & 0x2000:
                try:
                    found[rid] = self.image.method_body(rva)
                    left -= len(found[rid].code)
                    if left < 0:
                        raise LimitExceeded(f"the module's IL has more than {_MAXIMUM_CODE_BYTES} bytes")
                except LimitExceeded as error:
                    self._gap(rid, error)
                    break
                except (Unreadable, Malformed) as error:
                    self._gap(rid, error)
        return found

    @cached_property
    def _references(self) -> dict[str, list[int]]:
        """Tokens of MemberRef, MethodDef and Field rows by plain name."""
        index: dict[str, list[int]] = {}
        strings = self.metadata.strings
        for table, column in ((Table.MEMBER_REF, 1), (Table.METHOD_DEF, 3), (Table.FIELD, 1)):
            for rid, name in enumerate(self.metadata.tables.column_list(table, column), 1):
                index.setdefault(strings[name], []).append(table << 24 | rid)
        return index

    @cached_property
    def _specifications(self) -> dict[int, list[int]]:
        """MethodSpec tokens by the token of the generic method."""
        index: dict[int, list[int]] = {}
        for rid in range(1, self.metadata.tables.count(Table.METHOD_SPEC) + 1):
            index.setdefault(self.metadata.methodspec(rid).method, []).append(Table.METHOD_SPEC << 24 | rid)
        return index

    def tokens(self, type_name: str, member_name: str) -> list[int]:
        """Tokens by which this module means a member of the type with that metadata name (any instantiation of a generic type)."""
        found = []
        for token in self._references.get(member_name, ()):
            if member(self.metadata, token).declaring_type == type_name:
                found += [token, *self._specifications.get(token, ())]
        return found

    def constructor_tokens(self, type_name: str) -> list[int]:
        """Tokens of the type's constructors, and those of the type itself and its instantiations (for arrays of it)."""
        return self.tokens(type_name, ".ctor") + self._type_tokens(type_name)

    def _type_tokens(self, type_name: str) -> list[int]:
        tokens = []
        rid = self.metadata.find_type(type_name)
        if rid is not None:
            tokens.append(Table.TYPE_DEF << 24 | rid)
        for rid in range(1, self.metadata.tables.count(Table.TYPE_REF) + 1):
            if self.metadata.typeref_full_name(rid) == type_name:
                tokens.append(Table.TYPE_REF << 24 | rid)
        for rid in range(1, self.metadata.tables.count(Table.TYPE_SPEC) + 1):
            if type_specification_names(self.metadata, rid)[0] == type_name:
                tokens.append(Table.TYPE_SPEC << 24 | rid)
        return tokens

    def methods_with(self, tokens: Collection[int]) -> list[int]:
        """Row ids of methods whose raw IL holds one of the tokens (a few too many: bytes may look like a token)."""
        if not tokens:
            return []
        pattern = re.compile(b"|".join(re.escape(token.to_bytes(4, "little")) for token in sorted(set(tokens))))
        return [rid for rid, body in self.bodies.items() if pattern.search(body.code)]

    def flow(self, method_rid: int) -> MethodFlow | None:
        """Data flow of a method, kept; None (and a gap) when its IL makes no sense, None for a method without IL."""
        if method_rid not in self._flows:
            body = self.bodies.get(method_rid)
            try:
                self._flows[method_rid] = method_flow(self.metadata, body) if body is not None else None
            except Malformed as error:
                self._gap(method_rid, error)
                self._flows[method_rid] = None
        return self._flows[method_rid]

    def operations(self, tokens: Collection[int], opcodes: Collection[str]) -> "Iterator[CodeSite]":
        """Operations of these opcodes on one of the tokens, in order of method and IL offset."""
        wanted = set(tokens)
        for rid in self.methods_with(wanted):
            flow = self.flow(rid)
            for operation in flow.operations if flow is not None else ():
                if operation.opcode in opcodes and operation.member is not None and operation.member.token in wanted:
                    yield CodeSite(self, rid, operation)

    def location(self, method_rid: int, il_offset: int) -> SourceLocation | None:
        """File and line of an IL offset; None without a PDB, for generated code, and where the PDB makes no sense (then a gap too)."""
        if self.pdb is None:
            return None
        try:
            return self.pdb.location(method_rid, il_offset)
        except Malformed as error:
            self._gap(method_rid, error)
            return None

    def variable_names(self, method_rid: int) -> VariableNames:
        """Names of a method's parameters (metadata) and locals (PDB); locals are absent without a PDB."""
        method = self.metadata.methoddef(method_rid)
        first = 0 if method.is_static else 1
        parameters = (self.metadata.param(rid) for rid in method.params)
        arguments = {row.sequence - 1 + first: row.name for row in parameters if row.sequence}
        if first:
            arguments[0] = "this"
        try:
            found = self.pdb.local_variables(method_rid) if self.pdb is not None else []
        except Malformed as error:
            self._gap(method_rid, error)
            found = []
        return VariableNames(arguments, {variable.slot: variable.name for variable in found})

    def _gap(self, method_rid: int, error: Exception) -> None:
        if len(self.gaps) < _MAXIMUM_GAPS:
            self.gaps.append(CodeGap(self.name, method_rid, str(error)))


@dataclass(frozen=True, slots=True)
class CodeSite:
    """A place in code: an operation at an IL offset of a method."""

    module: CodeModule
    method_rid: int
    operation: Operation

    @property
    def il_offset(self) -> int:
        """Offset in the method's IL."""
        return self.operation.offset

    @property
    def method_name(self) -> str:
        """`Ns.Type.Method(args)` of the method that holds the code."""
        return method_display_name(self.module.metadata, self.method_rid)

    @property
    def written_method(self) -> DisplayMethod:
        """The method that a person wrote, where the holder is a lambda, local function or state machine."""
        return display_method(self.module.metadata, self.method_rid)

    @property
    def declaring_type(self) -> str:
        """Metadata name of the type that declares the method."""
        return self.module.metadata.typedef_full_name(self.module.metadata.method_owner(self.method_rid))

    def text(self, value: Value) -> str:
        """A value of this operation as C#-like text, variables by name."""
        return describe(value, self.module.variable_names(self.method_rid))

    @property
    def location(self) -> SourceLocation | None:
        """File and line; None when they are not known."""
        return self.module.location(self.method_rid, self.il_offset)


class CodeSearch:
    """Queries over the code of several modules. Types are given by metadata name: `Ns.Outer`1+Inner`.

    Two types of the same name in different assemblies are not told apart: a reference names an assembly that may only forward the type.
    """

    def __init__(self, modules: Sequence[CodeModule]) -> None:
        self.modules = tuple(modules)

    @property
    def gaps(self) -> list[CodeGap]:
        """Methods that could not be searched so far."""
        return [gap for module in self.modules for gap in module.gaps]

    def calls(self, type_names: Iterable[str], member_name: str) -> list[CodeSite]:
        """Calls (call, callvirt) of a method of any of these types."""
        return self._sites(type_names, member_name, CALLS)

    def stores(self, type_name: str, field_name: str) -> list[CodeSite]:
        """Stores into a field; the stored value is the last of the operation's arguments."""
        return self._sites((type_name,), field_name, STORES)

    def loads(self, type_name: str, field_name: str) -> list[CodeSite]:
        """Loads of a field or of its address."""
        return self._sites((type_name,), field_name, LOADS)

    def delegates_to(self, type_name: str, method_name: str) -> list[CodeSite]:
        """Places that take a method's address to make a delegate of it."""
        return self._sites((type_name,), method_name, frozenset(("ldftn",)))

    def allocations(self, type_name: str) -> list[CodeSite]:
        """newobj of a type."""
        return self._sites((type_name,), ".ctor", frozenset(("newobj",)))

    def _sites(self, type_names: Iterable[str], member_name: str, opcodes: Collection[str]) -> list[CodeSite]:
        names = tuple(type_names)
        sites: list[CodeSite] = []
        for module in self.modules:
            tokens = [token for name in names for token in module.tokens(name, member_name)]
            sites.extend(module.operations(tokens, opcodes))
        return sites

    def defining_module(self, type_name: str) -> tuple[CodeModule, int] | None:
        """(module, TypeDef row id) that defines a type; None when none of the modules does."""
        for module in self.modules:
            rid = module.metadata.find_type(type_name)
            if rid is not None:
                return module, rid
        return None

    def ancestry(self, type_name: str) -> list[str]:
        """Metadata names of a type, its base types and all their interfaces, as far as the modules define them. Loops end the list."""
        names: dict[str, None] = {}
        pending = [type_name]
        while pending and len(names) < 1000:
            name = pending.pop(0)
            if name in names:
                continue
            names[name] = None
            defined = self.defining_module(name)
            if defined is not None:
                module, rid = defined
                metadata = module.metadata
                tokens = [metadata.typedef(rid).extends, *metadata.interfaces(rid)]
                pending.extend(_definition_name(metadata, token) for token in tokens if token)
        return list(names)


def _definition_name(metadata: Metadata, token: int) -> str:
    if token >> 24 == Table.TYPE_SPEC:
        return type_specification_names(metadata, token & 0xFFFFFF)[0]
    return type_token_name(metadata, token)
