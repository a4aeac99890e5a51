"""A result as text: coloured on a terminal, plain into anything else."""

from importlib import import_module
from typing import Any, TextIO

from heaphound.results.answer import Answer
from heaphound.views.page import Page
from heaphound.views.plain import write_plain

# Each has a module in `results`, with the record, and one of the same name in `views.text`, with its page.
VERBS = (
    *("analyze", "exceptions", "handles", "heap", "info", "locks", "memory", "modules", "object", "objects", "path", "retained"),
    *("roots", "stack", "statics", "tasks", "threads", "types", "verify"),
)


def write_text(answer: Answer[Any], stream: TextIO) -> None:
    """Write the page of the answer's result to the stream."""
    write_page(page_of(answer), stream)


def page_of(answer: Answer[Any]) -> Page:
    """The page of an answer; only the view of its verb is imported. ValueError for a record that no verb answers with."""
    verb = type(answer.result).__module__.removeprefix("heaphound.results.")
    if verb not in VERBS:
        raise ValueError(f"{verb} has no page")
    page: Page = import_module(f"heaphound.views.text.{verb}").page(answer)
    return page


def write_page(page: Page, stream: TextIO) -> None:
    """Write a page in the form that suits the stream."""
    if stream.isatty():
        # rich costs a tenth of a second to import; a pipe need not pay it.
        from heaphound.views.terminal import write_terminal

        write_terminal(page, stream)
    else:
        write_plain(page, stream)
