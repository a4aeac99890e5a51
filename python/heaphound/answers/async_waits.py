"""What stands at the bottom of a logical stack, in words: a timer, a lock, a channel, a socket, a promise that nobody has kept.

Names of classes and fields: System.Private.CoreLib, System.Threading.Channels and System.Net.Sockets of 3.1 to 10.0.
"""

from collections.abc import Callable, Iterator

from heaphound.answers.async_nodes import STARTS, fields_by_name
from heaphound.answers.naming import Naming
from heaphound.errors import HeaphoundError, Malformed, Unreadable
from heaphound.runtime.delegates import SingleDelegate
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES
from heaphound.session import Session

PLAIN = {
    "System.Threading.PeriodicTimer+State": "the next tick of a PeriodicTimer",
    "System.IO.Pipelines.": "data or room in a pipe (System.IO.Pipelines)",
}
FOR_EVER = 0xFFFFFFFF  # Timeout.Infinite as TimerQueueTimer keeps it
HOLDERS_LOOKED_AT = 64
HOPS = 4
QUEUE_HOPS = 6  # from a method to its delegate, to what wraps that, to the array of a queue, the queue, what owns it
QUEUES = ("System.Threading.SynchronizationContext", "System.Threading.Tasks.TaskScheduler")
SOURCE = "System.Threading.Tasks.TaskCompletionSource"
# SocketAsyncOperation of System.Net.Sockets: what a SocketAsyncEventArgs is at.
SOCKET_OPERATIONS = ("an operation", "accept", "connect", "disconnect", "receive", "receive", "receive", "send", "send", "send")
STARTED = 0x10000  # Task.TASK_STATE_STARTED: its delegate was handed to a thread


class Waits:
    """Describes objects that are awaited. Every answer is words; what cannot be read leaves the shorter ones."""

    def __init__(self, session: Session, naming: Naming) -> None:
        self._session = session
        self._naming = naming
        self._memory = session.core.memory

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
        if any(base.name == "System.Threading.Tasks.Task" for base in (found, *found.bases())):
            return self._promise(address, found)
        if any(field.type_name.startswith("System.Threading.Tasks.Sources.ManualResetValueTaskSourceCore<") for field in found.fields):
            return f"a result that {name} has not been given"
        return f"{name}, an awaiter or source of its own kind"

    def _known(self) -> Iterator[tuple[str, Callable[[int, Type], str]]]:
        yield "System.Threading.Tasks.Task+DelayPromise", self._delay
        yield "System.Threading.SemaphoreSlim+TaskNode", self._semaphore
        yield "System.Threading.Channels.", self._channel
        yield "System.Net.Sockets.", self._socket

    def _delay(self, address: int, found: Type) -> str:
        timer = self._pointer(address, found, "_timer")
        if not timer:
            return "Task.Delay without end"
        holder = self._type(timer)
        milliseconds = self._memory.u32(timer + self._offset(holder, "_dueTime"))
        return "Task.Delay without end" if milliseconds == FOR_EVER else f"Task.Delay of {duration(milliseconds)}"

    def _semaphore(self, address: int, found: Type) -> str:
        node, waiting = address, 1
        while waiting < HOLDERS_LOOKED_AT and (before := self._pointer(node, found, "Prev")):
            node, waiting = before, waiting + 1
        owner = next((one for one in self._holders(node) if self._naming.type_of(one) == "System.Threading.SemaphoreSlim"), None)
        if owner is None:
            return "a SemaphoreSlim"
        semaphore = self._type(owner)
        count = self._memory.u32(owner + self._offset(semaphore, "m_currentCount"))
        return f"a SemaphoreSlim at {owner:#x}, whose count is {count}{self._held_by(owner)}"

    def _channel(self, address: int, found: Type) -> str:
        name = found.name
        what = "room in" if "Write" in name or name.startswith("System.Threading.Channels.VoidAsyncOperationWithData") else "data in"
        for holder in self._around(address, HOPS):
            kind = self._naming.type_of(holder) or ""
            if kind.startswith("System.Threading.Channels.") and kind.endswith(("ChannelReader", "ChannelWriter")):
                holder = self._pointer(holder, self._type(holder), "_parent")
                kind = self._naming.type_of(holder) or ""
            if kind.startswith("System.Threading.Channels.") and kind.partition("<")[0].endswith("Channel"):
                return f"{what} {kind} at {holder:#x}{self._held_by(holder)}"
        return f"{what} a channel"

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
            flags = self._memory.u32(address + self._offset(found, "m_stateFlags"))
            state = "runs" if flags & STARTED else "is queued"
            return f"{self.method_of(action)}, which {state} as a task"
        for holder in self._holders(address):
            kind = self._type(holder)
            if kind.name.startswith("System.Net.Sockets."):  # 3.1: the task of an accept or receive
                return self._socket(holder, kind)
            source = next((one.name for one in (kind, *kind.bases()) if one.name.startswith(SOURCE)), None)
            if source is not None:
                own = "a TaskCompletionSource" if kind.name.startswith(SOURCE) else f"{kind.name} (a TaskCompletionSource)"
                return f"{own} that nobody has completed{self._held_by(holder)}"
        return f"{found.name} that nobody has completed; no TaskCompletionSource of it is left"

    def queue_of(self, address: int) -> str | None:
        """The synchronization context or task scheduler that has been handed a method and has not run it; None where none is found."""
        for holder in self._around(address, QUEUE_HOPS):
            try:
                kind = self._type(holder)
                if any(base.name in QUEUES for base in kind.bases()):
                    return f"{kind.name} at {holder:#x}"
            except (Unreadable, Malformed):
                continue
        return None

    def _around(self, address: int, hops: int) -> Iterator[int]:
        """Objects that refer to an object, then those that refer to these, and so on: each once, so many at most in a step."""
        front, seen = [address], {address}
        for _ in range(hops):
            following: list[int] = []
            for holder in (holder for one in front for holder in self._holders(one)):
                if holder not in seen:
                    seen.add(holder)
                    following.append(holder)
                    yield holder
            front = following[:HOLDERS_LOOKED_AT]

    def method_of(self, delegate: int) -> str:
        """The method that a delegate calls; its code address where that is not known."""
        found = self._type(delegate)
        single: SingleDelegate = next(self._session.objects_without_texts.delegates.singles(delegate, found, 1))
        method = (
            self._session.code.resolve(single.code) if single.method_desc is None else self._session.code.methods.method(single.method_desc)
        )
        return f"code at {single.code:#x}" if method is None else method.full_name

    def _held_by(self, address: int) -> str:
        """`, held by X.field`: by a static if it is one, else by the first object that has it in a field."""
        session = self._session
        for holder in self._holders(address):
            index = session.table.index_of(holder)
            if index is not None and session.static_holders.is_holder(index):
                for slot in self._slots(holder, address):
                    static = session.static_holders.field(slot)
                    if static is not None:
                        return f", held by static {static.declaring_type}.{static.field}"
        for holder in self._holders(address):
            name = self._naming.type_of(holder) or ""
            edge = session.edge(holder, address)
            if not edge.startswith(("[", "(")) and not name.startswith("System."):
                return f", held by {name}.{edge}"
        return ""

    def _slots(self, holder: int, target: int) -> Iterator[int]:
        """Addresses of the slots of an Object[] that hold the target."""
        count = min(self._memory.u32(holder + STARTS), 1 << 16)
        for number, value in enumerate(self._memory.words(holder + 2 * STARTS, count)):
            if value == target:
                yield holder + 2 * STARTS + 8 * number

    def _holders(self, address: int) -> list[int]:
        index = self._session.table.index_of(address)
        if index is None:
            return []
        indices = self._session.graph.referrers(index)[:HOLDERS_LOOKED_AT]
        return [int(self._session.table.address_of(int(one))) for one in indices]

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
