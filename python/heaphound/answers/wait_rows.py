"""Rows of what threads wait for, with the lock and who holds it where the dump tells."""

from dataclasses import replace

from heaphound.address import Address
from heaphound.answers.naming import Naming
from heaphound.answers.thread_work import ThreadWork
from heaphound.dump.native_mutexes import mutex_holder
from heaphound.dump.system_calls import system_call
from heaphound.errors import HeaphoundError
from heaphound.results.threads import WaitRow
from heaphound.runtime.lock_holders import NOBODY, Holders, LockHolders
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame
from heaphound.runtime.stacks.lock_wanted import lock_wanted
from heaphound.runtime.stacks.waits import NATIVE_LOCK, Wait, find_wait
from heaphound.runtime.threads import Thread, ThreadState
from heaphound.runtime.waited_objects import WaitedObjects
from heaphound.session import Session

ENTER, PULSE, TASK, INITIALIZER, PROCESS = "monitor enter", "monitor wait", "task", "type initializer", "process"
CHILD = ("wait4", "waitid")
FORKING = ("clone", "clone3", "fork", "vfork")
POOL = ThreadState.POOL_WORKER | ThreadState.COMPLETION_PORT


class WaitRows:
    """Makes the rows of one answer. `notes` says what of all threads could not be had; `held` are the monitors by the runtime's Thread."""

    def __init__(self, session: Session, naming: Naming) -> None:
        self._session = session
        self._naming = naming
        self._registers = {thread.os_id: thread for thread in session.core.threads}
        self._managed = {thread.os_id: thread.managed_id for thread in session.threads if thread.os_id is not None}
        self._ended = {thread.managed_id for thread in session.threads if not thread.alive}
        self._work = ThreadWork(session)
        self.notes: tuple[str, ...] = ()
        self.held: dict[int, list[Address]] = {}
        self._owner: dict[int, int | None] = {}
        self._contended: set[int] = set()
        self._waited_for: dict[int, int] = {}
        try:
            self._read_monitors()
        except HeaphoundError as error:
            self.notes = (f"locks are not known: {error}",)
        self._objects = WaitedObjects(session.runtime, session.code, session.stacks)
        self._holders = LockHolders(session.runtime, session.types, session.threads)

    def row(self, thread: Thread, frames: list[Frame]) -> WaitRow | None:
        """What a thread with these frames (innermost first) waits for; None where it runs, or waits in a way that is not known."""
        call = self._system_call(thread.os_id)
        wait = find_wait(frames, call)
        if wait is None:  # createdump may stop the thread that has just made it before that waits for it
            return WaitRow("createdump", None, system_call=call) if call in FORKING and self._crashed(thread) else None
        row = WaitRow(wait.kind, wait.method, system_call=wait.system_call)
        if wait.system_call in CHILD and not (wait.kind == PROCESS and wait.end_sp is not None) and self._crashed(thread):
            return WaitRow("createdump", wait.method if wait.kind == PROCESS else None, system_call=wait.system_call)
        if wait.kind == NATIVE_LOCK:
            return self._native(thread, frames, row)
        if wait.kind in (ENTER, PULSE):
            wanted = self._monitor(thread, wait)
            holders = NOBODY if wanted is None else Holders(self._owner.get(wanted))
        else:
            wanted = self._objects.of(wait, frames, self._registers.get(thread.os_id or 0))
            holders = NOBODY if wanted is None else self._holders.of(wanted)
            if wanted is not None and wait.kind == TASK and holders.exclusive is None:
                holders = Holders(self._work.running(wanted, thread.managed_id))
        if wanted is None:
            return row
        row = replace(row, object=Address(wanted), type=self._naming.type_of(wanted))
        return self._with(row, thread, holders)

    def native_row(self, os_id: int) -> WaitRow | None:
        """The same of a thread that the runtime does not know."""
        wait = find_wait((), self._system_call(os_id))
        row = None if wait is None else WaitRow(wait.kind, wait.method, system_call=wait.system_call)
        return self._of_mutex(os_id, row) if row is not None and row.kind == NATIVE_LOCK else row

    def _with(self, row: WaitRow, thread: Thread, holders: Holders) -> WaitRow:
        """With who holds what the thread waits for. A thread that waits to write may itself have entered for reading."""
        shared = tuple(item for item in holders.shared if item not in (thread.managed_id, holders.exclusive))
        owner = None if holders.exclusive == thread.managed_id and shared else holders.exclusive
        ended = owner in self._ended or holders.os_id is not None
        return replace(row, owner=owner, owner_ended=ended, readers=shared, owner_os_id=holders.os_id)

    def _native(self, thread: Thread, frames: list[Frame], row: WaitRow) -> WaitRow:
        """A wait that no managed method tells of: for work, for a type initializer, or for a mutex."""
        if all(frame.method is None for frame in frames):
            if thread.finalizer:
                return replace(row, kind="idle finalizer")
            if thread.state_bits & POOL:
                return replace(row, kind="idle pool worker")
        found = self._of_mutex(thread.os_id or 0, row)
        wanted = self._initializer(thread, frames)
        if wanted is None or found.owner not in (None, self._work.initializers[wanted]):
            return found  # the mutex says for certain whom it waits for
        return replace(found, kind=INITIALIZER, object=None, type=self._naming.type_name(wanted), owner=self._work.initializers[wanted])

    def _of_mutex(self, os_id: int, row: WaitRow) -> WaitRow:
        registers = self._registers.get(os_id)
        held = None if registers is None else mutex_holder(self._session.core.memory, registers, self._registers.keys())
        if held is None:
            return row
        address, holder = held
        return replace(row, kind="native lock", object=Address(address), owner=self._managed.get(holder), owner_os_id=holder)

    def _initializer(self, thread: Thread, frames: list[Frame]) -> int | None:
        """MethodTable of the type whose initializer another thread runs, and this one waits for: it is handed on through native frames."""
        registers = self._registers.get(thread.os_id or 0)
        first = frames[0] if frames else None
        if registers is None or not isinstance(first, ExplicitFrame) or first.resume is None:
            return None
        others = {table for table, runner in self._work.initializers.items() if runner != thread.managed_id}
        return lock_wanted(self._session.core.memory, registers.registers, registers.stack_pointer, first.resume.sp, others)

    def _crashed(self, thread: Thread) -> bool:
        """Whether the core was made because of what this thread did: it then waits for the program that writes it.

        createdump of 3.1 and 6.0 writes no signal; the thread then has the exception that nobody caught.
        """
        core, registers = self._session.core, self._registers.get(thread.os_id or 0)
        if core.writer.program != "createdump":
            return False
        if core.signal is None or not core.signal.number:
            return thread.exception is not None
        return registers is not None and core.signal.number == registers.signal

    def _system_call(self, os_id: int | None) -> str | None:
        registers = self._registers.get(os_id or 0)
        return None if registers is None else system_call(self._session.core.memory, registers)

    def _monitor(self, thread: Thread, wait: Wait) -> int | None:
        """The object whose monitor a thread waits for; None where nothing tells which."""
        if wait.kind == PULSE:
            return self._waited_for.get(thread.address)
        registers = self._registers.get(thread.os_id or 0)
        if registers is None:
            return None
        others = self._contended.difference(self.held.get(thread.address, ()))
        return lock_wanted(self._session.core.memory, registers.registers, registers.stack_pointer, wait.end_sp, others)

    def _read_monitors(self) -> None:
        for block in self._session.sync_blocks:
            if block.owner is not None:
                self.held.setdefault(block.owner, []).append(Address(block.object))
            self._owner[block.object] = block.owner_managed_id
            if block.entering:
                self._contended.add(block.object)
            for waiter in block.waiting:
                self._waited_for[waiter] = block.object
