"""The answers on two dumps of one process, ability by ability: for kinds of dump that the oracle cannot open."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

import heaphound
from heaphound.runtime.gc_memory import read_bookkeeping
from heaphound.runtime.handles import handle_segments
from heaphound.runtime.loader_heaps import read_loader_heaps
from heaphound.runtime.stacks.frame import Frame, ManagedFrame, StackEnd
from heaphound.runtime.threads import Thread

ELEMENTS = 20
Answers = Callable[[heaphound.Dump], Any]


def walk(dump: heaphound.Dump) -> Any:
    """Number, bytes and checksum of the objects; segments and allocation contexts."""
    result = dump.verify().result
    return result.objects, result.size_bytes, result.free_objects, result.walk_checksum, asdict(dump.heap().result)


def references(dump: heaphound.Dump) -> Any:
    """Number and checksum."""
    result = dump.verify().result
    return result.references, result.reference_checksum


def type_names(dump: heaphound.Dump) -> Any:
    """Count, bytes and name of each type."""
    return {row.method_table: (row.count, row.size_bytes, row.name) for row in dump.types().result.types}


def fields(dump: heaphound.Dump) -> Any:
    """The first object of each type: fields, elements, delegates."""
    table = dump.session.table
    _, first = np.unique(table.type_indices(), return_index=True)
    return {address: asdict(dump.object(address, limit=ELEMENTS).result) for address in table.addresses()[first].tolist()}


def statics(dump: heaphound.Dump) -> Any:
    """All of them, with their slots."""
    return asdict(dump.statics().result)


def handles(dump: heaphound.Dump) -> Any:
    """The handle table with what the handles hold."""
    return asdict(dump.handles().result)


def finalizer_queue(dump: heaphound.Dump) -> Any:
    """Objects with finalizers."""
    queue = dump.session.read_finalizer_queue()
    columns = [
        [part.slots.tolist(), part.objects.tolist(), part.heaps.tolist(), part.critical.tolist()] for part in (queue.ready, queue.waiting)
    ]
    return columns, queue.gaps


def sync_blocks(dump: heaphound.Dump) -> Any:
    """Sync blocks."""
    return [asdict(block) for block in dump.session.sync_blocks]


def with_frames(dump: heaphound.Dump) -> list[Thread]:
    """Threads that run managed code: one of the runtime's own can end between two dumps."""
    walker = dump.session.stacks
    return [thread for thread in dump.session.threads if any(isinstance(frame, ManagedFrame) for frame in walker.walk(thread))]


def threads(dump: heaphound.Dump) -> Any:
    """Managed id and GC mode of each living thread, by its OS id."""
    return {thread.os_id: {"managed_id": thread.managed_id, "gc_mode": thread.gc_mode} for thread in dump.session.threads if thread.alive}


def same(ability: str, whole: heaphound.Dump, found: Any, expected: Any) -> bool:
    """Whether two answers are one. Of threads, those must be there that run managed code, and all that both have must be equal."""
    if ability != "threads":
        return bool(found == expected)
    needed = {thread.os_id for thread in with_frames(whole)}
    return needed <= found.keys() and all(found[os_id] == expected[os_id] for os_id in found.keys() & expected.keys())


def stacks(dump: heaphound.Dump) -> Any:
    """Every frame, by its thread's OS id and its number from the innermost; the end of a walk that could not go on is none."""
    walker = dump.session.stacks
    return {
        (thread.os_id, number): _facts(frame)
        for thread in with_frames(dump)
        for number, frame in enumerate(walker.walk(thread))
        if not isinstance(frame, StackEnd)
    }


def _facts(frame: Frame) -> dict[str, Any]:
    """All that a frame says, but for registers other than its own two: those of its callers are in its callers."""
    facts = asdict(frame)
    for name in ("context", "caller", "resume", "problem"):
        facts.pop(name, None)
    return {"ip": frame.ip, "sp": frame.sp, **facts, "kind": type(frame).__name__}


def stack_roots(dump: heaphound.Dump) -> Any:
    """References on stacks that are exact, by thread, frame and place."""
    rows = [asdict(row) for row in dump.roots(kind="stack").result.roots if row.exact]
    return {tuple(str(row[key]) for key in ("os_id", "address", "register", "offset", "object")) + _frame_key(row): row for row in rows}


def _frame_key(row: dict[str, Any]) -> tuple[str, ...]:
    frame = row["frame"] or {}
    return (str(frame.get("ip")), str(frame.get("sp")))


def modules(dump: heaphound.Dump) -> Any:
    """Loaded assemblies, by the address of the runtime's structure."""
    return {row.module: asdict(row) for row in dump.modules().result.modules}


def code(dump: heaphound.Dump) -> Any:
    """The method at each instruction pointer of a stack."""
    locate = dump.session.code.locate
    pointers = {frame.ip for thread in with_frames(dump) for frame in dump.session.stacks.walk(thread) if not isinstance(frame, StackEnd)}
    found = {pointer: locate(pointer) for pointer in pointers}
    return {pointer: {"start": at.start, "method": at.method and at.method.full_name} for pointer, at in found.items() if at is not None}


def memory_map(dump: heaphound.Dump) -> Any:
    """Blocks of the class loader's heaps, handle tables, tables of the GC."""
    session = dump.session
    heaps = read_loader_heaps(session.runtime, session.module_list.modules)
    blocks = {block for heap in heaps.heaps for block in heap.blocks}
    return blocks, sorted(handle_segments(session.runtime)), read_bookkeeping(session.runtime, session.gc_heap)


ROWS = {"stacks": "frames", "stack roots": "references", "modules": "modules", "code lookup": "places in code"}
"""Abilities whose answers are rows that a small dump has some of, and what a row is called."""

ABILITIES: dict[str, Answers] = {
    "walk": walk,
    "references": references,
    "type names": type_names,
    "fields": fields,
    "statics and thread statics": statics,
    "handles and dependents": handles,
    "finalizer queue": finalizer_queue,
    "sync blocks": sync_blocks,
    "threads": threads,
    "stacks": stacks,
    "stack roots": stack_roots,
    "modules": modules,
    "code lookup": code,
    "memory map": memory_map,
}
