#!/usr/bin/env python3
"""Write docs/compatibility.md out of real runs: each dump of the lab, read and held against the oracle, ability by ability.

    tools/make_compatibility.py list                     the dumps, and which of them have a row
    tools/make_compatibility.py run [--only REGEX] [--again] [--since COMMIT]    make, read and compare those without a row; with --again
                              those too whose row is of other sources than the present, with --since of those of a commit before that one
    tools/make_compatibility.py write > docs/compatibility.md   the page, of the rows that there are

Needs what `./dev test` needs, and the oracle. A row's comparison is that of the tests in `tests/dumps`, with the differences that
`known.py` explains; where the oracle cannot open a kind of dump, it is with the full dump of the same process (`tests/lab/twin.py`). One
process for each dump, so that a fault in one takes no other along. Rows are kept in the test cache (`compatibility`), each with the commit
and the sources that it was run on; a run that was broken off goes on from there.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.dumps.conftest import Opened
from tests.lab import twin
from tests.lab.cache import cache_directory
from tests.lab.cases import GOLDEN_CASES, Case
from tests.lab.dumps import REDIS
from tests.lab.matrix import Cell, cells, scratch_case, written
from tests.lab.musl import is_musl
from tests.lab.oracle import golden_dump

import heaphound
from heaphound.layouts.load import ARCHITECTURES, layout_file, supported_versions
from tools.compatibility_comparison import ABILITIES, AGREES, outcome, outcome_beside
from tools.compatibility_notes import NOT_RUN, Notes

HERE = Path(__file__).resolve().parent
SECONDS_FOR_A_DUMP = 1200
FAR = 1 << 30  # changes between sources of which no commit is known


def facts_of(dump: heaphound.Dump) -> list[str]:
    """Version, collector and machine, as the dump says."""
    runtime = dump.session.runtime
    collector = f"{'server' if runtime.server_gc else 'workstation'}, {'regions' if runtime.gc.regions else 'segments'}"
    return [runtime.version, collector, dump.session.core.machine]


def row_of(cell: Cell) -> dict[str, Any]:
    """One row. The dump is opened as a user opens it."""
    with written(cell) as files, tempfile.TemporaryDirectory(dir="/var/tmp") as nothing:
        unpacked = files.core.parent / "unpacked"  # of a compressed one
        dump = heaphound.open(str(files.core), cache_directory=unpacked, system_roots=[] if cell.files else [nothing])
        if files.twin is None:
            opened = Opened(scratch_case(cell, files.plain), dump)
            told = {name: outcome(opened, comparisons) for name, comparisons in ABILITIES.items()}
        else:
            whole = heaphound.open(str(files.twin))
            told = {name: outcome_beside(whole, dump, name) for name in twin.ABILITIES}
        version, collector, machine = facts_of(dump)
    program = " ".join([cell.recipe.program, *cell.recipe.arguments]) + (", self-contained" if cell.recipe.self_contained else "")
    kind = {"full": "createdump full", "withheap": "createdump withheap", "normal": "createdump normal", "triage": "createdump triage"}
    return {
        "runtime": version,
        "program": program,
        "collector": collector + (f", {cell.told}" if cell.told else ""),
        "kind": ", ".join(part for part in (kind.get(cell.kind, cell.kind), "" if cell.files else "without files", cell.form) if part),
        "machine": machine,
        "libc": "musl" if is_musl(cell.recipe.runtime) else "glibc",
        "told": told,
    }


def golden_row(case: Case) -> dict[str, Any]:
    """The row of a dump of the golden set."""
    dump = heaphound.open(str(case.core()))
    told = {name: outcome(Opened(case, dump), comparisons) for name, comparisons in ABILITIES.items()}
    version, collector, machine = facts_of(dump)
    program = "RedisLeak" if "redis" in case.name else "Zoo"
    facts = {"runtime": version, "program": program, "collector": collector, "kind": "createdump full", "machine": machine}
    return {**facts, "libc": "glibc", "told": told}


def work() -> dict[str, Callable[[], dict[str, Any]]]:
    """What makes each row, by the row's name."""
    golden = {case.name: lambda case=case: golden_row(case) for case in GOLDEN_CASES if golden_dump(case.name.removeprefix("golden-"))}
    return {**golden, **{cell.name: lambda cell=cell: row_of(cell) for cell in cells()}}


def sources() -> str:
    """A digest of all that decides what a row says but for the runtimes: heaphound and the comparisons."""
    here = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for folder in ("src", "python", "tests/dumps"):
        for file in sorted((here / folder).rglob("*")):
            if file.suffix in (".rs", ".py", ".json"):
                digest.update(f"{file.relative_to(here)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def commit() -> str:
    """The commit of the repository that is checked out, abbreviated."""
    return git("rev-parse", "--short=10", "HEAD")


def git(*arguments: str) -> str:
    """What git says of this repository, without the newline."""
    return subprocess.run(["git", "-C", str(HERE), *arguments], check=True, capture_output=True, text=True).stdout.strip()


def place(name: str) -> Path:
    """Where the row of this name is kept."""
    directory = cache_directory() / "compatibility"
    directory.mkdir(exist_ok=True)
    return directory / f"{name}.json"


def run(only: str, again: bool, since: str | None) -> None:
    """Make the rows that are not there yet, each in a process of its own."""
    for name in work():
        if not re.search(only, name) or (place(name).exists() and not is_stale(json.loads(place(name).read_text()), again, since)):
            continue
        command = [sys.executable, str(Path(__file__).resolve()), "row", name]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS_FOR_A_DUMP)
            failed = None if done.returncode == 0 else done.stderr
        except subprocess.TimeoutExpired:
            failed = f"not done after {SECONDS_FOR_A_DUMP} s"
        print(f"{name}: {'done' if failed is None else 'FAILED'}", flush=True)
        if failed is not None:
            print(failed[-3000:], flush=True)
            continue
        row = json.loads(place(name).read_text())
        for ability, said in row["told"].items():
            if not said.startswith(AGREES):
                print(f"    {ability}: {said}", flush=True)


def is_stale(row: dict[str, Any], again: bool, since: str | None) -> bool:
    """Whether a row is to be made again: by its sources, or by its commit."""
    if again and row["sources"] != sources():
        return True
    return since is not None and not is_behind(since, row.get("commit", ""))


def is_behind(commit: str, other: str) -> bool:
    """Whether one commit is in the history of another, or is it; no for one that is not known."""
    known = ["git", "-C", str(HERE), "merge-base", "--is-ancestor", commit, other]
    return bool(other) and subprocess.run(known, check=False, capture_output=True).returncode == 0


def rows() -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows that there are, in the order of the work."""
    for name in work():
        if place(name).exists():
            yield name, json.loads(place(name).read_text())


ABOUT_FILES = """\
Each serves every patch of its version, guarded by self-checks (`heaphound info`). A file that is *from source, never run* was written
from the runtime's headers, because no build of that version was to be had. Its numbers are those that the versions before and after
agree in; where they differ both are in the file, and those are taken that the dump's own self-checks agree with, if need be moved by
some words. Tried on dumps of the neighbours: the file of 7.0 reads those of 6.0.6 and 8.0.4 whole, that of 5.0 those of 6.0.6 and, but
for stacks, 3.1.2 (`tests/dumps/test_settled_layouts.py`)."""


def layouts() -> str:
    """The layout files, with the build that each was made from, and what must be known of those that no build has confirmed."""
    rows = []
    for architecture in ARCHITECTURES:
        for version in supported_versions(architecture):
            file = layout_file(f"{version}.0", architecture, None)
            rows.append(f"- {version} on {architecture}: {file.origin['build']}{f' (**{file.status}**)' if file.status else ''}")
    return "\n".join(rows)


def write() -> None:
    """The page."""
    found = list(rows())
    missing = [name for name in work() if not place(name).exists()]
    columns = ["runtime", "program", "collector", "kind of dump", "machine", "libc", *ABILITIES]
    notes = Notes()
    lines = []
    for name, row in found:
        facts = [row[key].removesuffix(f" {REDIS}") for key in ("runtime", "program", "collector", "kind", "machine", "libc")]
        told = [(ability, row["told"].get(ability, "not built")) for ability in ABILITIES]
        lines.append("| " + " | ".join([*facts, *(notes.entry(name, ability, said) for ability, said in told)]) + " |")
    print(HEAD)
    print(f"{len(found)} dumps were run. {notes.in_one_sentence()}\n\n{of_which_sources(row for _, row in found)}")
    for name in missing:
        print(f"- Not run: {name}{': ' + NOT_RUN[name] if name in NOT_RUN else ''}")
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    print("\n".join(lines))
    print(notes.text())
    print(f"\n## Layout files\n\n{ABOUT_FILES}\n\n{layouts()}")


def of_which_sources(found: Iterable[dict[str, Any]]) -> str:
    """On which sources the rows were run: the present ones, those of a stretch of commits, or some that no commit has."""
    present = sources()
    counts = Counter(None if row["sources"] == present else row.get("commit", "") for row in found)
    distances = {commit: changes_since(commit) for commit in counts}
    now = sum(counts[commit] for commit, changes in distances.items() if changes == 0)
    before = sorted((changes, commit or "") for commit, changes in distances.items() if 0 < changes < FAR)
    told = [f"{now} on the sources that this page belongs to"] if now else []
    if before:
        (nearest, newest), (furthest, oldest) = before[0], before[-1]
        number = sum(counts[commit] for _, commit in before)
        told.append(
            f"{number} on those of commits {oldest} to {newest}, {nearest} to {furthest} changes of `python/` and `src/` before"
            if oldest != newest
            else f"{number} on those of commit {newest}, {nearest} changes of `python/` and `src/` before"
        )
    unknown = sum(counts[commit] for commit, changes in distances.items() if changes >= FAR)
    told += [f"{unknown} while the sources were being changed, between two commits"] if unknown else []
    return f"Of these {'; '.join(told)}."


def changes_since(commit: str | None) -> int:
    """How many commits have changed the package since that one: 0 for the present one (None), very many for one that is not behind it."""
    if commit is None:
        return 0
    if not commit or not is_behind(commit, "HEAD"):
        return FAR
    return int(git("rev-list", "--count", f"{commit}..HEAD", "--", ":/python", ":/src"))


HEAD = """# Compatibility

Written by `tools/make_compatibility.py` from runs, not by hand: every row is a dump that was made, read and compared, every entry a
comparison of the whole dump. *agrees*: with the oracle (ClrMD on the runtime's own data access library), but for differences that are
explained in `tests/dumps/known.py` and beside the tests. *agrees with the full dump*: the oracle cannot open such a file, so the answers
were held against those on a full dump of the same process. *differs*: what did not agree; the note below the table says why. *not in this
dump*: the file lacks what it takes; where it says that the rest agrees, row by row all that is there was compared with the full dump.
*not compared*: the oracle itself ended with a fault. What has no row was not run.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    runner = verbs.add_parser("run")
    runner.add_argument("--only", default="", metavar="REGEX", help="only rows whose name it is found in")
    runner.add_argument("--again", action="store_true", help="rows too that were run on other sources")
    runner.add_argument("--since", metavar="COMMIT", help="rows too that were run on no commit from this one on")
    verbs.add_parser("row").add_argument("name")
    verbs.add_parser("write")
    arguments = parser.parse_args()
    if arguments.verb == "list":
        for name in work():
            print(f"{name}{'' if place(name).exists() else '  (no row yet)'}")
    elif arguments.verb == "run":
        run(arguments.only, arguments.again, arguments.since)
    elif arguments.verb == "row":
        row = work()[arguments.name]()
        place(arguments.name).write_text(json.dumps({**row, "sources": sources(), "commit": commit()}))
    else:
        write()


if __name__ == "__main__":
    main()
