"""Rows of threads and frames, for the answers that show stacks."""

from heaphound.address import Address
from heaphound.answers.naming import Naming
from heaphound.errors import HeaphoundError, Malformed, Unreadable
from heaphound.results.threads import ExceptionRef, FrameRow, ThreadRow, WaitRow
from heaphound.runtime.methods import Method
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.lock_wanted import lock_wanted
from heaphound.runtime.stacks.waits import WAITING_FRAMES, Wait, find_wait
from heaphound.runtime.threads import Thread
from heaphound.session import Session


class StackRows:
    """Makes the rows of one answer. `notes` says what of all threads could not be had."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._naming = Naming(session)
        self._registers = {thread.os_id: thread for thread in session.core.threads}
        self.notes: tuple[str, ...] = ()
        self._held: dict[int, list[Address]] = {}
        self._owner: dict[int, int | None] = {}
        self._contended: set[int] = set()
        self._waited_for: dict[int, int] = {}
        try:
            self._read_monitors()
        except HeaphoundError as error:
            self.notes = (f"locks are not known: {error}",)

    def thread(self, thread: Thread, limit: int | None) -> ThreadRow:
        """One thread with at most `limit` innermost frames (None: all)."""
        rows: list[FrameRow] = []
        innermost: list[Frame] = []
        left_out = 0
        end: str | None = None
        for item in self._session.stacks.walk(thread):  # row by row: a stack overflow has a hundred thousand frames
            if isinstance(item, StackEnd):
                end = item.reason
            elif limit is None or len(rows) < limit:
                rows.append(self._frame(item))
            else:
                left_out += 1
            if isinstance(item, Frame) and len(innermost) < WAITING_FRAMES:
                innermost.append(item)
        return ThreadRow(
            managed_id=thread.managed_id,
            os_id=thread.os_id or 0,
            name=thread.name,
            state=thread.state,
            frames=tuple(rows),
            address=Address(thread.address),
            gc_mode=thread.gc_mode if thread.alive else None,
            exception=None if thread.exception is None else self._exception(thread.exception),
            nested_exceptions=tuple(self._exception(address) for address in thread.nested_exceptions),
            locks=tuple(self._held.get(thread.address, ())),
            waits=self.waits(thread, innermost),
            frames_left_out=left_out,
            stack_end=end,
        )

    def waits(self, thread: Thread, frames: list[Frame]) -> WaitRow | None:
        """What a thread waits for, with the lock where that is one and the stack or the sync block tells which."""
        wait = find_wait(frames) if frames else None
        if wait is None:
            return None
        wanted = self.lock_of(thread, wait)
        return WaitRow(
            kind=wait.kind,
            method=wait.method,
            object=None if wanted is None else Address(wanted),
            type=None if wanted is None else self._naming.type_of(wanted),
            owner=None if wanted is None else self._owner.get(wanted),
        )

    def lock_of(self, thread: Thread, wait: Wait) -> int | None:
        """The object whose monitor a thread waits for; None where it does not, or nothing tells which."""
        if wait.kind == "monitor wait":
            return self._waited_for.get(thread.address)
        registers = self._registers.get(thread.os_id or 0)
        if wait.kind != "monitor enter" or registers is None:
            return None
        others = self._contended.difference(self._held.get(thread.address, ()))
        return lock_wanted(self._session.core.memory, registers.registers, registers.stack_pointer, wait.end_sp, others)

    def _read_monitors(self) -> None:
        for block in self._session.sync_blocks:
            if block.owner is not None:
                self._held.setdefault(block.owner, []).append(Address(block.object))
            self._owner[block.object] = block.owner_managed_id
            if block.entering:
                self._contended.add(block.object)
            for waiter in block.waiting:
                self._waited_for[waiter] = block.object

    def _exception(self, address: int) -> ExceptionRef:
        return ExceptionRef(Address(address), self._naming.type_of(address))

    def _frame(self, frame: Frame) -> FrameRow:
        return self._explicit(frame) if isinstance(frame, ExplicitFrame) else self._managed(frame)

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
            place = None if il_offset is None else self._session.il_maps.place(frame.code.method, il_offset)
            file, line = (None, None) if place is None else (place.file, place.start_line)
        except (Unreadable, Malformed) as error:
            problem = problem or f"its source line cannot be read: {error}"
        method = frame.code.method
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
