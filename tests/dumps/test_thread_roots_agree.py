"""Roots on stacks as dotnet-dump's `gcroot` prints them of the golden dumps: thread, frame, register and offset, slot, object."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dumps.conftest import Opened
from tests.lab.cases import GOLDEN_CASES
from tests.lab.oracle import SHARED

GOLDEN = pytest.mark.parametrize(
    "opened", [pytest.param(case, id=case.name, marks=pytest.mark.golden) for case in GOLDEN_CASES], indirect=True
)
_THREAD = re.compile(r"Thread ([0-9a-f]+):$")
_FRAME = re.compile(r" {4}([0-9a-f]+) ([0-9a-f]+) ")
_SLOT = re.compile(r" {8}(\w+)(?:([+-])([0-9a-f]+))?: ([0-9a-f]{16})?")
_OBJECT = re.compile(r" {10}-> ([0-9a-f]+) ")

Printed = tuple[int, int, int, str, int | None, int | None, int]
"""OS thread, stack pointer, instruction pointer, register, offset from it, slot, object."""


def printed(directory: Path) -> Iterator[Printed]:
    """All roots on stacks in all outputs of `gcroot`."""
    for file in sorted(directory.glob("gcroot_*.txt")):
        os_id = sp = ip = 0
        slot: tuple[str, int | None, int | None] | None = None
        for line in file.read_text().splitlines():
            if (thread := _THREAD.match(line)) is not None:
                os_id = int(thread[1], 16)
            elif (frame := _FRAME.match(line)) is not None:
                sp, ip = int(frame[1], 16), int(frame[2], 16)
            elif (found := _SLOT.match(line)) is not None:
                offset = None if found[3] is None else int(found[3], 16) * (-1 if found[2] == "-" else 1)
                slot = (found[1], offset, None if found[4] is None else int(found[4], 16))
            elif (target := _OBJECT.match(line)) is not None and slot is not None:
                yield os_id, sp, ip, *slot, int(target[1], 16)
                slot = None


@GOLDEN
def test_roots_that_the_tool_prints(opened: Opened) -> None:
    wanted = set(printed(SHARED / "golden" / opened.case.name.removeprefix("golden-")))
    rows = opened.dump.roots(kind="stack").result.roots
    found = {
        (row.os_id, int(row.frame.sp), int(row.frame.ip), row.register, row.offset, row.address, int(row.object))
        for row in rows
        if row.frame is not None
    }
    by_register = {(*key[:5], None, key[6]) for key in found}  # where an inner frame saved a register, the tool does not say
    assert {key for key in wanted - found - by_register if not points_into_a_stack(opened, key)} == set()
    assert len(wanted) > 10
    of_main = [row.frame for row in rows if row.frame is not None and row.frame.method == "Zoo.Program.Main(System.String[])"]
    assert all(frame.il_offset is not None for frame in of_main)


def points_into_a_stack(opened: Opened, key: Printed) -> bool:
    """Whether a slot is a by-reference to another slot: the tool takes what that holds for what the first holds."""
    session = opened.dump.session
    return key[5] is not None and session.table.index_containing(session.core.memory.pointer(key[5])) is None
