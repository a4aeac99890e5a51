"""Rows of the arguments, locals and remaining references of frames."""

import re

from heaphound.address import Address
from heaphound.answers.naming import Naming
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.results import object as of_object
from heaphound.results.object import Absence, ByReferenceValue, FieldRow, Value
from heaphound.results.threads import FrameReferenceRow, VariableRow
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.frame_roots import FrameReferences
from heaphound.runtime.gc_info.frame_slots import Reference, frame_references
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame
from heaphound.runtime.stacks.frame_variables import FrameVariable
from heaphound.runtime.stacks.register_memory import REGISTERS_START, RegisterMemory
from heaphound.runtime.values import OBJECT_HEADER_BYTES, Values
from heaphound.session import Session

# Names that Roslyn gives (src/Compilers/CSharp/Portable/Symbols/Synthesized/GeneratedNames.cs): closures, iterators and async methods.
_CLOSURE = re.compile(r"\+(<>c__DisplayClass|<[^<>]*>d__)[^+]*$")


class VariableRows:
    """Makes the rows of one answer; texts of strings only where `strings` asks for them."""

    def __init__(self, session: Session, strings: bool) -> None:
        self._session = session
        self._strings = strings
        self._memory = session.core.memory
        self._naming = Naming(session)
        self._explicit = FrameReferences(session.runtime, session.code)
        self._values = Values(session.types, strings=strings)

    def rows(
        self, frame: Frame
    ) -> tuple[tuple[VariableRow, ...] | None, tuple[VariableRow, ...] | None, tuple[FrameReferenceRow, ...] | None, str | None]:
        """(arguments, locals, further references, why some of them could not be told) of a frame."""
        if isinstance(frame, ExplicitFrame):
            references, problem = self._references(frame, [])
            return None, None, references, problem
        found = self._session.frame_variables.of(frame)
        references, problem = self._references(frame, [*found.arguments, *found.locals])
        return self._rows(found.arguments), self._rows(found.locals), references, found.problem or problem

    def _rows(self, variables: tuple[FrameVariable, ...]) -> tuple[VariableRow, ...]:
        return tuple(self._row(item) for item in variables)

    def _row(self, item: FrameVariable) -> VariableRow:
        value = self._value(item)
        return VariableRow(
            number=item.number,
            name=item.name,
            type=item.type.name,
            value=value,
            place=None if item.place is None else item.place.words,
            address=None if item.place is None or item.place.address is None else Address(item.place.address),
            in_scope=item.in_scope,
            captured=self._captured(value) if isinstance(value, of_object.Reference) else (),
        )

    def _captured(self, value: of_object.Reference) -> tuple[FieldRow, ...]:
        """The fields of a closure or state machine; none of other objects."""
        if "+<" not in value.type:
            return ()
        try:
            found = self._values.type_of(value.address)
            if not _CLOSURE.search(found.definition_name):
                return ()
            return self._values.fields(value.address + OBJECT_HEADER_BYTES, found.fields)
        except (Unreadable, Malformed):
            return ()  # the reference is shown all the same

    def _value(self, item: FrameVariable) -> Value:
        if item.place is None:
            return Absence("not available", item.missing or "it is nowhere to be had")
        if item.place.address is not None:
            return self._typed(self._values, item.place.address, item.type)
        values = Values(self._session.types, strings=self._strings, memory=RegisterMemory(self._memory, item.place.data or b""))
        found = self._typed(values, REGISTERS_START, item.type)
        return Absence(found.kind, found.reason) if isinstance(found, Absence) and (found.address or 0) >= REGISTERS_START else found

    def _typed(self, values: Values, address: int, kind: ResolvedType) -> Value:
        """A value; of a by-reference also what it points to."""
        found = values.value(address, kind)
        if kind.element_type != ElementType.BY_REFERENCE or kind.element is None or not isinstance(found, Address) or not found:
            return found
        return ByReferenceValue(found, self._values.value(found, kind.element))

    def _references(self, frame: Frame, named: list[FrameVariable]) -> tuple[tuple[FrameReferenceRow, ...] | None, str | None]:
        """What the frame holds beside its named variables; None and the reason where it cannot be told."""
        if frame.dead:
            return (), None
        try:
            found = self._found(frame)
        except (Unreadable, Malformed, LayoutError) as error:
            return None, f"its references cannot be told: {error}"
        rows = [self._reference(item) for item in found if not any(variable.holds(item) for variable in named)]
        return tuple(row for row in rows if row is not None), None

    def _found(self, frame: Frame) -> list[Reference]:
        if isinstance(frame, ExplicitFrame):
            return self._explicit.of(frame)
        info = self._session.stacks.gc_infos.at(frame.code.gc_info)
        return frame_references(self._memory, info, frame, frame.filter_funclet)

    def _reference(self, item: Reference) -> FrameReferenceRow | None:
        """None for a by-reference to no object."""
        start = item.value
        if item.interior:
            index = self._session.table.index_containing(item.value)
            if index is None:
                return None
            start = int(self._session.table.address_of(index))
        target = self._values.reference(start)
        return FrameReferenceRow(
            address=None if item.address is None else Address(item.address),
            register=item.register,
            offset=item.offset,
            object=Address(start),
            type=self._naming.type_of(start) or "<unreadable>",
            interior=item.interior,
            pinned=item.pinned,
            text=target.text if isinstance(target, of_object.Reference) else None,
            length=target.length if isinstance(target, of_object.Reference) else None,
        )
