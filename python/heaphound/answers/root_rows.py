"""Roots as the rows of answers."""

from heaphound.address import Address
from heaphound.answers.naming import Naming
from heaphound.diagnose.holding import frame_method, thread_of
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.results.roots import FrameRef, RootRow
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.roots import Root
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame
from heaphound.runtime.stacks.frame_variables import FrameVariable, FrameVariables
from heaphound.session import Session


class RootRows:
    """Makes the rows of one answer; what it learns of a frame serves all roots in it."""

    def __init__(self, session: Session, naming: Naming) -> None:
        self._session = session
        self._naming = naming
        self._known: dict[tuple[int | None, int], tuple[FrameRef, tuple[FrameVariable, ...]]] = {}

    def row(self, root: Root) -> RootRow:
        """One root as a row."""
        reference = None if root.stack is None else root.stack.reference
        return RootRow(
            kind=root.kind,
            address=None if root.address is None else Address(root.address),
            object=Address(root.object),
            type=self._naming.type_of(root.object) or "<unreadable>",
            interior=root.interior,
            pinned=root.pinned,
            thread=thread_of(self._session.threads, root),
            frame=None if root.frame is None else self._frame(root.os_id, root.frame, reference),
            register=None if reference is None else reference.register,
            offset=None if reference is None else reference.offset,
            exact=root.exact,
            declaring_type=None if root.static is None else root.static.declaring_type,
            field=None if root.static is None else root.static.field,
            os_id=root.os_id,
        )

    def _frame(self, os_id: int | None, frame: Frame, reference: Reference | None) -> FrameRef:
        key = (os_id, frame.sp)
        if key not in self._known:
            self._known[key] = self._read(frame)
        found, variables = self._known[key]
        held = None if reference is None else next((item for item in variables if item.holds(reference)), None)
        if held is None or held.name is None:
            return found
        return FrameRef(found.ip, found.sp, found.method, found.kind, found.il_offset, found.file, found.line, held.name)

    def _read(self, frame: Frame) -> tuple[FrameRef, tuple[FrameVariable, ...]]:
        method = frame_method(frame)
        if isinstance(frame, ExplicitFrame):
            return FrameRef(Address(frame.ip), Address(frame.sp), method, frame.frame_type), ()
        variables = self._variables.of(frame)
        kind = "funclet" if frame.code.is_funclet else "managed"
        found = FrameRef(Address(frame.ip), Address(frame.sp), method, kind, *self._source(frame))
        return found, (*variables.arguments, *variables.locals)

    def _source(self, frame: ManagedFrame) -> tuple[int | None, str | None, int | None]:
        """(IL offset, file, line); None where debug information or PDB are missing or cannot be read."""
        try:
            il_offset = self._session.il_maps.il_offset(frame)
            place = None if il_offset is None else self._session.il_maps.place(frame.method, il_offset)
        except (Unreadable, Malformed, LayoutError):
            return None, None, None
        return (il_offset, None, None) if place is None else (il_offset, place.file, place.start_line)

    @property
    def _variables(self) -> FrameVariables:
        return self._session.frame_variables
