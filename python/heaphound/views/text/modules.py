"""Loaded assemblies as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.modules import ModulesResult
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Fact, Table, names
from heaphound.views.quantities import count


def page(answer: Answer[ModulesResult]) -> Iterator[Block]:
    """One row a module."""
    rows = [
        (
            row.module,
            row.image_base,
            row.name,
            row.version,
            row.load_context or "default",
            "dynamic" if row.dynamic else row.path,
            None if row.metadata == "present" else row.metadata,
        )
        for row in answer.result.modules
    ]
    yield Table(names("Module", "Image", "Name", "Version", "Load context", "Path", "Metadata missing"), rows)
    yield Fact("Total", count(len(rows), "module"), "strong")
    yield from coverage_blocks(answer.dump, answer.coverage)
