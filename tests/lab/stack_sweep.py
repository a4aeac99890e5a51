"""The stacks of all programs on all runtimes, builds and kinds of code, compared with the oracle's.

    python -m tests.lab.stack_sweep --results FILE [--runtime 8.0.4] [--program Zoo] [--limit N]

makes one dump a point (program, scenario, runtime, build, kind of code), compares frames and roots of all threads as `tests.lab.corpus`
does, throws the dump away and adds a line to FILE. What FILE already holds is not done again, so that a stopped sweep goes on. Points are
visited so that each prefix of the sweep covers every scenario and runtime. `tests.lab.stack_report` makes tables of FILE.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.dumps import REDIS, Recipe, record_dump
from tests.lab.oracle import oracle_program
from tests.lab.runtimes import VERSIONS, LabError, runtime_root
from tests.lab.stack_comparison import compare_stacks

# Numbers are hexadecimal (src/coreclr/inc/clrconfignames.h). Without ready-to-run code the framework is compiled by the JIT too.
KINDS_OF_CODE: dict[str, tuple[tuple[str, str], ...]] = {
    "ready-to-run": (),
    "tier 0": (("ReadyToRun", "0"), ("TC_CallCountThreshold", "1000000"), ("TC_QuickJitForLoops", "1"), ("TC_OnStackReplacement", "0")),
    "tier 1": (("ReadyToRun", "0"), ("TieredCompilation", "0")),
    "OSR": (
        ("TC_QuickJitForLoops", "1"),
        ("TC_OnStackReplacement", "1"),
        ("TC_OnStackReplacement_InitialCounter", "1"),
        ("OSR_HitLimit", "1"),
        ("TC_CallCountThreshold", "1000000"),
    ),
}
SCENARIOS = {  # of Leaks, each with a count that leaves the process small
    "instance-event": 500,
    "static-cache": 500,
    "queue-backlog": 500,
    "timer": 500,
    "cancellation": 500,
    "async-pending": 500,
    "string-duplicates": 500,
    "pinned": 500,
    "loh-fragmentation": 40,
    "thread-static": 400,
    "finalizer-blocked": 500,
    "weak-table": 500,
    "dynamic-methods": 50,
    "plugin-contexts": 20,
    "closures": 500,
    "threads": 50,
    "native": 100,
    "http-clients": 50,
    "healthy": 500,
}


@dataclass(frozen=True)
class Point:
    """One dump of the sweep."""

    program: str
    arguments: tuple[str, ...]
    runtime: str
    release: bool
    code: str

    def __str__(self) -> str:
        build = "Release" if self.release else "Debug"
        return f"{self.program} {self.arguments[0] if self.program == 'Leaks' else ''} {self.runtime} {build} {self.code}".replace(
            "  ", " "
        )

    @property
    def recipe(self) -> Recipe:
        """How its dump is made."""
        return Recipe(self.program, self.runtime, self.arguments, release=self.release, settings=KINDS_OF_CODE[self.code])


def points() -> Iterator[Point]:
    """All points: first every scenario once on every runtime, with build and kind of code in turn; then the other combinations."""
    programs: list[tuple[str, tuple[str, ...]]] = [("Zoo", ()), ("RedisLeak", ("2000", REDIS))]
    programs += [("Leaks", (scenario, str(count))) for scenario, count in SCENARIOS.items()]
    variants = [(release, code) for code in KINDS_OF_CODE for release in (False, True)]
    for turn in range(len(variants)):
        for at, (program, arguments) in enumerate(programs):
            for number, runtime in enumerate(VERSIONS):
                release, code = variants[(turn + 3 * at + number) % len(variants)]
                if exists(program, runtime, code):
                    yield Point(program, arguments, runtime, release, code)


def exists(program: str, runtime: str, code: str) -> bool:
    """On-stack replacement came with 6.0 (docs/design/features/OnStackReplacement.md); RedisLeak's library is built for .NET 5."""
    return not (runtime.startswith("3.") and (code == "OSR" or program == "RedisLeak"))


def sweep_point(point: Point, directory: Path) -> dict[str, object]:
    """Dump, compare, throw the dump away. Raises LabError when the dump cannot be made."""
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        core = Path(temporary) / "sweep.core"
        record_dump(point.recipe, core, Path(temporary) / "app", runtime_root(point.runtime))
        return compare_stacks(core).record()


def main() -> int:
    """Run from the command line; the exit status says whether every dump could be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="JSON lines; grows")
    parser.add_argument("--runtime", action="append", choices=VERSIONS)
    parser.add_argument("--program", action="append")
    parser.add_argument("--limit", type=int, default=None, help="stop after that many points")
    parser.add_argument("--directory", type=Path, default=None, help="where dumps are made, 100 to 300 MB, one at a time")
    arguments = parser.parse_args()
    if oracle_program() is None:
        parser.error("the oracle is not on this machine")
    done = {row["what"] for row in read_results(arguments.results)}
    wanted = [
        point
        for point in points()
        if str(point) not in done
        and point.runtime in (arguments.runtime or VERSIONS)
        and point.program in (arguments.program or [point.program])
    ]
    failed = 0
    for point in wanted[: arguments.limit]:
        started = time.monotonic()
        try:
            found = sweep_point(point, arguments.directory or Path(tempfile.gettempdir()))
        except LabError as error:
            failed += 1
            print(f"{point}: {error}", flush=True)
            continue
        row = {"what": str(point), "of": "sweep", "program": point.program, "runtime": point.runtime, **found}
        with open(arguments.results, "a") as results:
            results.write(json.dumps({**row, "build": "Release" if point.release else "Debug", "code": point.code}) + "\n")
        figures = f"frames {found['agreed_frames']}/{found['frames']}, roots {found['agreed_roots']}/{found['roots']}"
        print(f"{point}: {figures}, {found['differences'] or 'all agree'}, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if failed else 0


def read_results(file: Path) -> list[dict[str, object]]:
    """What a sweep or a run of the corpus wrote; empty when the file is not there yet."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    sys.exit(main())
