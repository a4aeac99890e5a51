"""What stands at the bottom of a logical stack, in words: a timer, a lock, a channel, a socket, a promise that nobody has kept.

Names of classes and fields: System.Private.CoreLib, System.Threading.Channels and System.Net.Sockets of 3.1 to 10.0.
"""

from collections.abc import Callable, Iterator
from functools import cached_property

from heaphound.answers.async_holders import Holders
from heaphound.answers.async_nodes import fields_by_name
from heaphound.answers.naming import Naming
from heaphound.errors import HeaphoundError, Malformed
from heaphound.runtime.delegates import SingleDelegate
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES
from heaphound.session import Session

PLAIN = {
    "System.Threading.PeriodicTimer+State": "the next tick of a PeriodicTimer",
    "System.IO.Pipelines.Pipe+DefaultPipeReader": "data in a pipe (System.IO.Pipelines)",
    "System.IO.Pipelines.Pipe+DefaultPipeWriter": "room in a pipe (System.IO.Pipelines)",
    "System.IO.Pipelines.": "data or room in a pipe (System.IO.Pipelines)",
    "Microsoft.Win32.SafeHandles.SafeFileHandle+ThreadPoolValueTaskSource": "a read or write of a file by a thread of the pool",
}
FOR_EVER = 0xFFFFFFFF  # Timeout.Infinite as TimerQueueTimer keeps it
HOPS = 4
LONGEST_QUEUE = 1_000_000
LONGEST_RING = 10_000
SEMAPHORE = "System.Threading.SemaphoreSlim"
SOURCE = "System.Threading.Tasks.TaskCompletionSource"
# SocketAsyncOperation of System.Net.Sockets: what a SocketAsyncEventArgs is at.
SOCKET_OPERATIONS = ("an operation", "accept", "connect", "disconnect", "receive", "receive", "receive", "send", "send", "send")
# Task.TASK_STATE_*: given to its scheduler, its delegate called, its delegate done but not all child tasks
STARTED, DELEGATE_INVOKED, WAITING_ON_CHILDREN = 0x10000, 0x20000, 0x800000


class Waits:
    """Describes objects that are awaited. Every answer is words; what cannot be read leaves the shorter ones."""

    def __init__(self, session: Session, naming: Naming) -> None:
        self._session = session
        self._naming = naming
        self._memory = session.core.memory
        self.holders = Holders(session, naming)

    def words(self, address: int) -> str:
        """What waiting for this object means."""
        try:
            return self._described(address)
        except (HeaphoundError, KeyError):
            return self._naming.type_of(address) or "an object that is not in the dump"

    def _described(self, address: int) -> str:
        found = self._type(address)
        name = found.name
        for prefix, describe in self._known():
            if name.startswith(prefix):
                return describe(address, found)
        for prefix, words in PLAIN.items():
            if name.startswith(prefix):
                return words
        bases = {base.name for base in (found, *found.bases())}
        if "System.Threading.Tasks.Task" in bases:
            return self._promise(address, found)
        if "System.Net.Sockets.SocketAsyncEventArgs" in bases:  # awaiters of web servers
            return self._socket(address, found)
        if any(field.type_name.startswith("System.Threading.Tasks.Sources.ManualResetValueTaskSourceCore<") for field in found.fields):
            return f"a result that {name} has not been given{self.holders.held_by(address)}"
        return f"{name}, an awaiter or source of its own kind{self.holders.held_by(address)}"

    def _known(self) -> Iterator[tuple[str, Callable[[int, Type], str]]]:
        yield "System.Threading.Tasks.Task+DelayPromise", self._delay
        yield "System.Threading.SemaphoreSlim+TaskNode", self._semaphore
        yield "System.Threading.Channels.", self._channel
        yield "System.Net.Sockets.", self._socket

    def _delay(self, address: int, found: Type) -> str:
        timer = self._pointer(address, found, "_timer")
        if not timer:
            return "Task.Delay without end"
        due = self.due(timer)
        return "Task.Delay without end" if due is None else f"Task.Delay of {due}"

    def due(self, timer: int) -> str | None:
        """The time that a timer was set to, in words; None for one that is not set. Raises HeaphoundError."""
        milliseconds = self._memory.u32(timer + self._offset(self._type(timer), "_dueTime"))
        return None if milliseconds == FOR_EVER else duration(milliseconds)

    @cached_property
    def semaphores(self) -> dict[int, int]:
        """What waits in the queue of a SemaphoreSlim → the SemaphoreSlim."""
        found: dict[int, int] = {}
        table = self._session.table
        for index, method_table in enumerate(table.method_tables.tolist()):
            if self._naming.type_name(method_table) == SEMAPHORE:
                for semaphore in table.addresses_of(table.instances(index)).tolist():
                    self._enter_queue(semaphore, found)
        return found

    def _enter_queue(self, semaphore: int, found: dict[int, int]) -> None:
        try:
            node = self._pointer(semaphore, self._type(semaphore), "m_asyncHead")
            following = self._offset(self._type(node), "Next") if node else 0
            while node and node not in found and len(found) < LONGEST_QUEUE:
                found[node] = semaphore
                node = self._memory.pointer(node + following)
        except (HeaphoundError, KeyError):
            return  # who waits behind that is not in the dump: those show a SemaphoreSlim without its address

    def owner(self, address: int) -> int:
        """The object that many wait for through objects of their own: a SemaphoreSlim; else the object itself."""
        return self.semaphores.get(address, address)

    def continuation_of(self, address: int) -> str | None:
        """Where the delegate lies that lets a method go on, when no object says that the method waits for it; None for none found."""
        for holder in self.holders.of(address):
            kind = self.holders.type_of(holder)
            if kind is not None and kind.is_delegate:
                held = self.holders.held_by(holder)
                if held:
                    return f"whoever calls its continuation{held}"
        return None

    def _semaphore(self, address: int, _found: Type) -> str:
        owner = self.semaphores.get(address)
        if owner is None:
            return "a SemaphoreSlim"
        count = self._memory.u32(owner + self._offset(self._type(owner), "m_currentCount"))
        held = self.holders.held_by(owner)
        return f"a SemaphoreSlim at {owner:#x}, whose count is {count}{held}; who has entered it is not recorded anywhere"

    def _channel(self, address: int, found: Type) -> str:
        name = found.name
        what = "room in" if "Write" in name or name.startswith("System.Threading.Channels.VoidAsyncOperationWithData") else "data in"
        for holder in self.holders.around(address, HOPS):
            kind = self._naming.type_of(holder) or ""
            if kind.startswith("System.Threading.Channels.") and kind.endswith(("ChannelReader", "ChannelWriter")):
                holder = self._pointer(holder, self._type(holder), "_parent")
                kind = self._naming.type_of(holder) or ""
            if kind.startswith("System.Threading.Channels.") and kind.partition("<")[0].endswith("Channel"):
                what = "room in" if self._waits_to_write(holder, address) else what
                return f"{what} {kind} at {holder:#x}{self.holders.held_by(holder)}"
        return f"{what} a channel"

    def _waits_to_write(self, channel: int, address: int) -> bool:
        """Whether an operation is in the ring of those that a bounded channel tells when it has room (WaitToWriteAsync)."""
        try:
            last = node = self._pointer(channel, self._type(channel), "_waitingWritersTail")
            for _ in range(LONGEST_RING):
                if node in (0, address):
                    return node == address
                node = self._pointer(node, self._type(node), "<Next>k__BackingField")
                if node == last:
                    return False
        except (HeaphoundError, KeyError):
            pass
        return False

    def _socket(self, address: int, found: Type) -> str:
        fields = fields_by_name(found)
        if "_currentSocket" not in fields or "_completedOperation" not in fields:
            return f"a socket ({found.name})"
        number = self._memory.u32(address + self._offset(found, "_completedOperation"))
        socket = self._pointer(address, found, "_currentSocket")
        operation = SOCKET_OPERATIONS[number] if number < len(SOCKET_OPERATIONS) else SOCKET_OPERATIONS[0]
        return f"{operation} on a socket{f' at {socket:#x}' if socket else ''}{self._remote(socket)}"

    def _remote(self, socket: int) -> str:
        """` (remote port N)` of a connected socket: a port names the service, and no host."""
        if not socket:
            return ""
        point = self._pointer(socket, self._type(socket), "_remoteEndPoint")
        if not point or self._naming.type_of(point) != "System.Net.IPEndPoint":
            return ""
        return f" (remote port {self._memory.u32(point + self._offset(self._type(point), '_port'))})"

    def _promise(self, address: int, found: Type) -> str:
        action = self._pointer(address, found, "m_action")
        if action:
            return f"{self.method_of(action)}{self._progress(address, found)}"
        for holder in self.holders.of(address):
            kind = self._type(holder)
            if kind.name.startswith("System.Net.Sockets."):  # 3.1: the task of an accept or receive
                return self._socket(holder, kind)
            source = next((one.name for one in (kind, *kind.bases()) if one.name.startswith(SOURCE)), None)
            if source is not None:
                own = "a TaskCompletionSource" if kind.name.startswith(SOURCE) else f"{kind.name} (a TaskCompletionSource)"
                return f"{own} that nobody has completed{self.holders.held_by(holder)}"
        held = self.holders.held_by(address)
        return f"{found.name} that nobody has completed{held or '; no TaskCompletionSource of it is left'}"

    def _progress(self, address: int, found: Type) -> str:
        """How far a task with a delegate has come. Source: Task.Status, src/libraries/System.Private.CoreLib, Threading/Tasks/Task.cs."""
        flags = self._memory.u32(address + self._offset(found, "m_stateFlags"))
        if flags & WAITING_ON_CHILDREN:
            return ", a task that is done but for the child tasks attached to it"
        if flags & DELEGATE_INVOKED:
            return ", which runs as a task"
        if not flags & STARTED:
            return ", a task that nobody has started"
        queue = self.holders.queue_of(address)
        return f", a task that is in {queue}, and has not begun" if queue is not None else ", a task that is queued, and has not begun"

    def method_of(self, delegate: int) -> str:
        """The method that a delegate calls; its code address where that is not known."""
        found = self._type(delegate)
        single: SingleDelegate = next(self._session.objects_without_texts.delegates.singles(delegate, found, 1))
        method = (
            self._session.code.resolve(single.code) if single.method_desc is None else self._session.code.methods.method(single.method_desc)
        )
        return f"code at {single.code:#x}" if method is None else method.full_name

    def _type(self, address: int) -> Type:
        mask = ~self._session.runtime.layout.constant("ObjectToMethodTableUnmask")
        return self._session.types.type(self._memory.pointer(address) & mask)

    def _offset(self, found: Type, name: str) -> int:
        field = fields_by_name(found).get(name)
        if field is None or field.offset is None:
            raise Malformed(f"{found.name} has no field {name}")
        return OBJECT_HEADER_BYTES + field.offset

    def _pointer(self, address: int, found: Type, name: str) -> int:
        return self._memory.pointer(address + self._offset(found, name))


def duration(milliseconds: int) -> str:
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds >= size:
            return f"{milliseconds / size:g} {unit}"
    return f"{milliseconds} ms"
