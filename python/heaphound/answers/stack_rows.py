"""Rows of threads and frames, for the answers that show stacks."""

from collections.abc import Sequence
from dataclasses import replace

from heaphound.address import Address
from heaphound.answers.frame_rows import FrameRows
from heaphound.answers.naming import Naming
from heaphound.answers.variable_rows import VariableRows
from heaphound.dump.system_calls import waiting_call
from heaphound.errors import HeaphoundError
from heaphound.results.stack import NativeThreadRow
from heaphound.results.threads import ExceptionRef, ThreadRow, WaitRow
from heaphound.runtime.stacks.frame import Frame
from heaphound.runtime.stacks.lock_wanted import lock_wanted
from heaphound.runtime.stacks.waits import Wait, find_wait
from heaphound.runtime.threads import Thread
from heaphound.session import Session


class StackRows:
    """Makes the rows of one answer. `notes` says what of all threads could not be had.

    With `variables` each frame has its arguments, locals and further references too.
    """

    def __init__(self, session: Session, variables: VariableRows | None = None) -> None:
        self._session = session
        self._naming = Naming(session)
        self.frames = FrameRows(session, variables)
        self._registers = {thread.os_id: thread for thread in session.core.threads}
        self.notes: tuple[str, ...] = _problems(session.threads)
        self._held: dict[int, list[Address]] = {}
        self._owner: dict[int, int | None] = {}
        self._contended: set[int] = set()
        self._waited_for: dict[int, int] = {}
        try:
            self._read_monitors()
        except HeaphoundError as error:
            self.notes = (*self.notes, f"locks are not known: {error}")

    def thread(self, thread: Thread, limit: int | None, native: bool = False) -> ThreadRow:
        """One thread with at most `limit` innermost frames (None: all) and some outermost ones, `native` ones among them if asked for."""
        walk = self._session.mixed_stacks.walk if native else self._session.stacks.walk
        found = self.frames.read(walk(thread), limit)
        return ThreadRow(
            managed_id=thread.managed_id,
            os_id=thread.os_id or 0,
            name=thread.name,
            state=thread.state,
            frames=tuple(found.rows),
            address=Address(thread.address),
            gc_mode=thread.gc_mode if thread.alive else None,
            exception=None if thread.exception is None else self._exception(thread.exception),
            nested_exceptions=tuple(self._exception(address) for address in thread.nested_exceptions),
            locks=tuple(self._held.get(thread.address, ())),
            waits=self.waits(thread, found.innermost),
            frames_left_out=found.left_out,
            outermost_frames=tuple(found.outermost),
            methods_left_out=found.methods_left_out,
            stack_end=found.end,
        )

    def native_thread(self, os_id: int, limit: int | None) -> NativeThreadRow:
        """The same of a thread that the runtime does not know."""
        found = self.frames.read(self._session.mixed_stacks.walk_native(os_id), limit)
        return NativeThreadRow(
            os_id=os_id,
            frames=tuple(found.rows),
            waits=_wait_row(find_wait((), self._system_call(os_id))),
            frames_left_out=found.left_out,
            outermost_frames=tuple(found.outermost),
            methods_left_out=found.methods_left_out,
            stack_end=found.end,
        )

    def waits(self, thread: Thread, frames: list[Frame]) -> WaitRow | None:
        """What a thread waits for, with the lock where that is one and the stack or the sync block tells which."""
        wait = find_wait(frames, self._system_call(thread.os_id))
        wanted = None if wait is None else self.lock_of(thread, wait)
        row = _wait_row(wait)
        if row is None or wanted is None:
            return row
        return replace(row, object=Address(wanted), type=self._naming.type_of(wanted), owner=self._owner.get(wanted))

    def _system_call(self, os_id: int | None) -> str | None:
        registers = self._registers.get(os_id or 0)
        return None if registers is None else waiting_call(self._session.core.memory, registers)

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


def _problems(threads: Sequence[Thread]) -> tuple[str, ...]:
    """One sentence for all threads of which something makes no sense."""
    found = [f"thread {thread.managed_id}: {thread.problem}" for thread in threads if thread.problem is not None]
    return (f"{found[0]} (the first of {len(found)} such threads)" if len(found) > 1 else found[0],) if found else ()


def _wait_row(wait: Wait | None) -> WaitRow | None:
    return None if wait is None else WaitRow(wait.kind, wait.method, system_call=wait.system_call)
