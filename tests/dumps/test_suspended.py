"""Threads that a collection holds up for ever, because one thread never gets there: what is alive in returned registers, and whole stacks.

Suspended has several threads of each kind; where each was when the collection began, chance says. Before .NET 5 nothing native can be
called so that the collector waits for it.
"""

from functools import partial
from pathlib import Path

import pytest

from heaphound.dump.native_frames import NativeFrame
from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame, StackEnd
from heaphound.runtime.threads import ThreadState
from tests.dumps.conftest import Opened
from tests.lab.cases import Case
from tests.lab.dumps import Recipe, make_dump
from tests.lab.runtimes import SINCE_NET_6
from tests.lab.stack_comparison import compare_stacks

# What each kind of thread has in the registers of a method that has just returned; of a struct of two words both, of a by-reference inside.
RETURNED = {
    "objects": ["Int32[] {}", [100]],
    "twos": ["Int32[] {} String {}", [200, 300]],
    "halves": ["Int32[] {}", [400]],
    "references": ["&Int32[] {}", [500]],
    "numbers": ["", []],
}
RETURN_REGISTERS = ("rax", "rdx")


def suspended(version: str) -> Path:
    """The dump on one runtime; without tiers, so that loops are compiled to be stopped by diverting returns."""
    return make_dump(Recipe("Suspended", version, ("3",), settings=(("TieredCompilation", "0"),))).path


CASES = [Case(f"suspended-{version}", partial(suspended, version)) for version in SINCE_NET_6]
on_each = pytest.mark.parametrize("opened", [pytest.param(case, id=case.name) for case in CASES], indirect=True)


def returned(opened: Opened, os_id: int) -> str:
    """What the HijackFrame of a thread protects, or since 10.0 the frame to which it returns in the same registers."""
    session = opened.dump.session
    words = []
    for root in session.stack_roots.exact:
        if root.os_id != os_id:
            continue
        diverted = isinstance(root.frame, ExplicitFrame) and root.frame.frame_type == "HijackFrame"
        if diverted or (root.reference.register in RETURN_REGISTERS and root.reference.offset is None):
            read = session.objects.read(root.object)
            words.append(f"{'&' if root.reference.interior else ''}{read.type.rpartition('.')[2]} {read.length}")
    return " ".join(sorted(words))


@on_each
def test_what_a_diverted_return_holds(opened: Opened) -> None:
    session = opened.dump.session
    seen = 0
    for thread in session.threads:
        kind, _, number = (thread.name or "").partition("-")
        frames = [frame.frame_type for frame in session.stacks.walk(thread) if isinstance(frame, ExplicitFrame)]
        if kind in RETURNED and "HijackFrame" in frames:
            form, sizes = RETURNED[kind]
            assert returned(opened, thread.os_id) == form.format(*(size + int(number) for size in sizes)), thread.name
            seen += 1
    assert seen > 0


@on_each
def test_native_frames_and_managed_ones_to_the_beginning_of_each_thread(opened: Opened) -> None:
    """Also of code that is being entered, was interrupted, or calls without telling the collector: no Frame leads to it."""
    session = opened.dump.session
    names: dict[str, list[str]] = {}
    for thread in session.threads:
        frames = list(session.mixed_stacks.walk(thread))
        assert [frame for frame in frames if isinstance(frame, StackEnd)] == []
        assert [frame.problem for frame in frames if isinstance(frame, NativeFrame) and frame.problem] == [], thread.name
        assert all(frame.exact for frame in frames if isinstance(frame, NativeFrame))
        names[thread.name or ""] = [frame.method.name for frame in frames if isinstance(frame, ManagedFrame) and frame.method]
    assert names["holder"][0] == "Hold"
    callbacks = [found for name, found in names.items() if name.startswith("callbacks")]
    assert all("Callbacks" in found for found in callbacks)
    assert any(any("IL_STUB_ReversePInvoke" in name for name in found) for found in callbacks)


@on_each
def test_whole_stacks_behind_returns_that_are_still_to_be_diverted(opened: Opened) -> None:
    """Their return address on the stack is the runtime's own already, and no Frame tells of it."""
    session = opened.dump.session
    for thread in session.threads:
        if thread.state_bits & ThreadState.HIJACKED and thread.name:
            methods = [frame.method.name for frame in session.stacks.walk(thread) if isinstance(frame, ManagedFrame) and frame.method]
            loop = next(index for index, name in enumerate(methods) if name.lower() == thread.name.partition("-")[0])
            assert len(methods) > loop + 1, thread.name


@pytest.mark.oracle
@on_each
def test_frames_and_roots_as_the_oracle_tells_them(opened: Opened) -> None:
    """But for frames behind a return that is still to be diverted, where its walk meets the runtime's own address and goes on at the next
    Frame."""
    found = compare_stacks(opened.case.core())
    caught = {thread.os_id for thread in opened.dump.session.threads if thread.state_bits & ThreadState.HIJACKED}
    assert found.agreed_frames > 60
    assert found.agreed_roots > 20
    assert [difference for difference in found.differences if difference.os_id not in caught] == []
    managed = [difference for difference in found.differences if difference.side != "ours" and "ManagedMethod" in difference.key]
    assert managed == []
    assert [difference for difference in found.differences if difference.what == "root" and difference.side != "ours"] == []
