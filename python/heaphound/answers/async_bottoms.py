"""What stands at the bottom of logical stacks: which of many are told alike, and the words for one."""

import re

import numpy as np
from numpy.typing import NDArray

from heaphound.answers.async_links import AsyncLinks
from heaphound.answers.async_waits import Waits
from heaphound.session import Session

AT_YIELD = -3  # and below: an async iterator stands at a yield
REFERRERS_LOOKED_AT = 64
AWAITED_HOPS = 4
TOLD_APART = 16
"""Of each type of what is awaited so many, those that most wait for, are described, and stand in groups of their own if they differ."""
METHODS = ("method", "suspended")
ADDRESS = re.compile("0x[0-9a-f]+")
REMOTE_PORT = re.compile(r" \(remote port (\d+)\)")
FIRST_OF_CLIENTS = 32768
"""From there on Linux gives ports to those who connect (net.ipv4.ip_local_port_range): such a port tells clients apart, and no services."""
ENDED = "ended"
TOLD_BY_TASKS = ("all", "any", "unwrap", "each")  # kinds that each task which has not ended leads to
GONE = "tasks that are no longer on the heap: nothing will end them"
UNKNOWN = "nothing that is known: nothing on the heap leads to what it waits for"


class Bottoms:
    """Bottoms of one dump, by their nodes."""

    def __init__(self, session: Session, links: AsyncLinks, waits: Waits) -> None:
        self._session = session
        self._links = links
        self._waits = waits
        self._whole = not session.table.gaps

    def kinds(self) -> NDArray[np.int64]:
        """For each bottom a number from 0 on: the same for objects of one type that are told in the same words, addresses apart."""
        links = self._links
        bottoms = links.addresses[links.count :]
        waiting = np.bincount(links.targets, minlength=len(links.addresses))[links.count :]
        tables = self._tables(bottoms)
        owners = np.array([self._waits.owner(address) for address in bottoms.tolist()], dtype=np.uint64)
        numbers: dict[tuple[int, str], int] = {}
        kinds = np.zeros(len(bottoms), dtype=np.int64)
        for table in np.unique(tables).tolist():
            those = np.flatnonzero(tables == table)
            kinds[those] = numbers.setdefault((table, ""), len(numbers))
            owned, at = np.unique(owners[those], return_inverse=True)
            counts = np.bincount(at, weights=waiting[those])
            told: set[str] = set()
            for most in np.argsort(-counts, kind="stable")[:TOLD_APART].tolist():
                same = those[at == most]
                if len(owned) > TOLD_APART and counts[most] < 2:
                    break  # each has its own: the first stands for all
                words = self._told(int(bottoms[same[0]]))
                told.add(words)
                kinds[same] = numbers.setdefault((table, words), len(numbers))
            else:
                if len(told) == 1:  # as alike as those that were described, like the many channels of a dictionary
                    kinds[those] = numbers[table, told.pop()]
        return kinds

    def _told(self, address: int) -> str:
        if self._links.is_completed(address):
            return ENDED
        return alike(self._waits.words(address))

    def _tables(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        table = self._session.table
        indices = table.indices_of(addresses)
        found = indices != 0xFFFFFFFF
        tables = np.full(len(addresses), -1, dtype=np.int64)
        tables[found] = table.types_of(indices[found])
        return tables

    def words(self, bottom: int, awaited: int | None, *, runs: bool, closing: int | None) -> str:
        """What the innermost one waits for."""
        links = self._links
        if bottom < links.count:
            state, method = links.state(bottom), links.shape(bottom).kind in METHODS
            if closing is not None and closing >= 0:
                other = "itself" if closing == bottom else f"the one at {links.address(closing):#x}, which waits for it"
                return f"{other}: a circle, in which none can go on"
            if method and state is not None and state <= AT_YIELD:
                return "whoever asks the iterator for more"
            if runs:
                return "nothing: it runs"
            if links.shape(bottom).kind in TOLD_BY_TASKS:
                return GONE if self._whole else UNKNOWN
        if awaited is None:
            return self._queued(links.address(bottom))
        if links.is_completed(awaited):
            return self._turn(bottom)
        return self._waits.words(awaited)

    def _turn(self, bottom: int) -> str:
        """Words for one whose turn it is."""
        waiting = self._links.sources[self._links.targets == bottom] if bottom >= self._links.count else np.array([bottom])
        queue = next(
            (found for one in waiting[:REFERRERS_LOOKED_AT] if (found := self._waits.holders.queue_of(self._links.address(one)))), None
        )
        where = "queued to run" if queue is None else f"posted to {queue}, which has not run it" if " at " in queue else f"in {queue}"
        return f"its turn: what it awaited has ended, and it is {where}"

    def _queued(self, address: int) -> str:
        """Words for one of which nothing says what it waits for: its continuation lies in a queue, or where the awaiter put it."""
        queue = self._waits.holders.queue_of(address)
        if queue is not None:
            return f"its turn: it is {f'posted to {queue}, which has not run it' if ' at ' in queue else f'in {queue}'}"
        return self._waits.continuation_of(address) or UNKNOWN

    def awaited(self, node: int) -> int | None:
        """What a method waits for whose awaiter does not say: an object that has it as its continuation, directly or through wrappers."""
        links, session = self._links, self._session
        state, kind = links.state(node), links.shape(node).kind
        if kind not in METHODS or (state is not None and state < 0):
            return None
        address = links.address(node)
        index = session.table.index_of(links.thunks.get(address, address))
        front = [] if index is None else [index]
        for _ in range(AWAITED_HOPS):
            following: list[int] = []
            for at in front:
                for referrer in session.graph.referrers(at)[:REFERRERS_LOOKED_AT].tolist():
                    holder, target = int(session.table.address_of(referrer)), int(session.table.address_of(at))
                    name = session.edge(holder, target).split(".")[0]
                    if name in ("m_continuationObject", "_valueTaskSource"):
                        return holder
                    if name in ("_target", "m_action", "_continuation", "_items") or name.startswith("["):
                        following.append(referrer)
            front = following
        return None


def alike(words: str) -> str:
    """The words without what tells two of the same kind apart: addresses, and the ports of clients."""
    return ADDRESS.sub("", REMOTE_PORT.sub(lambda port: port[0] if int(port[1]) < FIRST_OF_CLIENTS else "", words))
