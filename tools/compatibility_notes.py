"""Why entries of docs/compatibility.md differ, and which dumps cannot be run."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """Why entries differ. `row` is a pattern in the row's name, `abilities` those that it speaks of; the rest is for the page."""

    row: str
    abilities: tuple[str, ...]
    what: str
    right: str
    why: str


class Notes:
    """The differences of a page: each entry that differs gets the number of its explanation, and those that have none are counted."""

    def __init__(self) -> None:
        self._used: list[Explanation] = []
        self._unexplained = 0
        self._explained = 0

    def entry(self, name: str, ability: str, said: str) -> str:
        """What the table says."""
        if not said.startswith("differs"):
            return said
        found = next((one for one in EXPLANATIONS if re.search(one.row, name) and ability in one.abilities), None)
        if found is None:
            self._unexplained += 1
            return f"**{said}**"
        self._explained += 1
        if found not in self._used:
            self._used.append(found)
        return f"differs, note {self._used.index(found) + 1}"

    def in_one_sentence(self) -> str:
        """How many entries differ, and how many of them without an explanation."""
        if not self._explained + self._unexplained:
            return "No entry differs."
        return f"{self._explained + self._unexplained} entries differ, {self._unexplained} of them without an explanation."

    def text(self) -> str:
        """The explanations that were needed."""
        if not self._used:
            return ""
        notes = [f"{number}. {one.what} {one.right} {one.why}" for number, one in enumerate(self._used, 1)]
        return "\n".join(["\n## Differences, each with its reason\n", *notes])


EXPLANATIONS = (
    Explanation(
        r"^extremes-8\.0\..*emitted",
        ("walk", "type names"),
        "The oracle has fewer objects, and so fewer types and bytes, than heaphound.",
        "heaphound is right about those; neither has the objects in between, and heaphound lists their stretch as a gap.",
        "8.0 puts empty arrays of types that can be unloaded into its frozen heap and never takes them away (TryAllocateFrozenSzArray of "
        "src/coreclr/vm/gchelpers.cpp, which does not ask whether the type is collectible). Once a type is unloaded its array has a "
        "MethodTable that is no more. There the oracle ends its walk of the segment; heaphound goes on behind, where eight objects in a "
        "row make sense.",
    ),
    Explanation(
        r"^redisleak-8\.0\.31-arm64",
        ("stack roots",),
        "The oracle has other references in the first managed frame behind a HelperMethodFrame.",
        "heaphound is right.",
        "Up to 9.0 on arm64 the data access library leaves the places of registers behind such a Frame at those of native code "
        "(HelperMethodFrame::UpdateRegDisplay of src/coreclr/vm/arm64/stubs.cpp under DACCESS_COMPILE), so that slots that count from the "
        "frame pointer are read elsewhere. `docs/stack-agreement-arm64.md` holds two more dumps of this program against it, where each "
        "difference is predicted: none is left.",
    ),
)
# Dumps that cannot be run, by the row's name, with the reason in a sentence.
NOT_RUN: dict[str, str] = {}
