"""Breaks tables of real methods and reads them: only the package's own errors may come, soon, in bounded memory.

    python -m tests.lab.blob_runs [CORE ...] [--framework 8.0.4 ...] [--methods 200] [--runs 10000] [--first 0] [--kind "GcInfo" ...]

takes GcInfo, unwind data, debug information, maps of references and nibble maps of methods that a core's process compiled, and of the
core library of runtimes; cuts some at each length, breaks one in each run (`tests.lab.broken_bytes`) and asks the product's decoders
(`tests.lab.blob_decoders`). Prints what each kind took at most, and each failure with the number of its run: `--first N --runs 1` with the
same sources shows it again. The exit code is 1 where something failed.
"""

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.blob_decoders import decode
from tests.lab.blobs import Blob, Kind, chosen, core_blobs
from tests.lab.bounded import Bounded, bounded_memory
from tests.lab.broken_bytes import broken
from tests.lab.framework_blobs import framework_blobs

KINDS: tuple[Kind, ...] = ("GcInfo", "unwind data", "debug information", "GCRefMap", "nibble map")
_LONGEST_CUT = 64
Broken = tuple[str, Blob, bytes, random.Random]
"""(name, where it is from, its bytes, what chooses the questions)."""


@dataclass
class Outcome:
    """What the runs of one kind came to."""

    runs: int = 0
    answered: int = 0
    """Runs in which at least one question had an answer."""
    answers: int = 0
    most_calls: int = 0
    most_seconds: float = 0.0
    slowest: str = ""
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, data: bytes, answers: int, bounded: Bounded) -> None:
        """Count one run."""
        self.runs += 1
        self.answers += answers
        self.answered += answers > 0
        self.most_calls = max(self.most_calls, bounded.calls)
        if bounded.seconds > self.most_seconds:
            self.most_seconds, self.slowest = bounded.seconds, name
        if bounded.problem is not None:
            self.problems.append(f"{name}: {bounded.problem}; {data[:64].hex()}")

    def __str__(self) -> str:
        most = f"at most {self.most_calls} calls and {self.most_seconds:.3f} s ({self.slowest})"
        return f"{self.runs} runs, {self.answered} with answers, {self.answers} answers, {most}, {len(self.problems)} failures"


Outcomes = dict[Kind, Outcome]


def as_they_are(blobs: Iterable[Blob]) -> Iterator[Broken]:
    """Each once, unchanged."""
    for number, blob in enumerate(blobs):
        yield f"{blob.source}, unchanged", blob, blob.data, random.Random(number)


def cut_short(blobs: Iterable[Blob]) -> Iterator[Broken]:
    """Each at each length that the most of them reach."""
    for number, blob in enumerate(blobs):
        for size in range(min(len(blob.data), _LONGEST_CUT)):
            yield f"{blob.source}, {size} bytes of it", blob, blob.data[:size], random.Random(number)


def broken_ones(blobs: Sequence[Blob], first: int, runs: int) -> Iterator[Broken]:
    """One in each run; the run's number decides everything. Kinds take turns, so that none is rare."""
    by_kind = [[blob for blob in blobs if blob.kind == kind] for kind in KINDS]
    by_kind = [alike for alike in by_kind if alike]
    for number in range(first, first + runs):
        chance, alike = random.Random(number), by_kind[number % len(by_kind)]
        blob = chance.choice(alike)
        yield f"run {number}, {blob.source}", blob, broken(chance, blob.data, chance.choice(alike).data), chance


def run(cases: Iterable[Broken]) -> Outcomes:
    """Read each, and count what came."""
    outcomes: Outcomes = {}
    with bounded_memory():
        for name, blob, data, chance in cases:
            answers, bounded = 0, Bounded()
            with bounded:
                answers = decode(blob, data, chance)
            outcomes.setdefault(blob.kind, Outcome()).add(f"{name}, {blob.kind} of {blob.machine}", data, answers, bounded)
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cores", type=Path, nargs="*", metavar="CORE")
    parser.add_argument("--framework", action="append", default=[], metavar="RUNTIME")
    parser.add_argument("--methods", type=int, default=200, help="of each source")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    asked = parser.parse_args(arguments)
    blobs = [blob for core in asked.cores for blob in core_blobs(core, asked.methods)]
    blobs += [blob for runtime in asked.framework for blob in framework_blobs(runtime, asked.methods)]
    blobs = [blob for blob in blobs if asked.kind is None or blob.kind in asked.kind]
    if not blobs:
        parser.error("nothing to break: name a core or --framework")
    parts = {
        "as they are": as_they_are(blobs),
        "cut short": cut_short(chosen(blobs, 100)),
        "broken": broken_ones(blobs, asked.first, asked.runs),
    }
    failed = False
    for part, cases in parts.items():
        for kind, outcome in run(cases).items():
            print(f"{part}, {kind}: {outcome}", flush=True)
            print("".join(f"   {problem}\n" for problem in outcome.problems[:20]), end="", flush=True)
            failed = failed or bool(outcome.problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
