"""Stacks of programs in the arm64 machine, compared with the oracle's.

    python -m tests.lab.stacks_arm64 --results FILE [--suspended] [--corpus N] [--sweep N] [--runtime 8.0.31-arm64 ...]

`--suspended` takes one core of Suspended, whose threads a collection holds up for ever; `--corpus` stops the threads of Corpus anywhere, as
`tests.lab.corpus` does on x64; `--sweep` does those points of `tests.lab.stack_sweep` that FILE does not hold yet. `--keep` with
`--directory` keeps the cores that differ. While the oracle is asked about one core, the machine makes the next.
`tests.lab.stack_report_arm64` makes tables of FILE.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from tests.lab.corpus import BUILDS, LINES, SETTINGS
from tests.lab.dumps import REDIS, Recipe
from tests.lab.machine_arm64 import Machine, machine
from tests.lab.machine_dumps_arm64 import Process, Starting, files_of_programs, start
from tests.lab.runtimes import LabError
from tests.lab.stack_agreement import Agreement
from tests.lab.stack_comparison import compare_stacks
from tests.lab.stack_sweep import KINDS_OF_CODE, SCENARIOS, exists, read_results

RUNTIMES = ("8.0.31-arm64", "10.0.11-arm64", "3.1.2-arm64")
# A collection every few milliseconds, so that dumps find threads suspended by one: hijacked, redirected, waiting.
ALL_SETTINGS = {"constant collections": {"GCgen0size": "40000"}, **SETTINGS}
_WORK = 100  # ticks of a processor (1 s) between two cores of a process: one that stands still after a dump is not dumped again
_TRIES = 10
SECONDS_IN_SWEEP, SECONDS_ELSEWHERE = (0.3, 1.5), (0.5, 6.0)  # from when a program is ready: those of a sweep do little from then on


@dataclass(frozen=True)
class Work:
    """One process to start, and how often it is dumped. `of` and `code` are those of a row of results."""

    recipe: Recipe
    of: str
    code: str
    cores: int = 1

    @property
    def what(self) -> str:
        """Unique among the points of a sweep."""
        arguments = " ".join(argument for argument in self.recipe.arguments if argument != REDIS)
        build = "Release" if self.recipe.release else "Debug"
        return f"{self.recipe.program} {arguments} {self.recipe.runtime} {build} {self.code}"


def corpus(runtime: str, cores: int, skip: int, a_process: int, chance: random.Random) -> Iterator[Work]:
    """Processes of Corpus for at least that many cores, over builds and settings in turn, without the first `skip` of these."""
    combinations = [(build, settings) for settings in ALL_SETTINGS for build in BUILDS]
    for number in range(skip, skip + -(-cores // a_process)):
        build, settings = combinations[number % len(combinations)]
        recipe = Recipe(
            "Corpus",
            runtime,
            (str(chance.randrange(1, 100_000)), "12", *(("nofilter",) if runtime.startswith("10.") else ())),
            release=build == "binrelease",
            settings=tuple(ALL_SETTINGS[settings].items()),
        )
        yield Work(recipe, "corpus", settings, a_process)


def sweep(runtime: str) -> Iterator[Work]:
    """Every scenario once, with build and kind of code in turn; then the other combinations. Each runtime begins elsewhere."""
    programs: list[tuple[str, tuple[str, ...]]] = [("Zoo", ()), ("RedisLeak", ("2000", REDIS))]
    programs += [("Leaks", (scenario, str(count))) for scenario, count in SCENARIOS.items()]
    variants = [(release, code) for code in KINDS_OF_CODE for release in (False, True)]
    first = RUNTIMES.index(runtime) * len(programs) // len(RUNTIMES)
    for turn in range(len(variants)):
        for at in range(first, first + len(programs)):
            program, arguments = programs[at % len(programs)]
            release, code = variants[(turn + 3 * at) % len(variants)]
            if exists(program, runtime, code):
                yield Work(Recipe(program, runtime, arguments, release=release, settings=KINDS_OF_CODE[code]), "sweep", code)


def suspended(runtime: str) -> Iterator[Work]:
    """Suspended without tiers, so that loops are stopped by diverting returns; before .NET 5 nothing native can hold up a collection."""
    if not runtime.startswith("3."):
        yield Work(Recipe("Suspended", runtime, ("4",), settings=(("TieredCompilation", "0"),)), "suspended", "no tiers")


def in_turn(parts: Iterable[Iterable[Work]]) -> list[Work]:
    """The first of each part, then the second of each, and so on."""
    return [work for row in zip_longest(*parts) for work in row if work is not None]


class Comparer:
    """Compares one core after the other beside what makes them, and writes the results."""

    def __init__(self, results: Path, keep: bool) -> None:
        self._results = results
        self._keep = keep
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None
        self.failed = 0

    def compare(self, work: Work, core: Path) -> None:
        """Begin with a core, when the one before is done."""
        self.wait()
        self._running = self._pool.submit(self._compare, work, core)

    def wait(self) -> None:
        """Until nothing is left to do."""
        if self._running is not None:
            self._running.result()
            self._running = None

    def _compare(self, work: Work, core: Path) -> None:
        started_at = time.monotonic()
        differs = True
        try:
            found = compare_stacks(core)
            differs = bool(found.differences)
            self._write(work, found)
            print(f"{work.what}: {found}, {time.monotonic() - started_at:.0f} s", flush=True)
            for line in list(found.lines())[:LINES]:
                print(f"    {line[:300]}", flush=True)
        except LabError as error:
            self.failed += 1
            print(f"{work.what}: {error}", flush=True)
        finally:
            if not (self._keep and differs):
                core.unlink()

    def _write(self, work: Work, found: Agreement) -> None:
        recipe = work.recipe
        row = {"what": work.what, "of": work.of, "program": recipe.program, "runtime": recipe.runtime, "code": work.code}
        with open(self._results, "a") as results:
            results.write(json.dumps({**row, "build": "Release" if recipe.release else "Debug", **found.record()}) + "\n")


def dump_in_turn(running: Machine, waiting: list[Work], directory: Path, chance: random.Random, comparer: Comparer) -> None:
    """Take one piece of work after the other off the list, start its process and hand its cores over as they are made. Raises LabError.

    The next program of a sweep starts beside the one that is dumped.
    """
    folders = ["/tmp/app", "/tmp/next"]
    coming: Starting | None = None
    while waiting:
        work = waiting.pop(0)
        current = coming or start(running, work.recipe, folders[0])
        folders.reverse()
        coming = start(running, waiting[0].recipe, folders[0]) if waiting and {work.of, waiting[0].of} == {"sweep"} else None
        try:
            _dump(current.ready(), work, directory, chance, comparer)
        finally:
            current.end()


def _dump(process: Process, work: Work, directory: Path, chance: random.Random, comparer: Comparer) -> None:
    for number in range(work.cores):
        if number and not _goes_on(process):
            return
        time.sleep(chance.uniform(*(SECONDS_IN_SWEEP if work.of == "sweep" else SECONDS_ELSEWHERE)))
        core = directory / f"{work.what.replace(' ', '-')}-{number}.core"
        process.dump(core)
        comparer.compare(work, core)


def _goes_on(process: Process) -> bool:
    """Whether it works on after a dump: one that a collection was just suspending may not, and would be the same core again."""
    before = process.processor_ticks()
    for _ in range(_TRIES):
        time.sleep(1)
        if process.processor_ticks() - before > _WORK:
            return True
    return False


def main() -> int:
    """Run from the command line; the exit status says whether every dump could be made and compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="JSON lines; grows")
    parser.add_argument("--runtime", action="append", choices=RUNTIMES, help="all if none is named")
    parser.add_argument("--suspended", action="store_true", help="one core of Suspended a runtime")
    parser.add_argument("--corpus", type=int, default=0, help="cores of Corpus a runtime")
    parser.add_argument("--skip", type=int, default=0, help="begin Corpus that many builds and settings later")
    parser.add_argument("--cores-a-process", type=int, default=2, help="how often a process of Corpus is dumped")
    parser.add_argument("--sweep", type=int, default=0, help="points of the sweep a runtime")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2), "little"))
    parser.add_argument("--directory", type=Path, default=None, help="where cores and the machine's disks are made, 1 GB")
    parser.add_argument("--keep", action="store_true", help="keep the cores on which the two differ")
    arguments = parser.parse_args()
    done = {row["what"] for row in read_results(arguments.results) if row["of"] == "sweep"}
    chance = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    runtimes = tuple(arguments.runtime or RUNTIMES)
    stopped = [corpus(runtime, arguments.corpus, arguments.skip, arguments.cores_a_process, chance) for runtime in runtimes]
    points = [islice((work for work in sweep(runtime) if work.what not in done), arguments.sweep) for runtime in runtimes]
    held_up = [suspended(runtime) for runtime in runtimes] if arguments.suspended else []
    waiting = in_turn([*held_up, *stopped, *points])
    comparer = Comparer(arguments.results, arguments.keep)
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.directory or Path(temporary)
        while waiting:
            with machine(files_of_programs(runtimes), directory) as running:
                try:
                    dump_in_turn(running, waiting, directory, chance, comparer)
                except LabError as error:  # the machine may be in any state now
                    comparer.failed += 1
                    print(error, flush=True)
        comparer.wait()
    return 1 if comparer.failed else 0


if __name__ == "__main__":
    sys.exit(main())
