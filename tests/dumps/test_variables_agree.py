"""Arguments and locals of every frame against what dotnet-dump's `clrstack -a` printed of the golden dumps.

It prints raw words: of a struct its first bytes, of a by-reference the address, of a register the register. It lists every parameter and
local in order, `<no data>` where it finds no value.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from heaphound.address import Address
from heaphound.results.object import Absence, ByReferenceValue, EnumValue, Reference, StructValue, Value
from heaphound.results.threads import FrameRow, VariableRow
from heaphound.runtime.stacks.frame import ManagedFrame
from tests.dumps.conftest import Opened
from tests.lab.cases import GOLDEN_CASES
from tests.lab.oracle import SHARED

GOLDEN = pytest.mark.parametrize(
    "opened", [pytest.param(case, id=case.name, marks=pytest.mark.golden) for case in GOLDEN_CASES], indirect=True
)
_FRAME = re.compile(r"([0-9A-Fa-f]{16}) ([0-9A-Fa-f]{16}) (?!\[)\S")
_VARIABLE = re.compile(r"        (?:(\S+) )?(?:\(?(0x[0-9A-F]+|<CLR reg>)\)? )?(?:= )?(0x[0-9a-f]+|<no data>)$")


class Printed(NamedTuple):
    """One line of a variable: its name if it is a parameter, the address (None: a register), the word (None: no data)."""

    name: str | None
    address: int | None
    word: int | None


def printed(directory: Path) -> Iterator[tuple[tuple[int, int], list[Printed], list[Printed]]]:
    """(stack and instruction pointer, parameters, locals) of each managed frame in all outputs of `clrstack -a`."""
    for file in sorted(directory.glob("thread*_clrstack_-a.txt")):
        parameters: list[Printed] = []
        variables: list[Printed] = []
        current: list[Printed] = parameters
        at: tuple[int, int] | None = None
        for line in file.read_text().splitlines():
            frame = _FRAME.match(line)
            if frame is not None:
                if at is not None:
                    yield at, parameters, variables
                at, parameters, variables = (int(frame[1], 16), int(frame[2], 16)), [], []
            elif line.strip() == "PARAMETERS:":
                current = parameters
            elif line.strip() == "LOCALS:":
                current = variables
            elif (found := _VARIABLE.match(line)) is not None:
                word = None if found[3] == "<no data>" else int(found[3], 16)
                current.append(Printed(found[1], int(found[2], 16) if found[2] and found[2][0] == "0" else None, word))
        if at is not None:
            yield at, parameters, variables


def word(opened: Opened, row: VariableRow) -> int | None:
    """What the tool would print of one of our rows: None for what is not available."""
    return _word(opened, row.value, row)


def _word(opened: Opened, value: Value, row: VariableRow) -> int | None:
    match value:
        case None:
            return 0
        case Absence():
            return None
        case Reference() | ByReferenceValue():
            return int(value.address)
        case EnumValue():
            return value.value
        case Address() | bool() | int():
            return int(value)
        case str():
            return ord(value)
        case StructValue():
            return None if row.address is None else opened.dump.session.core.memory.pointer(row.address)
    raise AssertionError(value)


def begins_behind_the_call(opened: Opened, place: tuple[int, int], index: int) -> bool:
    """Whether a variable gets its value from the very call that the frame is in. The tool asks for the return address, and prints what
    that register or slot happens to hold before: of WaitOneNoCheck's result an error number of the kernel, which was in rax."""
    session = opened.dump.session
    for thread in session.threads:
        for frame in session.stacks.walk(thread):
            if isinstance(frame, ManagedFrame) and (frame.sp, frame.ip) == place:
                return any(
                    variable.number == index and variable.start == frame.native_offset
                    for variable in session.stacks.debug_infos.variables_of(frame.code)
                )
    return False


@GOLDEN
def test_every_value_that_the_tool_prints(opened: Opened) -> None:
    name = opened.case.name.removeprefix("golden-")
    answer = opened.dump.stack(variables=True)
    frames: dict[tuple[int, int], FrameRow] = {(int(row.sp), int(row.ip)): row for thread in answer.result.threads for row in thread.frames}
    compared = values = ours_alone = not_yet = 0
    for place, parameters, variables in printed(SHARED / "golden" / name):
        frame = frames[place]
        assert [row.name for row in parameters] == [row.name for row in frame.arguments], frame.method
        rows = [*frame.arguments, *frame.locals[: len(variables)]]
        for index, (theirs, ours) in enumerate(zip([*parameters, *variables], rows, strict=True)):
            compared += 1
            mine = word(opened, ours)
            if theirs.word is None:
                ours_alone += mine is not None
                continue
            values += 1
            if mine is None:
                assert begins_behind_the_call(opened, place, index), (frame.method, theirs, ours)
                not_yet += 1
                continue
            size = 8 if isinstance(ours.value, Reference | ByReferenceValue | Address | None) else 4
            assert (mine ^ theirs.word) & ((1 << 8 * size) - 1) == 0, (frame.method, theirs, ours)
            if theirs.address is not None:
                assert ours.address == theirs.address, (frame.method, theirs, ours)
    print(f"{name}: {compared} variables, {values} with a value, {ours_alone} more values of ours, {not_yet} not yet there")
    assert values > 90
    assert not_yet <= values // 20
