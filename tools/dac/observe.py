"""All that the DAC of a dumped build shows of it: what each answer rests on, and the names of the Frames.

The DAC runs in a forked child: what it dies of, it dies of alone.
"""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heaphound.dump.core import Core
from heaphound.errors import UsageError
from heaphound.runtime.locate import VERSION, FoundRuntime
from tools.dac import calls
from tools.dac.evidence import Evidence, Observed
from tools.dac.feeds import WORD_BYTES, Feeds, feeds
from tools.dac.library import Library
from tools.dac.questions import questions
from tools.dac.resolve import Question
from tools.dac.target import Target
from tools.dac.ways import WAYS
from tools.in_child import Child, ChildEnded

DAC_NAME = "libmscordaccore.so"
SECONDS_TO_LOAD = 20.0
SECONDS = 1200.0  # some seconds for the DACs since 10.0, 10 to 20 for older ones, on an idle machine
MOST_FRAME_IDENTIFIERS = 64
_CALLS = {call.name: call for call in WAYS}
_Row = tuple[str, tuple[int, ...], dict[str, int], dict[str, int], Feeds]


@dataclass(frozen=True)
class Shown:
    """`frames` are names of Frames by what identifies them: the place of their vtable in g_dacTable, or a small number (since 10.0)."""

    observed: tuple[Observed, ...]
    frames: Mapping[str, int]


@dataclass(frozen=True)
class Expected:
    """The numbers that a layout file has, by the names of ways; `table` and `added` as `Evidence` has them."""

    numbers: Mapping[str, int]
    table: Mapping[int, int]
    added: Mapping[str, int]


def dac_beside(found: FoundRuntime) -> Path | None:
    """The DAC in the folder that the core's libcoreclr.so lay in, None where there is none on this machine."""
    path = Path(found.module.path).with_name(DAC_NAME)
    return path if path.is_file() else None


def why_not(found: FoundRuntime, dac: Path) -> str:
    """Why the DAC cannot be asked: it is of another build, or of another kind of machine or C library than this one; empty where it can.

    A DAC of another build answers as if nothing were wrong, or ends.
    """
    try:
        match = VERSION.search(dac.read_bytes())
    except OSError as error:
        return f"{dac} cannot be read: {error.strerror}"
    commit = None if match is None or match.group(4) is None else match.group(4).decode("ascii")
    if match is None or commit != found.commit:
        return f"{dac} is of commit {commit or 'unknown'}, the dumped runtime of {found.commit or 'unknown'}"
    try:
        Child[None](SECONDS_TO_LOAD).run(lambda: _load(dac))
    except ChildEnded as error:
        return f"{dac} cannot be loaded on this machine ({error})"
    return ""


def _load(dac: Path) -> None:
    ctypes.CDLL(str(dac))


def observe(core: Core, found: FoundRuntime, dac: Path, table: Sequence[int], expected: Expected | None = None) -> Shown:
    """Ask all questions, and find out what the answers rest on. `table` are the addresses in g_dacTable.

    With numbers that are expected, only the words are looked at that these lead to; all that was read where they do not explain the
    answer. That is some times faster and finds the same of what is wrong. Raises UsageError where the DAC is not that of the dumped build,
    or breaks off.
    """

    def work() -> tuple[list[_Row], dict[str, int]]:
        library = Library(dac, Target(core, found.module.base))
        rows = [
            (one.call.name, one.arguments, dict(one.bases), dict(one.given), _feeds(library, one, expected)) for one in questions(library)
        ]
        return rows, _frames(library, table)

    try:
        rows, frames = Child[tuple[list[_Row], dict[str, int]]](SECONDS).run(work)
    except ChildEnded as error:
        raise UsageError(f"the DAC {dac} gave no answers: {error}") from error
    return Shown(tuple(Observed(Question(_CALLS[name], *rest), shown) for name, *rest, shown in rows), frames)


def _feeds(library: Library, question: Question, expected: Expected | None) -> Feeds:
    if expected is not None:
        nothing = Evidence((), expected.table, expected.added)

        def word(address: int) -> int:
            return int.from_bytes(library.target.memory(address, WORD_BYTES), "little")

        shown = feeds(
            library, question.call, question.arguments, lambda reads: nothing.words_expected(question, reads, word, expected.numbers)
        )
        if replace(nothing, observed=(Observed(question, shown),)).settles(question.call, expected.numbers):
            return shown
    return feeds(library, question.call, question.arguments)


def _frames(library: Library, table: Sequence[int]) -> dict[str, int]:
    """Before 10.0 a Frame begins with its vtable, whose address g_dacTable holds; since then with a number."""
    found: dict[str, int] = {}
    for identifier, asked in [*enumerate(table), *((number, number) for number in range(1, MOST_FRAME_IDENTIFIERS))]:
        name = calls.FRAME_NAME.ask(library, (asked,)).get("name", b"")
        if asked and isinstance(name, bytes) and name:
            found.setdefault(name.decode("utf-16le"), identifier)
    return found
