"""The comparison's account of r8 and r9, which the oracle exchanges: it explains what follows from that, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import heaphound
from heaphound.runtime.stacks.frame import ManagedFrame
from tests.lab.dumps import LabDump, Recipe
from tests.lab.stack_agreement import StackDifference
from tests.lab.swapped_registers import SwappedRegisters


def test_only_the_object_of_the_other_register_is_explained(dump_factory: Callable[[Recipe], LabDump]) -> None:
    session = heaphound.open(dump_factory(Recipe("Stacks", "8.0.4", ("busy", "7"))).path).session
    frames = [(thread, frame) for thread in session.threads for frame in session.stacks.walk(thread) if isinstance(frame, ManagedFrame)]
    thread, frame = frames[0][0], replace(frames[0][1], active=True)
    first, second = (session.table.address_of(index) for index in (0, 1))
    frame.context.values.update(r8=first, r9=second)
    session.stacks.walk = lambda one: iter([frame] if one is thread else [])  # type: ignore[method-assign, assignment, return-value]
    swapped = SwappedRegisters(session)

    ours = StackDifference(thread.os_id or 0, "root", "ours", str((hex(frame.sp), "r8", hex(first))), "", hex(frame.sp), "r8")
    theirs = replace(ours, side="oracle's", key=str((hex(frame.sp), "r8", hex(second))))
    assert swapped.explain(ours, [ours, theirs])
    assert swapped.explain(theirs, [ours, theirs])
    assert not swapped.explain(ours, [ours]), "the oracle has to tell what the other register holds"
    assert not swapped.explain(replace(theirs, key=str((hex(frame.sp), "r8", hex(first)))), [ours, theirs])
    assert not swapped.explain(replace(ours, slot="rdi"), [ours, theirs])
    assert not swapped.explain(replace(ours, sp=hex(frame.sp + 8)), [ours, theirs])

    frame.context.values.update(r9=0)
    assert SwappedRegisters(session).explain(ours, [ours]), "no object: the oracle tells nothing"
