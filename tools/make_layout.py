#!/usr/bin/env python3
"""Draft the layout file of a new major.minor of .NET out of one process of it and the file of the version before, or check a file.

    tools/make_layout.py CORE --from 10.0 > python/heaphound/layouts/data/coreclr-11.0-x64.json
    tools/make_layout.py CORE --check        # what the file of the core's version says wrongly of this build; exit code 1 if anything
    tools/make_layout.py CORE --check --numbers      # each number of the file, and who says the same
    tools/make_layout.py --process PID --check       # the same of a live process, which goes on running

What is taken from where: first what the runtime's own contract descriptor says, where it has one (9.0 and later); then what the runtime's
DAC shows. It is asked all that it knows, what it reads is changed byte by byte, and an output that changes tells where it comes from:
libmscordaccore.so beside the libcoreclr.so of the process is taken by itself where it lies on this machine and fits it. All else is
copied from the older file, and where a global is that nobody names is guessed by its distance from its neighbours. Standard error says
which is which, which contracts changed their number (their algorithm may have changed), and which abilities the draft has on this very
core without the descriptor: each that it lacks names the number to look up in the sources of that version.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's library starts threads when it is loaded, and this process forks

from heaphound.dump.core import Core, open_core
from heaphound.errors import HeaphoundError, UsageError
from heaphound.layouts.descriptor import Descriptor, read_descriptor
from heaphound.layouts.load import LayoutFile, layout_file, parse_layout_file, raw_layout_file
from heaphound.runtime.locate import FoundRuntime, find_coreclr
from tools.dac.observe import DAC_NAME, Shown, dac_beside, observe, why_not
from tools.dac.path import GLOBAL
from tools.dac_table import read_table
from tools.layout_check import Checked, abilities, check, expected_of
from tools.layout_draft import NO_DESCRIPTOR, Draft, draft
from tools.layout_numbers import numbers
from tools.layout_text import layout_text, number_in
from tools.layout_trial import Trial
from tools.process_core import write_process_core


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("core", nargs="?", type=Path, help="a full core of the version (createdump --full)")
    parser.add_argument("--process", type=int, metavar="PID", help="dump this live process instead, with its own createdump")
    parser.add_argument("--dac", type=Path, metavar="FILE", help="the build's libmscordaccore.so, where not beside libcoreclr.so")
    parser.add_argument("--no-dac", action="store_true", help="do not ask the DAC")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--from", dest="older", help="major.minor of the file to start from")
    what.add_argument("--check", action="store_true", help="hold the file of the core's version against it")
    parser.add_argument("--layout", type=Path, metavar="FILE", help="with --check: this file instead of that of the core's version")
    parser.add_argument("--numbers", action="store_true", help="with --check: list every number with those that say the same")
    arguments = parser.parse_args()
    if (arguments.core is None) == (arguments.process is None):
        parser.error("give either a core or --process")
    try:
        with core_of(arguments) as core:
            sys.exit(report_check(core, arguments) if arguments.check else write_draft(core, arguments))
    except HeaphoundError as error:
        print(f"make_layout: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@contextmanager
def core_of(arguments: argparse.Namespace) -> Iterator[Core]:
    """The core that is named, or one of the live process, which lasts as long as it is looked at."""
    if arguments.core is not None:
        yield open_core(arguments.core)
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{arguments.process}.core"
        write_process_core(arguments.process, path)
        yield open_core(path)


def chosen_dac(found: FoundRuntime, arguments: argparse.Namespace) -> Path | None:
    """The DAC to ask; where there is none, standard error says why."""
    if arguments.no_dac:
        return None
    if arguments.dac is not None:
        why = why_not(found, arguments.dac)
        if why:
            raise UsageError(why)
        return Path(arguments.dac)
    path = dac_beside(found)
    why = f"no {DAC_NAME} beside {found.module.path}" if path is None else why_not(found, path)
    if why:
        print(f"the DAC is not asked: {why}", file=sys.stderr)
    return None if why else path


def shown_by_dac(core: Core, found: FoundRuntime, source: LayoutFile, arguments: argparse.Namespace) -> Shown | None:
    """What the DAC shows, None where none is asked; `source` is the file to check, or says what g_dacTable looks like."""
    dac = chosen_dac(found, arguments)
    if dac is None:
        return None
    table = read_table(core, found, source)
    return observe(core, found, dac, table.entries, expected_of(found, source, table) if arguments.check else None)


def report_check(core: Core, arguments: argparse.Namespace) -> int:
    """Print what is wrong, or that nothing is, and what the judgement rests on; the exit code."""
    given = None if arguments.layout is None else parse_layout_file(arguments.layout.read_text("utf-8"), arguments.layout.name, _text)
    trial = Trial(core, given) if arguments.numbers else None  # first, as it forks: looking for the runtime starts threads
    found = find_coreclr(core)
    source = given or layout_file(found.version, core.machine, found.module.build_id)
    checked = check(core, shown_by_dac(core, found, source, arguments), source)
    if trial is not None:
        print("\n".join(each_number(trial, checked)))
    print("\n".join(checked.wrong) or "the layout file agrees with this build")
    print(checked.summary)
    return int(bool(checked.wrong))


def each_number(trial: Trial, checked: Checked) -> Iterator[str]:
    """A line for each number of the file: who says the same, whose answers rest on it, which self-checks ask for it."""
    for number in numbers(checked.source):
        said = list(dict.fromkeys(checked.spoken_for.get(number, [])))
        said += [f"used by {call}" for call in dict.fromkeys(checked.rests_on.get(number, []))]
        said += [f"self-check {check.ability} / {check.name}" for check in trial.asking(number)]
        yield f"{number}: {'; '.join(said) or 'nobody'}"


def write_draft(core: Core, arguments: argparse.Namespace) -> int:
    """Print the draft, and on standard error what the reader has to look at; the exit code."""
    found = find_coreclr(core)
    raw = raw_layout_file(arguments.older)
    older = parse_layout_file(json.dumps(raw), f"the layout of {arguments.older}")
    descriptor = None if found.descriptor is None else read_descriptor(core.memory.bytes, found.descriptor)
    table = read_table(core, found, older)
    shown = shown_by_dac(core, found, older, arguments)
    made = draft(raw, found, descriptor, table, shown)
    text = layout_text(made.raw)
    print(text, end="")
    for line in [*report(raw, made, descriptor), *abilities(core, found, parse_layout_file(text, "draft", _text))]:
        print(line, file=sys.stderr)
    return 0


def report(raw: dict[str, Any], made: Draft, descriptor: Descriptor | None) -> Iterator[str]:
    """What was taken from where, what moved, and what to look up."""
    types, said = made.raw["types"], descriptor or NO_DESCRIPTOR
    moved = [
        f"{name}.{field}"
        for name, fields in raw["types"].items()
        for field, place in fields.items()
        if name in types and number_in(types[name].get(field, place)) != number_in(place)
    ]
    yield from _listed("moved", moved)
    if made.derived is not None:
        speaking = made.derived.confirmed.keys() | made.derived.changed.keys()
        yield from _listed("changed or added by what the DAC shows", [f"{n} {made.derived.numbers[n]}" for n in made.derived.changed])
        yield from _listed("the DAC goes another way than by", list(made.derived.open))
        yield f"numbers that the DAC goes by: {len(speaking)}"
    else:
        speaking = set()
    offsets = [f"{name}.{field}" for name, fields in types.items() for field in fields]
    copied = [name for name in offsets if name not in made.described and name not in speaking]
    yield from _listed("copied, to be looked up where a self-check fails", copied)
    guessed = [name for name in made.raw["dac_table"]["globals"] if f"{GLOBAL}{name}" not in made.described | speaking]
    yield from _listed("globals guessed by distance", guessed)
    yield from _listed("contracts of the runtime", [f"{name} {version}" for name, version in said.contracts.items()])


def _listed(title: str, names: list[str]) -> Iterator[str]:
    yield f"{title}: {', '.join(sorted(names)) or 'none'}"


def _text(name: str) -> str:
    return resources.files("heaphound.layouts").joinpath("data", name).read_text("utf-8")


if __name__ == "__main__":
    main()
