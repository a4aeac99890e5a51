#!/usr/bin/env python3
"""Change each number of a layout file in turn and say which changes no self-check sees.

    tools/mutate_layout.py CORE...                     # a line for each change that is noticed on none of the cores of its version
    tools/mutate_layout.py --lab                       # on the dumps of tests/lab, made where they are not there yet
    tools/mutate_layout.py --lab --table > docs/layout-coverage.md
    tools/mutate_layout.py CORE --only 'Thread.*'      # these numbers only, with what noticed each change

A number is a field's offset, a structure's size, a constant, or a place in g_dacTable; beside them go contracts and kinds of handles. It
is *guarded* when each change of it by one step takes away an ability by name, or has the dump refused. Checks that do not ask for a
number cannot see it, so only those that do are run on the changed layout. The dump's own descriptor is left aside: it would mend what is
changed. Each change is tried in a process of its own: one that ends by a limit of time or memory, or in an error that is none of the
product's, is a failure and named as such.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's library starts threads when it is loaded, and this process forks

from heaphound.dump.core import open_core
from tools.coverage_table import coverage_table
from tools.layout_numbers import Number, choices, numbers
from tools.layout_trial import SECONDS, Trial, settled_file
from tools.mutation import VersionRun
from tools.mutation_dumps import MutationDump, mutation_dumps


def run(dumps: Sequence[MutationDump], chosen: Callable[[list[Number]], list[Number]], seconds: float) -> list[VersionRun]:
    """Every change of the chosen numbers, on each dump of each version and machine. Progress goes to stderr."""
    runs: dict[str, VersionRun] = {}
    for dump in dumps:
        started = time.monotonic()
        core = open_core(dump.path)
        settled = None if dump.file is None else settled_file(core, dump.file)
        trial = Trial(core, settled, seconds=seconds)
        version = trial.source.layout.version + ("" if core.machine == "x64" else f"-{core.machine}")
        own = [number for number in numbers(trial.source) if str(number) not in trial.source.found]
        versions = runs.setdefault(version, VersionRun(version, chosen([*own, *choices(trial.source)])))
        versions.add(dump.name, trial)
        left = len(versions.unseen())
        spent = time.monotonic() - started
        print(f"{version} on {dump.name}: {left} numbers left, {spent:.0f} s", file=sys.stderr, flush=True)
    return list(runs.values())


def as_json(runs: Sequence[VersionRun]) -> str:
    """A list of all changes with what noticed each."""
    return json.dumps(
        [
            {
                "version": version.version,
                "number": str(number),
                "change": what,
                "asked": number in version.asked,
                "noticed_by": outcome.check,
                "sentence": outcome.sentence,
                "failed": outcome.failed,
            }
            for version in runs
            for (number, what), outcome in version.outcomes.items()
        ],
        indent=1,
    )


def as_text(runs: Sequence[VersionRun], every: bool) -> Iterator[str]:
    """A line for each change that nothing noticed or that has no answer; for `every` one with what noticed it."""
    for version in runs:
        for (number, what), outcome in version.outcomes.items():
            if outcome.check is None or outcome.failed is not None:
                yield f"{version.version} {number}: {what} {'not noticed' if outcome.failed is None else outcome.failed}"
            elif every:
                yield f"{version.version} {number}: {what}: {' / '.join(outcome.check)}: {outcome.sentence}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cores", nargs="*", help="full cores; several of a version are taken together")
    parser.add_argument("--lab", nargs="*", metavar="VERSION", help="the lab's dumps, of these versions or of all")
    parser.add_argument("--table", action="store_true", help="print docs/layout-coverage.md")
    parser.add_argument("--json", action="store_true", help="print every change and what noticed it")
    parser.add_argument("--only", metavar="PATTERN", help="numbers by name, such as 'Thread.*'; says what noticed each change")
    parser.add_argument("--sample", type=int, nargs=2, metavar=("N", "OF"), default=(0, 1), help="every OFth number from the Nth on")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit for one change")
    arguments = parser.parse_args()
    dumps = [MutationDump(Path(core).name, Path(core)) for core in arguments.cores]
    if arguments.lab is not None:
        dumps += mutation_dumps(arguments.lab)

    def chosen(known: list[Number]) -> list[Number]:
        first, step = arguments.sample
        return [number for number in known if fnmatchcase(str(number), arguments.only or "*")][first::step]

    runs = run(dumps, chosen, arguments.seconds)
    if arguments.table:
        print(coverage_table(runs), end="")
    elif arguments.json:
        print(as_json(runs))
    else:
        print("\n".join(as_text(runs, every=arguments.only is not None)))


if __name__ == "__main__":
    main()
