"""A result as text: coloured on a terminal, plain into anything else."""

from collections.abc import Callable
from typing import Any, TextIO

from heaphound.results.analyze import AnalyzeResult
from heaphound.results.answer import Answer
from heaphound.results.exceptions import ExceptionsResult
from heaphound.results.handles import HandlesResult
from heaphound.results.heap import HeapResult
from heaphound.results.info import InfoResult
from heaphound.results.locks import LocksResult
from heaphound.results.memory import MemoryResult
from heaphound.results.modules import ModulesResult
from heaphound.results.object import ObjectResult
from heaphound.results.objects import ObjectsResult
from heaphound.results.path import PathResult
from heaphound.results.retained import RetainedResult
from heaphound.results.roots import RootsResult
from heaphound.results.stack import StackResult
from heaphound.results.statics import StaticsResult
from heaphound.results.tasks import TasksResult
from heaphound.results.threads import ThreadsResult
from heaphound.results.types import TypesResult
from heaphound.results.verify import VerifyResult
from heaphound.views.page import Page
from heaphound.views.plain import write_plain
from heaphound.views.text import (
    analyze,
    exceptions,
    handles,
    heap,
    info,
    locks,
    memory,
    modules,
    object,
    objects,
    path,
    retained,
    roots,
    stack,
    statics,
    tasks,
    threads,
    types,
    verify,
)

PAGES: dict[type, Callable[[Answer[Any]], Page]] = {
    AnalyzeResult: analyze.page,
    ExceptionsResult: exceptions.page,
    TasksResult: tasks.page,
    HandlesResult: handles.page,
    HeapResult: heap.page,
    InfoResult: info.page,
    LocksResult: locks.page,
    MemoryResult: memory.page,
    ModulesResult: modules.page,
    ObjectResult: object.page,
    ObjectsResult: objects.page,
    PathResult: path.page,
    RetainedResult: retained.page,
    RootsResult: roots.page,
    StackResult: stack.page,
    StaticsResult: statics.page,
    ThreadsResult: threads.page,
    TypesResult: types.page,
    VerifyResult: verify.page,
}


def write_text(answer: Answer[Any], stream: TextIO) -> None:
    """Write the page of the answer's result to the stream."""
    write_page(PAGES[type(answer.result)](answer), stream)


def write_page(page: Page, stream: TextIO) -> None:
    """Write a page in the form that suits the stream."""
    if stream.isatty():
        # rich costs a tenth of a second to import; a pipe need not pay it.
        from heaphound.views.terminal import write_terminal

        write_terminal(page, stream)
    else:
        write_plain(page, stream)
