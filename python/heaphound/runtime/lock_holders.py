"""Who holds a lock of the framework that is an object: System.Threading.Lock, ReaderWriterLockSlim, ReaderWriterLock; who has to end for a
Thread or Task that is waited for.

Fields of System.Private.CoreLib and System.Threading, 3.1 to 10.0 (Lock since 9.0): `_owningThreadId`, on Linux the kernel's id
(Lock+ThreadId.InitializeForCurrentThread: TryGetUInt32OSThreadId); `_writeLockOwnerId`,
`_upgradeLockOwnerId` and `_lockID`, with the thread static `t_rwc`, a list of ReaderWriterCount for what a thread has entered; `_writerID`
and `_lockID`, with the thread static `t_lockEntryHead`; the thread static `Task.t_currentTask`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.statics import static_storages
from heaphound.runtime.threads import Thread
from heaphound.runtime.types import Type
from heaphound.runtime.typesystem import TypeSystem
from heaphound.runtime.values import OBJECT_HEADER_BYTES

_SLIM, _OLD, _LOCK = "System.Threading.ReaderWriterLockSlim", "System.Threading.ReaderWriterLock", "System.Threading.Lock"
_THREAD, _TASK = "System.Threading.Thread", "System.Threading.Tasks.Task"
_NO_ID = (0, 0xFFFFFFFF)
_MAXIMUM_ENTRIES = 65_536  # locks that one thread has entered for reading
UNTOLD = (Unreadable, Malformed, LayoutError)


@dataclass(frozen=True, slots=True)
class Holders:
    """Managed ids: `exclusive` of the thread that alone holds the lock, or that runs the task; `shared` of those that have entered it for
    reading. `os_id` is the kernel's id of a holder that is none of the runtime's threads any more."""

    exclusive: int | None
    shared: tuple[int, ...] = ()
    os_id: int | None = None

    @property
    def all(self) -> tuple[int, ...]:
        """Both."""
        return self.shared if self.exclusive is None else (self.exclusive, *(item for item in self.shared if item != self.exclusive))


NOBODY = Holders(None)


class LockHolders:
    """Tells the holders of locks of one dump; each thread's lists are read once, when a lock of their kind is asked for."""

    def __init__(self, runtime: Runtime, types: TypeSystem, threads: Sequence[Thread]) -> None:
        self._memory = runtime.memory
        self._types = types
        self._mask = ~runtime.layout.constant("ObjectToMethodTableUnmask")
        self._runtime = runtime
        self._threads = threads
        self._readers: dict[str, dict[int, list[int]]] = {}
        self._running: dict[int, int] | None = None
        self._by_name: dict[str, Callable[[int, Type], Holders]] = {
            _LOCK: self._lock,
            _SLIM: self._slim,
            _OLD: self._old,
            _THREAD: self._thread,
            _TASK: self._task,
        }

    def of(self, address: int) -> Holders:
        """The holders of the object; nobody for what has none or whose fields cannot be read."""
        try:
            found = self._types.type(self._memory.pointer(address) & self._mask)
            for owner in (found, *found.bases()):
                read = self._by_name.get(owner.name)
                if read is not None:
                    return read(address, owner)
        except UNTOLD:
            return NOBODY
        return NOBODY

    def _lock(self, address: int, found: Type) -> Holders:
        owner = self._id(address, found, "_owningThreadId")
        alive = next((item.managed_id for item in self._threads if owner is not None and item.os_id == owner), None)
        return Holders(alive, os_id=owner if alive is None else None)

    def _slim(self, address: int, found: Type) -> Holders:
        writer = self._id(address, found, "_writeLockOwnerId")
        upgrading = self._id(address, found, "_upgradeLockOwnerId")
        lock = self._memory.u64(self._field(address, found, "_lockID"))
        readers = self._reading(_SLIM, [found], "t_rwc", self._slim_entries)
        return Holders(upgrading if writer is None else writer, tuple(readers.get(lock, ())))

    def _old(self, address: int, found: Type) -> Holders:
        lock = self._memory.u64(self._field(address, found, "_lockID"))
        readers = self._reading(_OLD, self._types.find(f"{_OLD}+ThreadLocalLockEntry"), "t_lockEntryHead", self._old_entries)
        return Holders(self._id(address, found, "_writerID"), tuple(readers.get(lock, ())))

    def _thread(self, address: int, found: Type) -> Holders:  # noqa: ARG002
        return Holders(next((item.managed_id for item in self._threads if item.alive and item.managed_object == address), None))

    def _task(self, address: int, found: Type) -> Holders:
        if self._running is None:
            self._running = {task: thread.managed_id for thread, task in self._thread_statics([found], "t_currentTask") if task}
        return Holders(self._running.get(address))

    def _reading(self, name: str, owners: list[Type], field: str, entries: Callable[[int], Iterator[int]]) -> dict[int, list[int]]:
        """Ids of locks to the managed ids of threads that have entered them for reading, by a thread static of one of `owners`."""
        known = self._readers.get(name)
        if known is None:
            known = self._readers[name] = {}
            for thread, first in self._thread_statics(owners, field):
                try:
                    for lock in entries(first):
                        known.setdefault(lock, []).append(thread.managed_id)
                except UNTOLD:
                    continue  # the list of this thread alone
        return known

    def _slim_entries(self, entry: int) -> Iterator[int]:
        for item in self._chain(entry, "next"):
            found = self._type_of(item)
            if self._memory.u32(self._field(item, found, "readercount")):
                yield self._memory.u64(self._field(item, found, "lockID"))

    def _old_entries(self, entry: int) -> Iterator[int]:
        for item in self._chain(entry, "_next"):
            found = self._type_of(item)
            if self._memory.u32(self._field(item, found, "_readerLevel")) & 0xFFFF:
                yield self._memory.u64(self._field(item, found, "_lockID"))

    def _chain(self, entry: int, link: str) -> Iterator[int]:
        seen: set[int] = set()
        while entry and entry not in seen and len(seen) < _MAXIMUM_ENTRIES:
            seen.add(entry)
            yield entry
            entry = self._memory.pointer(self._field(entry, self._type_of(entry), link))

    def _thread_statics(self, owners: list[Type], field: str) -> Iterator[tuple[Thread, int]]:
        """What a thread static of reference type holds, of each thread that has it; nothing where this runtime's are not described."""
        try:
            bases = static_storages(self._runtime)[1].bases
        except UNTOLD:
            return
        for owner in owners:
            offset = next((item.offset for item in owner.static_fields if item.name == field and item.is_thread_static), None)
            for thread in self._threads if offset is not None else ():
                if not thread.alive:
                    continue
                try:
                    base = bases(thread.address, owner).gc
                    value = self._memory.pointer(base + offset) if base is not None and offset is not None else 0
                except UNTOLD:
                    continue  # as a thread that never came here
                yield thread, value

    def _type_of(self, address: int) -> Type:
        return self._types.type(self._memory.pointer(address) & self._mask)

    def _field(self, address: int, found: Type, name: str) -> int:
        offset = next((item.offset for item in found.fields if item.name == name), None)
        if offset is None:
            raise LayoutError(f"{found.name} has no field {name}")
        return address + OBJECT_HEADER_BYTES + offset

    def _id(self, address: int, found: Type, name: str) -> int | None:
        value = self._memory.u32(self._field(address, found, name))
        return None if value in _NO_ID else value
