"""Who holds what an async method waits for: the field, static, registration or queue through which it can still go on.

Names of classes: System.Private.CoreLib of 3.1 to 10.0 (ThreadPoolWorkQueue.cs, CancellationTokenSource.cs, Timer.cs).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heaphound.answers.async_nodes import STARTS
from heaphound.answers.naming import Naming
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.types import Type
from heaphound.session import Session

HOLDERS_LOOKED_AT = 64
HOPS = 6  # from a promise to its entry, the array of entries, the dictionary, what wraps that, and who owns it
LONGEST_ARRAY = 1 << 16
QUEUES = ("System.Threading.SynchronizationContext", "System.Threading.Tasks.TaskScheduler")
POOL = ("System.Threading.ThreadPoolWorkQueue", "System.Threading.ThreadPoolWorkQueue+WorkStealingQueue")
LIBRARIES = ("System.", "Microsoft.", "Internal.")
BOX = "StateMachineBox"
TASK = "System.Threading.Tasks.Task"
HIDDEN = re.compile(r"\+|\._")  # nested types and those of which a library's own name says that they are its business
LOCAL = re.compile(r"<(\w+)>5__\d+$")
BOXED = re.compile(r"StateMachineBox<(?:[\w.]+, )?(.*)>$")
MACHINE = re.compile(r"^(?P<type>.*)\+<(?P<method>[^>]*)>d__\d+(?P<arguments><.*)?$")
# Objects that complete a promise by themselves when they come to it, and that no object of the program needs to hold.
SIGNALS = {
    "System.Threading.RegisteredWaitHandle": "which a wait handle completes when it is set (ThreadPool.RegisterWaitForSingleObject)",
    "System.Threading.TimerQueueTimer": "which a timer completes when it is due",
    "System.Diagnostics.Process": "which the end of a process completes (System.Diagnostics.Process)",
}


@dataclass(frozen=True, slots=True)
class _End:
    words: str
    is_last_resort: bool = False


class Holders:
    """Searches the references backwards, a few steps and bounded in width: what is not found is not said."""

    def __init__(self, session: Session, naming: Naming) -> None:
        self._session = session
        self._naming = naming
        self._known: dict[int, list[int]] = {}

    def of(self, address: int) -> list[int]:
        """Objects that refer to this one; of more than HOLDERS_LOOKED_AT at least one of each type."""
        if address not in self._known:
            self._known[address] = self._read(address)
        return self._known[address]

    def _read(self, address: int) -> list[int]:
        table = self._session.table
        index = table.index_of(address)
        if index is None:
            return []
        indices = self._session.graph.referrers(index)
        if len(indices) > HOLDERS_LOOKED_AT:
            _, first = np.unique(table.types_of(indices), return_index=True)
            indices = np.concatenate([indices[np.sort(first)], indices])[:HOLDERS_LOOKED_AT]
        return list(dict.fromkeys(int(one) for one in table.addresses_of(indices.astype(np.uint32))))

    def around(self, address: int, hops: int) -> Iterator[int]:
        """Objects that refer to an object, then those that refer to these, and so on: each once, never through other async methods."""
        front, seen = [address], {address}
        for _ in range(hops):
            following: list[int] = []
            for holder in (holder for one in front for holder in self.of(one)):
                if holder not in seen and BOX not in (self._naming.type_of(holder) or BOX):
                    seen.add(holder)
                    following.append(holder)
                    yield holder
            front = following[:HOLDERS_LOOKED_AT]

    def queue_of(self, address: int) -> str | None:
        """The queue that was handed a method and has not run it: of the thread pool, of a context or scheduler; None for none."""
        for holder in self.around(address, HOPS):
            kind = self.type_of(holder)
            if kind is not None and kind.name in POOL:
                return "the queue of the thread pool"
            if kind is not None and any(base.name in QUEUES for base in kind.bases()):
                return f"{kind.name} at {holder:#x}"
        return None

    def held_by(self, address: int) -> str:
        """`, held by static X.field` or `, held by X.field` of the nearest object of the program that leads to it; "" where none does.

        What a library's object stands in between is named: `, in a Dictionary<...> held by X.pending`. A local of an async method is named
        only where nothing else holds it: it is likely the very method that waits.
        """
        front, seen, last_resort, whole = [(address, address)], {address}, "", True
        for _ in range(HOPS):
            following: list[tuple[int, int]] = []
            for held, outermost in front:
                holders = self.of(held)
                whole = whole and len(holders) < HOLDERS_LOOKED_AT
                for holder in holders:
                    if holder in seen:
                        continue
                    seen.add(holder)
                    end = self._end(holder, held, "" if outermost == address else f", in a {self._naming.type_of(outermost)}")
                    if end is None:
                        following.append((holder, holder if self._is_named(holder) else outermost))
                    elif end.is_last_resort:
                        last_resort = last_resort or end.words
                    else:
                        return end.words
            front = following[:HOLDERS_LOOKED_AT]
            whole = whole and len(following) <= HOLDERS_LOOKED_AT
        return last_resort.replace("held by", "held only by") if whole and not front else last_resort

    def _end(self, holder: int, held: int, through: str) -> _End | None:
        """The end of the search at a holder; None to search beyond it."""
        kind = self.type_of(holder)
        if kind is None:
            return _End("", is_last_resort=True)
        static = self._static(holder, held)
        if static is not None:
            return _End(f"{through or ','} held by static {static}")
        if kind.name in SIGNALS:
            return _End(f"{through}, {SIGNALS[kind.name]}")
        if BOX in kind.name or MACHINE.match(kind.name):
            return _End(self._local(kind, holder, held), is_last_resort=True)
        if any(base.name == TASK for base in (kind, *kind.bases())):
            return _End("", is_last_resort=True)  # what waits for it, or stands in its place
        if kind.name.startswith(LIBRARIES) or kind.is_array or kind.is_delegate:
            return None
        edge = self._session.edge(holder, held)
        return None if edge.startswith(("[", "(")) else _End(f"{through or ','} held by {kind.name}.{edge}")

    def _is_named(self, holder: int) -> bool:
        """Whether naming this object says more than its holder does: collections and sources do, arrays, delegates and entries do not."""
        kind = self.type_of(holder)
        return kind is not None and not kind.is_array and not kind.is_delegate and not HIDDEN.search(kind.name)

    def _local(self, kind: Type, holder: int, held: int) -> str:
        edge = self._session.edge(holder, held).rpartition(".")[2]
        boxed = BOXED.search(kind.name)
        machine = MACHINE.match(kind.name if boxed is None else boxed[1])
        named = LOCAL.match(edge)
        if machine is None or named is None:
            return ""
        return f", held by a local of {machine['type']}.{machine['method']}: {named[1]}"

    def _static(self, holder: int, held: int) -> str | None:
        session = self._session
        index = session.table.index_of(holder)
        if index is None or not session.static_holders.is_holder(index):
            return None
        memory = session.core.memory
        try:
            count = min(memory.u32(holder + STARTS), LONGEST_ARRAY)
            words = memory.words(holder + 2 * STARTS, count)
        except Unreadable:
            return None
        for number, value in enumerate(words):
            static = session.static_holders.field(holder + 2 * STARTS + 8 * number) if value == held else None
            if static is not None:
                return f"{static.declaring_type}.{static.field}"
        return None

    def type_of(self, address: int) -> Type | None:
        """The type of an object; None where it cannot be read."""
        mask = ~self._session.runtime.layout.constant("ObjectToMethodTableUnmask")
        try:
            return self._session.types.type(self._session.core.memory.pointer(address) & mask)
        except (Unreadable, Malformed):
            return None
