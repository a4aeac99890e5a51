"""Rows of threads and frames, for the answers that show stacks."""

from collections.abc import Sequence

from heaphound.address import Address
from heaphound.answers.frame_rows import FrameRows
from heaphound.answers.naming import Naming
from heaphound.answers.variable_rows import VariableRows
from heaphound.answers.wait_rows import WaitRows
from heaphound.results.stack import NativeThreadRow
from heaphound.results.threads import ExceptionRef, ThreadRow
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
        self._waits = WaitRows(session, self._naming)
        self.notes = (*_problems(session.threads), *self._waits.notes)

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
            locks=tuple(self._waits.held.get(thread.address, ())),
            waits=self._waits.row(thread, found.innermost),
            frames_left_out=found.left_out,
            outermost_frames=tuple(found.outermost),
            methods_left_out=found.methods_left_out,
            stack_end=found.end,
            state_bits=thread.state_bits,
            allocation_pointer=Address(thread.allocation_context[0]) if thread.allocation_context[0] else None,
            allocation_limit=Address(thread.allocation_context[1]) if thread.allocation_context[0] else None,
        )

    def native_thread(self, os_id: int, limit: int | None) -> NativeThreadRow:
        """The same of a thread that the runtime does not know."""
        found = self.frames.read(self._session.mixed_stacks.walk_native(os_id), limit)
        return NativeThreadRow(
            os_id=os_id,
            frames=tuple(found.rows),
            waits=self._waits.native_row(os_id),
            frames_left_out=found.left_out,
            outermost_frames=tuple(found.outermost),
            methods_left_out=found.methods_left_out,
            stack_end=found.end,
        )

    def _exception(self, address: int) -> ExceptionRef:
        return ExceptionRef(Address(address), self._naming.type_of(address))


def _problems(threads: Sequence[Thread]) -> tuple[str, ...]:
    """One sentence for all threads of which something makes no sense."""
    found = [f"thread {thread.managed_id}: {thread.problem}" for thread in threads if thread.problem is not None]
    return (f"{found[0]} (the first of {len(found)} such threads)" if len(found) > 1 else found[0],) if found else ()
