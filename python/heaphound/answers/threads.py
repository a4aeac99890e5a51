"""`threads`: all managed threads with what they do, and the frames of each for programs."""

import signal
from dataclasses import replace

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.lacking import lacking_for_stacks
from heaphound.answers.stack_rows import StackRows
from heaphound.answers.thread_retention import retained_by_stacks
from heaphound.results.answer import Answer, Coverage
from heaphound.results.threads import SignalRow, ThreadRow, ThreadsResult
from heaphound.session import Session

MAXIMUM_FRAMES = 1000
FAIL_FAST = "System.Environment.FailFast("
TAKEN_ALIVE = (0, signal.SIGSTOP, signal.SIGTRAP)  # gcore stops the process with these
WITH_ADDRESS = (signal.SIGILL, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV)  # si_addr of sigaction(2), where the kernel raised them


def threads(session: Session, frames: int | None = MAXIMUM_FRAMES, retained: bool = False) -> Answer[ThreadsResult]:
    """All threads in the runtime's order, dead and unstarted ones too; of each stack at most `frames` innermost frames.

    With `retained` also the bytes that each thread's stack alone keeps alive, which needs the whole graph of references.
    """
    rows = StackRows(session)
    found = tuple(rows.thread(thread, frames) for thread in session.threads)
    if retained:
        held = retained_by_stacks(session)
        found = tuple(replace(row, retained_bytes=held.get(row.os_id)) for row in found)
        return Answer(dump_facts(session), heap_coverage(session, roots=True, notes=rows.notes), ThreadsResult(found, _end(session, found)))
    notes = (*rows.notes, *lacking_for_stacks(session))
    return Answer(dump_facts(session), Coverage(notes=notes), ThreadsResult(found, _end(session, found)))


def _end(session: Session, found: tuple[ThreadRow, ...]) -> SignalRow | None:
    """The signal, and what its thread was about."""
    row = death(session)
    thread = None if row is None else next((item for item in found if item.os_id == row.os_id), None)
    if row is None or thread is None:
        return row
    return replace(row, exception=thread.exception, fail_fast=any((frame.method or "").startswith(FAIL_FAST) for frame in thread.frames))


def death(session: Session) -> SignalRow | None:
    """The signal of a core that was made because the process got it. createdump gives it to the thread that got it alone; the kernel gives
    it to all threads, and writes the one that got it first (fs/binfmt_elf.c, fill_note_info)."""
    found, threads = session.core.signal, session.core.threads
    if found is None or not threads or found.number in TAKEN_ALIVE:
        return None
    with_it = [thread for thread in threads if thread.signal == found.number]
    first = with_it[0] if len(with_it) == 1 else threads[0]
    name = signal.Signals(found.number).name if found.number in set(signal.Signals) else f"signal {found.number}"
    managed = next((thread.managed_id for thread in session.threads if thread.os_id == first.os_id), None)
    address = Address(found.address) if found.number in WITH_ADDRESS and found.code > 0 else None
    return SignalRow(found.number, name, first.os_id, managed, address)
