"""Rows of the frames of one stack: the innermost ones and, where a limit cuts it, the outermost."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from heaphound.address import Address
from heaphound.answers.variable_rows import VariableRows
from heaphound.dump.native_frames import NativeFrame
from heaphound.dump.native_symbols import Symbol
from heaphound.errors import Malformed, Unreadable
from heaphound.results.threads import FrameRow
from heaphound.runtime.methods import Method
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.further_frames import MixedFrame
from heaphound.runtime.stacks.waits import WAITING_FRAMES
from heaphound.session import Session

OUTERMOST_FRAMES = 20
MOST_METHODS = 16  # what is left out of a recursion is told by its methods


@dataclass(slots=True)
class FramesOfStack:
    """One stack. `innermost` are the frames that tell what it waits for; the others are as in ThreadRow."""

    rows: list[FrameRow] = field(default_factory=list)
    outermost: list[FrameRow] = field(default_factory=list)
    left_out: int = 0
    methods_left_out: tuple[str, ...] = ()
    end: str | None = None
    innermost: list[Frame] = field(default_factory=list)


class FrameRows:
    """Makes the rows of one answer, with `variables` each with its arguments, locals and further references."""

    def __init__(self, session: Session, variables: VariableRows | None = None) -> None:
        self._session = session
        self._variables = variables
        self._symbols: dict[tuple[int, bool], Symbol | None] = {}

    def read(self, items: Iterable[MixedFrame | StackEnd], limit: int | None) -> FramesOfStack:
        """The frames that a walk yields: at most `limit` innermost ones (None: all) and OUTERMOST_FRAMES at the other end."""
        found = FramesOfStack()
        last: deque[MixedFrame] = deque()
        methods: set[str] = set()
        for item in items:  # frame by frame: a stack overflow has a hundred thousand
            if isinstance(item, StackEnd):
                found.end = item.reason
                continue
            if limit is None or len(found.rows) < limit:
                found.rows.append(self.row(item))
            else:
                last.append(item)
                if len(last) > OUTERMOST_FRAMES:
                    found.left_out += 1
                    name = self.name(last.popleft())
                    if len(methods) <= MOST_METHODS:
                        methods.add(name)
            if len(found.innermost) < WAITING_FRAMES and not isinstance(item, NativeFrame):
                found.innermost.append(item)
        found.outermost = [self.row(item) for item in last]
        found.methods_left_out = tuple(sorted(methods)) if len(methods) <= MOST_METHODS else ()
        return found

    def row(self, frame: MixedFrame) -> FrameRow:
        """One frame."""
        if isinstance(frame, NativeFrame):
            return self._native(frame)
        row = self._explicit(frame) if isinstance(frame, ExplicitFrame) else self._managed(frame)
        row = replace(row, unwound=frame.unwound)
        if self._variables is None:
            return row
        arguments, own, references, problem = self._variables.rows(frame)
        return replace(row, arguments=arguments, locals=own, references=references, problem=row.problem or problem)

    def name(self, frame: MixedFrame) -> str:
        """What the row of the frame calls `what`."""
        method = None if isinstance(frame, NativeFrame) else frame.method
        return self.row(frame).what if method is None else method.full_name

    def _native(self, frame: NativeFrame) -> FrameRow:
        module = frame.module
        symbol = None if module is None else self._symbol(frame)
        offset = None if module is None else frame.ip - module.base
        return FrameRow(
            kind="native",
            ip=Address(frame.ip),
            sp=Address(frame.sp),
            method=None,
            module=None if module is None else module.name,
            problem=frame.problem,
            symbol=None if symbol is None else symbol.name,
            offset=offset if symbol is None else symbol.offset,
            exact=frame.exact,
        )

    def _symbol(self, frame: NativeFrame) -> Symbol | None:
        key = (frame.ip, frame.active)
        if key not in self._symbols:
            module = frame.module
            self._symbols[key] = None if module is None else self._session.native_symbols.find(module, frame.ip, frame.active)
        return self._symbols[key]

    def _explicit(self, frame: ExplicitFrame) -> FrameRow:
        name = None if frame.method is None else frame.method.full_name
        return FrameRow(frame.frame_type, Address(frame.ip), Address(frame.sp), name, self._module(frame.method), problem=frame.problem)

    def _managed(self, frame: ManagedFrame) -> FrameRow:
        il_offset: int | None = None
        file: str | None = None
        line: int | None = None
        problem = frame.code.problem
        try:
            il_offset = self._session.il_maps.il_offset(frame)
            place = None if il_offset is None else self._session.il_maps.place(frame.method, il_offset)
            file, line = (None, None) if place is None else (place.file, place.start_line)
        except (Unreadable, Malformed) as error:
            problem = problem or f"its source line cannot be read: {error}"
        method = frame.method
        return FrameRow(
            kind="funclet" if frame.code.is_funclet else "managed",
            ip=Address(frame.ip),
            sp=Address(frame.sp),
            method=None if method is None else method.full_name,
            module=self._module(method),
            il_offset=il_offset,
            file=file,
            line=line,
            problem=problem,
        )

    def _module(self, method: Method | None) -> str | None:
        module = None if method is None else self._session.types.module_at(method.module)
        return None if module is None else module.name
