#!/usr/bin/env python3
"""Say which number of a layout file is likely wrong, and what it likely is: for each self-check that fails, the nearby values that pass.

    tools/mend_layout.py CORE                      # the file of the core's version
    tools/mend_layout.py CORE --layout FILE.json   # a file that is being written

Each number that a failing check asked for is changed to values nearby, one at a time, then together with all that lies behind it in its
structure or table. A change is named when failing checks pass with it and none that passed before fails: the one first that mends most of
them. What mends all is as good as an answer; several that mend one each mean that several numbers are wrong, or that the check does not
tell them apart. Nothing is written; mend one number and ask again.
The dump's own descriptor is left aside.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's library starts threads when it is loaded, and this process forks

from heaphound.dump.core import open_core
from heaphound.layouts.load import LayoutFile, parse_layout_file
from heaphound.runtime.self_checks import CHECKS
from tools.layout_numbers import FLAGS_FROM, Number, numbers, shifted, shifted_globals, value, with_value
from tools.layout_trial import Trial

REACH_BYTES = 64  # how far an offset or a size is looked for: a structure seldom grows by more between two versions
MOST_SHOWN = 12
SHIFTED_BYTES = (8, -8, 16, -16, 4, -4, 24, -24, 32, -32)
SHIFTED_PLACES = (1, -1, 2, -2, 3, -3)
REACH_PLACES = 6  # the same for places in g_dacTable, counts and bits


@dataclass(frozen=True)
class Mend:
    """A change with which checks pass that fail as the file stands: in words, how far it goes, and the checks by their place in CHECKS."""

    words: str
    distance: int
    passing: frozenset[int]

    def __str__(self) -> str:
        names = ", ".join(f"{CHECKS[index].ability} / {CHECKS[index].name}" for index in sorted(self.passing)[:MOST_SHOWN])
        return f"{self.words}: mends {len(self.passing)} ({names})"


def nearby(source: LayoutFile, number: Number) -> Iterator[int]:
    """Values near the present one, the nearest first."""
    known = value(source, number)
    if number.kind == "constant" and known > FLAGS_FROM:
        for bits in range(1, REACH_PLACES + 1):
            yield from (known << bits, known >> bits)
        return
    aligned = number.kind in ("offset", "size")
    step = next(width for width in (4, 2, 1) if known % width == 0) if aligned else 1
    for distance in range(step, (REACH_BYTES if aligned else REACH_PLACES) + 1, step):
        for changed in (known + distance, known - distance):
            if changed >= 0 and not (number.kind == "global" and changed >= source.dac_table.entry_count):
                yield changed


def mends(trial: Trial) -> Iterator[Mend]:
    """Every change that makes checks pass: of one number; then of all fields of a structure from one on, and of all globals from one on."""
    record, source = trial.record, trial.source
    asking = Counter(number for check in record.failing for number in record.asked[check])
    if record.refused is not None:
        asking = Counter(record.bound)
    known = set(numbers(source))
    wanted = [number for number, _ in sorted(asking.items(), key=lambda item: (-item[1], item[0])) if number in known]
    for number in wanted:
        whole = False
        for likely in nearby(source, number):
            passing = trial.mended(with_value(source, number, likely), number)
            if passing:
                own = value(source, number)
                yield Mend(f"{number} is {own}, likely {likely}", abs(likely - own), passing)
                whole = whole or passing >= record.failing.keys()
        if whole and record.failing:
            return
    for words, distance, changed in shifts(source, wanted):
        passing = trial.mended(changed)
        if passing:
            yield Mend(words, distance, passing)


def shifts(source: LayoutFile, wanted: list[Number]) -> Iterator[tuple[str, int, LayoutFile]]:
    """The files with a whole tail moved: what a field or a variable that came or went does to those behind it."""
    for number in [number for number in wanted if number.kind == "global"]:
        for delta in SHIFTED_PLACES:
            first = value(source, number)
            if all(index + delta < source.dac_table.entry_count for index, _ in source.dac_table.globals.values() if index >= first):
                yield f"globals from {number.name} ({first}) on, {delta:+}", abs(delta), shifted_globals(source, first, delta)
    for number in [number for number in wanted if number.kind == "offset"]:
        for delta in SHIFTED_BYTES:
            first = value(source, number)
            if first + delta >= 0:
                words = f"{number.structure} from {number.name.partition('.')[2]} ({first}) on, {delta:+}"
                yield words, abs(delta), shifted(source, number.structure, first, delta)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("core", help="a full core")
    parser.add_argument("--layout", type=Path, help="the layout file to mend; without it the one of the core's version")
    arguments = parser.parse_args()
    given = None if arguments.layout is None else parse_layout_file(arguments.layout.read_text("utf-8"), arguments.layout.name)
    trial = Trial(open_core(arguments.core), given)
    record = trial.record
    for sentence in [record.refused] if record.refused is not None else record.failing.values():
        print(sentence, flush=True)
    if record.refused is None and not record.failing:
        print("every self-check passes")
        return
    found = sorted(mends(trial), key=lambda mend: (-len(mend.passing), mend.distance))
    for mend in found[:MOST_SHOWN]:
        print(mend)
    if not found:
        print("no value nearby of any one number that the failing checks ask for helps: more than one number is wrong, or one by more")


if __name__ == "__main__":
    main()
