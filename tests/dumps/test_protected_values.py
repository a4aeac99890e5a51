"""References that only rare or short-lived Frames protect, against what the program Protected passed.

The oracle's library ends the process on threads with a PInvokeCalliFrame or a ProtectValueClassFrame: it follows the signature and the list
of values as pointers of its own (PInvokeCalliFrame::PromoteCallerStack, ProtectValueClassFrame::GcScanRoots of src/coreclr/vm/frames.cpp).
"""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame
from tests.dumps.conftest import Opened
from tests.lab.cases import Case
from tests.lab.dumps import Recipe, make_dump
from tests.lab.runtimes import VERSIONS, LabError

COPIED_BY_REFLECTION = ("3.1.2", "6.0.6")  # later ones pass the boxes themselves by reference (src/coreclr/vm/reflectioninvocation.cpp)

TRIES = 3


def protected(version: str, arguments: tuple[str, ...]) -> Path:
    """The dump of one scenario of Protected on one runtime.

    9.0 has ended with an access violation in its own conversion of a string, one run of some twenty, while twelve threads made stubs.
    """
    recipe = Recipe("Protected", version, arguments)
    for _ in range(TRIES - 1):
        try:
            return make_dump(recipe).path
        except LabError as error:
            if "AccessViolationException" not in str(error):
                raise
    return make_dump(recipe).path


def cases(versions: tuple[str, ...], *arguments: str) -> list[object]:
    made = [Case(f"protected-{arguments[0]}-{version}", partial(protected, version, arguments)) for version in versions]
    return [pytest.param(case, id=case.name) for case in made]


def held(opened: Opened, os_id: int, frame_type: str) -> list[str]:
    """What Frames of a type protect on a thread, in order of the places: arrays and strings by their length, Shaped by its number."""
    session = opened.dump.session
    found = []
    for root in session.stack_roots.exact:
        if root.os_id == os_id and isinstance(root.frame, ExplicitFrame) and root.frame.frame_type == frame_type:
            read = session.objects.read(root.object)
            name = read.type.rpartition(".")[2]
            what = read.length if read.length is not None else next((field.value for field in read.fields if field.name == "Number"), None)
            found.append((root.reference.address, f"{'&' if root.reference.interior else ''}{name} {what}"))
    return [text for _, text in sorted(found)]


def os_id_of(opened: Opened, name: str) -> int:
    return next(thread.os_id for thread in opened.dump.session.threads if thread.name == name)


@pytest.mark.parametrize("opened", cases(VERSIONS, "calls", "12"), indirect=True)
def test_arguments_of_calls_through_pointers(opened: Opened) -> None:
    """The caller is named after its call's signature. Registers and then the stack hold the arguments, each in order."""
    session = opened.dump.session
    seen: set[int] = set()
    for thread in session.threads:
        frames = list(session.stacks.walk(thread))
        kinds = [frame.frame_type for frame in frames if isinstance(frame, ExplicitFrame)]
        if "PInvokeCalliFrame" not in kinds:
            continue
        caller = next(frame for frame in frames if isinstance(frame, ManagedFrame) and frame.method and "Call_" in frame.method.name)
        letters = caller.method.name.split("_")[1]
        words = {"s": "String {}", "o": "Shaped {}"}
        passed = [words[letter].format(index + (letter == "s")) for index, letter in enumerate(letters) if letter in words]
        assert Counter(held(opened, thread.os_id, "PInvokeCalliFrame")) == Counter(passed), letters
        seen.add(thread.os_id)
    assert seen
    # the runtime may be at work for such a call, as when it makes a stub: it handles references of its own then, without telling where
    assert all("native code of the runtime" in words.reason for words in session.stack_roots.words)


@pytest.mark.parametrize("opened", cases(COPIED_BY_REFLECTION, "invoke"), indirect=True)
def test_values_that_reflection_copied(opened: Opened) -> None:
    assert opened.dump.session.stack_roots.words == ()
    found = {name: Counter(held(opened, os_id_of(opened, name), "ProtectValueClassFrame")) for name in ("nullables", "nothing", "structs")}
    assert found == {
        "nullables": Counter(["Int32[] 1", "String 2", "Object[] 1", "String 4", "Int32[] 3"]),
        "nothing": Counter(["String 7", "Int32[] 6"]),
        "structs": Counter(),
    }


@pytest.mark.parametrize("opened", cases(VERSIONS, "invoke"), indirect=True)
def test_results_that_are_written_into_an_object(opened: Opened) -> None:
    """Up to 9.0; since 10.0 such a buffer always lies on the stack."""
    buffer = [] if opened.case.name.endswith("-10.0.11") else ["&Big 0"]
    found = Counter(held(opened, os_id_of(opened, "result"), "PrestubMethodFrame"))
    assert found == Counter(["Int32[] 10", "String 12", *buffer])
