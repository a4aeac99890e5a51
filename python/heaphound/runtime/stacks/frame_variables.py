"""Arguments and locals of one managed frame: names and types by metadata and PDB, places by what the JIT wrote down."""

from collections.abc import Sequence
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.methods import Method, Methods
from heaphound.runtime.modules import Module
from heaphound.runtime.portable_pdb import LocalVariable
from heaphound.runtime.signatures import SignatureType, local_variables
from heaphound.runtime.stacks.debug_infos import DebugInfos
from heaphound.runtime.stacks.frame import ManagedFrame
from heaphound.runtime.stacks.il_maps import ILMaps
from heaphound.runtime.stacks.native_variables import NativeVariable
from heaphound.runtime.stacks.variable_places import VariablePlace, place_of

_WORD = 8
VARIABLE_ERRORS = (Unreadable, Malformed, LayoutError)
NO_DEBUG_INFORMATION = "the code has no debug information"
NO_PLACE = "optimised away"
NOT_LIVE = "not live at this point of the code"


Declared = tuple[str | None, ResolvedType, bool | None]
"""Name, type, and whether the name holds at the frame's IL offset."""
Declaration = tuple[list[Declared], list[ResolvedType], str | None]


@dataclass(frozen=True, slots=True)
class FrameVariable:
    """One argument or local. `place` is None where its value is nowhere to be had; `missing` then says why.

    `number` counts arguments (`this` first) and locals each from 0. `name` is None where nothing names it. `in_scope` is None without a
    PDB, False for a local whose name does not hold at the frame's IL offset.
    """

    number: int
    name: str | None
    type: ResolvedType
    in_scope: bool | None
    place: VariablePlace | None
    missing: str | None = None

    def holds(self, reference: Reference) -> bool:
        """Whether a reference of the frame is the variable's value, or inside of it."""
        place = self.place
        if place is None:
            return False
        if reference.register is not None and reference.offset is None:
            return reference.register in place.registers
        if place.address is None or reference.address is None:
            return False
        layout = self.type.layout
        size = layout.value_bytes if self.type.element_type == ElementType.VALUE_TYPE and layout is not None else _WORD
        return place.address <= reference.address < place.address + size


@dataclass(frozen=True, slots=True)
class Variables:
    """Of one frame. `problem` says what of them could not be told at all."""

    arguments: tuple[FrameVariable, ...]
    locals: tuple[FrameVariable, ...]
    problem: str | None = None


class FrameVariables:
    """Variables of the frames of one dump."""

    def __init__(self, memory: Memory, methods: Methods, debug_infos: DebugInfos, il_maps: ILMaps) -> None:
        self._memory = memory
        self._methods = methods
        self._debug_infos = debug_infos
        self._il_maps = il_maps
        self._declarations: dict[tuple[str, int], Declaration | str] = {}

    def of(self, frame: ManagedFrame) -> Variables:
        """All arguments and locals. Raises nothing of the dump's: what cannot be told is in `problem`, or in the variable's `missing`."""
        method = frame.method
        if method is None:
            return Variables((), (), frame.code.problem or "its method is not known")
        declared = self._declaration(frame, method)
        if isinstance(declared, str):
            return Variables((), (), declared)
        arguments, types, problem = declared
        slots = self._named(frame, method, types)
        places: tuple[NativeVariable, ...] | None = None
        missing = NO_DEBUG_INFORMATION
        try:
            places = self._debug_infos.variables_of(frame.code)
        except VARIABLE_ERRORS as error:
            missing = f"the debug information cannot be read: {error}"
        found = [
            self._variable(frame, places, missing, number, len(arguments), declared) for number, declared in enumerate([*arguments, *slots])
        ]
        return Variables(tuple(found[: len(arguments)]), tuple(found[len(arguments) :]), problem)

    def _variable(
        self,
        frame: ManagedFrame,
        places: Sequence[NativeVariable] | None,
        missing: str,
        index: int,
        arguments: int,
        declared: Declared,
    ) -> FrameVariable:
        name, kind, in_scope = declared
        number = index if index < arguments else index - arguments
        if places is None:
            return FrameVariable(number, name, kind, in_scope, None, missing)
        own = [place for place in places if place.number == index]
        live = next((place for place in own if place.start <= frame.code_offset < place.end), None)
        if live is None:
            return FrameVariable(number, name, kind, in_scope, None, NOT_LIVE if own else NO_PLACE)
        try:
            return FrameVariable(number, name, kind, in_scope, place_of(self._memory, frame, live))
        except VARIABLE_ERRORS as error:
            return FrameVariable(number, name, kind, in_scope, None, str(error))

    def _declaration(self, frame: ManagedFrame, method: Method) -> Declaration | str:
        """Names and types of arguments, types of locals, what of them cannot be told; a sentence where nothing can. Read once a method."""
        key = (method.full_name, frame.code.start)
        known = self._declarations.get(key)
        if known is None:
            known = self._declarations[key] = self._declare(method)
        return known

    def _declare(self, method: Method) -> Declaration | str:
        try:
            arguments = self._arguments(method)
        except VARIABLE_ERRORS as error:
            return f"its signature cannot be read: {error}"
        try:
            return arguments, self._locals(method), None
        except VARIABLE_ERRORS as error:
            return arguments, [], f"its locals cannot be told: {error}"

    def _arguments(self, method: Method) -> list[Declared]:
        signature = self._methods.signature(method)
        module = self._methods.module_of(method)
        context = self._methods.arguments_of(method)
        found: list[Declared] = []
        if signature.has_this and not signature.explicit_this:
            found.append(("this", self._this(method), None))
        names = _parameter_names(module, method)
        if len(signature.parameters) > LIMITS.method_parameters:
            raise LimitExceeded(f"{method.full_name} claims {len(signature.parameters)} parameters")
        for sequence, node in enumerate(signature.parameters, 1):
            found.append((names.get(sequence), self._resolve(node, module, context), None))
        return found

    def _this(self, method: Method) -> ResolvedType:
        """A reference to an object; in methods of value types a by-reference to the value."""
        if method.method_table is None:
            return ResolvedType(method.declaring_type, ElementType.CLASS, None)
        owner = self._methods.types.type(method.method_table)
        if not owner.is_value_type:
            return owner.resolved
        return ResolvedType(f"{owner.name}&", ElementType.BY_REFERENCE, None, element=owner.resolved)

    def _locals(self, method: Method) -> list[ResolvedType]:
        """The type of each local by its slot."""
        if not method.rid:
            return []  # made at run time: its locals were known to the compiler alone
        module = self._methods.module_of(method)
        if module.metadata is None or module.pe is None:
            raise Malformed(f"no image of {module.name}: {module.metadata_missing}")
        rva = module.metadata.methoddef(method.rid).rva
        token = module.pe.method_body(rva).local_signature if rva else 0
        if not token:
            return []
        context = self._methods.arguments_of(method)
        return [self._resolve(node, module, context) for node in local_variables(module.metadata.standalone_signature(token & 0xFFFFFF))]

    def _named(self, frame: ManagedFrame, method: Method, types: Sequence[ResolvedType]) -> list[Declared]:
        names = self._names(frame, method)
        found: list[Declared] = []
        for slot, kind in enumerate(types):
            name, in_scope = _name(names, slot)
            found.append((name, kind, in_scope))
        return found

    def _names(self, frame: ManagedFrame, method: Method) -> tuple[list[LocalVariable], int | None] | None:
        """The PDB's names with the frame's IL offset; None without a PDB that can be read."""
        try:
            pdb = self._il_maps.pdb_of(method)
            return None if pdb is None else (pdb.local_variables(method.rid), self._il_maps.il_offset(frame))
        except VARIABLE_ERRORS:
            return None

    def _resolve(self, node: SignatureType, module: Module, context: tuple[Sequence[ResolvedType], Sequence[ResolvedType]]) -> ResolvedType:
        return self._methods.types.signatures.resolve(node, module, *context)


def _parameter_names(module: Module, method: Method) -> dict[int, str]:
    """Names by position, from 1."""
    if module.metadata is None or not method.rid:
        return {}
    rows = (module.metadata.param(rid) for rid in module.metadata.methoddef(method.rid).params)
    return {row.sequence: row.name for row in rows if row.name}


def _name(named: tuple[list[LocalVariable], int | None] | None, slot: int) -> tuple[str | None, bool | None]:
    """(name, whether it holds here) of a slot: compilers use a slot again for another name."""
    if named is None:
        return None, None
    variables, offset = named
    own = [variable for variable in variables if variable.slot == slot]
    here = next((variable for variable in reversed(own) if offset is not None and variable.start <= offset < variable.end), None)
    if here is not None:
        return here.name, True
    return (own[0].name if len({variable.name for variable in own}) == 1 else None), False if own else None
