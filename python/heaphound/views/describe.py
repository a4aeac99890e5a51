"""Sentences that several views share: the dump in one line, a root in words, what an answer lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from heaphound.address import Address
from heaphound.results.answer import Coverage, DumpFacts
from heaphound.results.roots import FrameRef, RootRow
from heaphound.views.page import Block, Fact
from heaphound.views.quantities import count, share, size

if TYPE_CHECKING:
    from heaphound.results.analyze import FindingRoot, PathStep

GAPS_SHOWN = 10
NOTES_SHOWN = 10
STEPS_SHOWN = 40


def headline(dump: DumpFacts) -> str:
    """``.NET 9.0.11, linux x64, 1 workstation heap (regions) - Shop.Orders, pid 4242, core written by createdump (full), 3.90 GB``."""
    runtime = [f".NET {dump.runtime}" if dump.runtime else "no .NET runtime found", f"{dump.os} {dump.architecture}"]
    if dump.heap_count is not None:
        flavour = "" if dump.server_gc is None else "server " if dump.server_gc else "workstation "
        layout = "" if dump.regions is None else " (regions)" if dump.regions else " (segments)"
        runtime.append(f"{dump.heap_count} {flavour}heap{'' if dump.heap_count == 1 else 's'}{layout}")
    process = [] if dump.process is None else [dump.process]
    if dump.pid is not None:
        process.append(f"pid {dump.pid}")
    process.append("core of unknown origin" if dump.kind == "unknown" else f"core written by {dump.kind}")
    process.append(size(dump.size_bytes))
    return f"{', '.join(runtime)} - {', '.join(process)}"


def root_words(root: FindingRoot | RootRow) -> str:
    """A root as a reader names it: ``static Shop.Caching.RedisHub._hub``, ``strong handle 0x7f...``, ``stack of thread 4 in Main()``."""
    slot = "" if root.address is None else f" {root.address}"
    if root.kind == "none":
        return "no root"
    if root.kind in ("static-field", "thread-static") and root.declaring_type is not None:
        thread = "" if root.thread is None else f" of thread {root.thread}"
        return f"{'static' if root.kind == 'static-field' else 'thread static'} {root.declaring_type}.{root.field}{thread}"
    if root.kind == "stack":
        return _stack_words(root)
    return f"{root.kind.replace('-', ' ')}{slot}"


def _stack_words(root: FindingRoot | RootRow) -> str:
    words = "stack" if root.thread is None else f"stack of thread {root.thread}"
    if not isinstance(root, RootRow):
        return words if root.method is None else f"{words} in {root.method}"
    if root.os_id is not None:
        words += f" (os {root.os_id})"
    if root.frame is not None:
        words += f" in {_frame_words(root.frame)}"
    elif root.exact:
        words += ", held by native code of the runtime"
    words += _slot_words(root)
    return words if root.exact else f"{words} (a word that looks like a reference)"


def _frame_words(frame: FrameRef) -> str:
    """The method with its source line, else its IL offset; a Frame of the runtime in brackets."""
    if frame.kind not in ("managed", "funclet"):
        return f"[{frame.kind}{'' if frame.method is None else ': ' + frame.method}]"
    words = f"{frame.method or 'code without a name'}{' [handler]' if frame.kind == 'funclet' else ''}"
    if frame.file is not None:
        words += f" at {frame.file}{'' if frame.line is None else f':{frame.line}'}"
    return words if frame.il_offset is None else f"{words} IL {frame.il_offset:#x}"


def _slot_words(root: RootRow) -> str:
    """`, local orders in [rbp-0x18] at 0x7f...`: the variable where one is named, the register, the slot's address."""
    variable = None if root.frame is None else root.frame.variable
    words = "" if variable is None else f", {variable}"
    if root.register is not None and root.offset is not None:
        words += f" [{root.register}{'-' if root.offset < 0 else '+'}{abs(root.offset):#x}]"
    elif root.register is not None:
        words += f" {root.register}"
    return words if root.address is None else f"{words} at {root.address}"


def step_words(step: PathStep) -> str:
    """An object on a path with the field or index that leads on: ``System.Object[] [42]``, ``Shop.Hub._handlers``."""
    if step.via is None:
        return step.type
    return f"{step.type} {step.via}" if step.via.startswith(("[", "(")) else f"{step.type}.{step.via}"


def abridged(path: tuple[PathStep, ...]) -> tuple[tuple[PathStep, ...], int, tuple[PathStep, ...]]:
    """(beginning, number of steps left out, end): a list of a million nodes is shown by its ends. JSON has every step."""
    if len(path) <= STEPS_SHOWN:
        return path, 0, ()
    half = STEPS_SHOWN // 2
    return path[:half], len(path) - 2 * half, path[-half:]


def chain(root: FindingRoot | RootRow, path: tuple[PathStep, ...]) -> str:
    """The path on one line."""
    beginning, omitted, end = abridged(path)
    between = [f"... {count(omitted, 'more object')} ..."] if omitted else []
    return " -> ".join([root_words(root), *map(step_words, beginning), *between, *map(step_words, end)])


def coverage_sentences(coverage: Coverage) -> Iterator[str]:
    """What the answer lacks, one sentence each; nothing for a complete one."""
    if coverage.without_heap:
        yield "nothing of the heap could be walked: that no object is shown says nothing of the process"
    elif coverage.walked_bytes != coverage.heap_bytes:
        walked = share(coverage.walked_bytes, coverage.heap_bytes)
        yield f"{walked} of the heap was walked ({coverage.walked_bytes} of {coverage.heap_bytes} bytes)"
    yield from limit_sentences(coverage)


def limit_sentences(coverage: Coverage) -> Iterator[str]:
    """The same without the share that was walked: gaps, incomplete roots, rules that could not run."""
    for gap in coverage.gaps[:GAPS_SHOWN]:
        yield f"gap {gap.start} to {gap.end} ({gap.end - gap.start} bytes): {gap.reason}"
    if len(coverage.gaps) > GAPS_SHOWN:
        yield f"{count(len(coverage.gaps) - GAPS_SHOWN, 'further gap')}: --json lists them all"
    for reason in coverage.incomplete_roots:
        yield f"roots: {reason}"
    for skipped in coverage.skipped_rules:
        yield f"skipped {skipped.rule}: {skipped.reason}"


def coverage_blocks(dump: DumpFacts, coverage: Coverage) -> Iterator[Block]:
    """The foot of every page: what is missing; nothing when nothing is."""
    if dump.truncated is not None:
        yield Fact("Cut off", dump.truncated, "warn")
    for sentence in coverage_sentences(coverage):
        yield Fact("Limits", sentence, "warn")
    for sentence in coverage.notes[:NOTES_SHOWN]:
        yield Fact("Note", sentence)
    if len(coverage.notes) > NOTES_SHOWN:
        yield Fact("", f"{count(len(coverage.notes) - NOTES_SHOWN, 'further note')}: --json lists them all", "dim")


def left_out(rows: int, noun: str) -> Iterator[Block]:
    """A word on rows that the limit cut, where it cut any."""
    if rows:
        yield Fact("", f"{count(rows, f'more {noun}', f'more {noun}s')}: --limit 0 shows all", "dim")


def holder_words(type_name: str, field: str | None, address: Address | None) -> str:
    """``StackExchange.Redis.ConnectionMultiplexer.ConnectionFailed at 0x7f...``."""
    named = type_name if field is None else f"{type_name} ({field})" if "," in field else f"{type_name}.{field}"
    return named if address is None else f"{named} at {address}"
