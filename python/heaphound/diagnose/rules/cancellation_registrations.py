"""Callbacks registered with a long-lived CancellationToken and never disposed.

What it finds
    A CancellationTokenSource with thousands of registrations: of callbacks, or of linked sources.
Why it is a leak
    A source holds every registration until it is disposed, and with it the callback, its state and all that these refer to. A token that
    lives as long as the process (its shutdown token) collects one for each request that does not dispose what Register or
    CreateLinkedTokenSource returned.
Evidence
    The registrations of the source, exact: how many, which methods they call, what they keep alive. The code that registers.
What it cannot see
    Whether the requests are still under way.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.diagnose.callbacks import CallbackGroup, callback_groups, field_offset, passing, rows_of
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import finding_root, held_by, root_words
from heaphound.diagnose.invocation_lists import column
from heaphound.diagnose.slot import find_field
from heaphound.diagnose.subject import Subject
from heaphound.graph.object_graph import NO_OBJECT
from heaphound.results.analyze import CodeSite, Finding, Holder
from heaphound.runtime.types import Type

ID = "cancellation-registrations"
SOURCE = "System.Threading.CancellationTokenSource"
TOKEN = "System.Threading.CancellationToken"
NODES = (f"{SOURCE}+CallbackNode", "System.Threading.CancellationCallbackInfo", "System.Threading.CancellationCallbackInfo+WithSyncContext")
REGISTER = ("Register", "UnsafeRegister", "InternalRegisterWithoutEC")
MINIMUM_COUNT = 1000
MINIMUM_OF_A_PARTITION = 10  # 3.1 spreads the registrations of a source over its processors
MINIMUM_BYTES = 1 << 20
LEAK_SHARE = 0.1
METHODS_LISTED = 3


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each source with very many registrations."""
    for node in subject.types_named(*NODES):
        callback = field_offset(node, "Callback")
        members = subject.instances(node.method_table)
        if callback is None or len(members) < MINIMUM_COUNT:
            continue
        members = members[subject.graph.dominators.retained_of_many(members) > 0]
        in_use = members[column(subject, subject.graph.table.addresses_of(members), callback) != 0]
        for source, mine in _by_source(subject, node, in_use):
            if len(mine) >= MINIMUM_COUNT:
                retained = subject.graph.retained_together(mine)
                if retained >= MINIMUM_BYTES:
                    yield _finding(subject, node, source, _groups(subject, node, mine, callback), retained)


def _groups(subject: Subject, node: Type, members: NDArray[np.uint32], callback: int) -> list[CallbackGroup]:
    """The registrations by what they call. Register(Action) registers a method of CancellationToken's own, with the Action as its state."""
    state = field_offset(node, "CallbackState")
    found: list[CallbackGroup] = []
    for group in callback_groups(subject, members, callback):
        wraps = group.method.startswith(f"{TOKEN}+") or group.method.startswith(f"{TOKEN}.")
        inner = (
            [] if state is None or not wraps or not _is_delegate(subject, group, state) else callback_groups(subject, group.indices, state)
        )
        found.extend(inner or [group])
    return sorted(found, key=lambda group: -len(group.indices))


def _is_delegate(subject: Subject, group: CallbackGroup, state: int) -> bool:
    """Whether the states of a group are delegates, by their first."""
    first = subject.runtime.memory.pointer(subject.address_of(int(group.indices[0])) + state)
    index = subject.graph.table.index_of(first) if first else None
    return index is not None and subject.type_of(index).is_delegate


def _by_source(subject: Subject, node: Type, members: NDArray[np.uint32]) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """(index of the source, its nodes); a node knows its source through the partition or list that it is in."""
    link = field_offset(node, "Registrations", "Partition")
    if link is None or not len(members):
        return
    links = column(subject, subject.graph.table.addresses_of(members), link)
    order = np.argsort(links, kind="stable")
    owners, first, counts = np.unique(links[order], return_index=True, return_counts=True)
    by_source: dict[int, list[NDArray[np.uint32]]] = {}
    # a million sources have one registration each: only what can add up to very many is looked at
    for at in np.flatnonzero(counts >= MINIMUM_OF_A_PARTITION).tolist():
        owner = int(owners[at])
        index = subject.graph.table.index_of(owner) if owner else None
        offset = None if index is None else field_offset(subject.type_of(index), "Source")
        source = None if offset is None else subject.graph.table.index_of(subject.runtime.memory.pointer(owner + offset))
        if source is not None and source != NO_OBJECT:
            by_source.setdefault(source, []).append(members[order[first[at] : first[at] + counts[at]]])
    for source, parts in by_source.items():
        yield source, np.concatenate(parts)


def _finding(subject: Subject, node: Type, source: int, groups: Sequence[CallbackGroup], retained: int) -> Finding:
    count, share = sum(len(group.indices) for group in groups), retained / subject.heap_bytes
    held = held_by(subject, source)
    slot = find_field(subject, held, held.path)
    where = "" if held.root is None else f", held by {root_words(held.root)}"
    code = _code(subject, groups)
    return Finding(
        rule=ID,
        title=f"{count:,} registrations with one {SOURCE}{where}: {share:.0%} of the heap",
        severity="leak" if share >= LEAK_SHARE and not _waits_of_framework(groups) else "note",
        confidence=0.85 if code else 0.75,
        retained_bytes=retained,
        object_count=count,
        fingerprint=fingerprint(ID, [None if slot is None else f"{slot.type_name}.{slot.field}", groups[0].method]),
        type=node.name,
        method_table=Address(node.method_table),
        holder=Holder(
            SOURCE if slot is None else slot.type_name, None if slot is None else slot.field, Address(subject.address_of(source))
        ),
        root=finding_root(subject.threads, held.root),
        path=subject.steps(held.path),
        code=code,
        advice="dispose what Register or CreateLinkedTokenSource returns when the work is over (`using`): only that removes it",
        evidence=tuple(_evidence(groups, retained)),
        caveats=() if code else ("the code that registers was not found in the loaded assemblies",),
    )


def _waits_of_framework(groups: Sequence[CallbackGroup]) -> bool:
    """Whether only .NET itself registered, for waits that go on: each may be an open connection. Linked sources are the program's."""
    return all(group.is_framework and not group.method.startswith(SOURCE) for group in groups)


def _code(subject: Subject, groups: Sequence[CallbackGroup]) -> tuple[CodeSite, ...]:
    core = subject.types.core_library.name
    registers = [site for name in REGISTER for site in subject.search.calls((TOKEN,), name) if site.module.name != core]
    matched = [site for group in groups for site in passing(registers, group)]
    if matched:
        return rows_of(matched, "allocates", "registers a callback with a token")
    if all(group.is_framework for group in groups):
        links = [site for site in subject.search.calls((SOURCE,), "CreateLinkedTokenSource") if site.module.name != core]
        if any(group.method.startswith(SOURCE) for group in groups):
            return rows_of(links, "allocates", "makes a linked source, which registers itself")
        return ()
    return rows_of(registers, "allocates", "registers a callback with a token (which of these made the registrations is not certain)")


def _evidence(groups: Sequence[CallbackGroup], retained: int) -> Iterator[str]:
    yield f"the source holds them; together they alone keep {retained:,} bytes alive"
    for group in groups[:METHODS_LISTED]:
        linked = " (of linked sources that were not disposed)" if group.method.startswith(SOURCE) else ""
        yield f"{len(group.indices):,} of them call {group.method}{linked}"


RULE = Rule(ID, find)
