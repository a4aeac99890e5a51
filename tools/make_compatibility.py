#!/usr/bin/env python3
"""Write docs/compatibility.md out of real runs: each dump of the lab, read and held against the oracle, ability by ability.

    tools/make_compatibility.py [--also zoo-3.1.2=CORE] > docs/compatibility.md

Needs what `./dev test` needs, and the oracle; the first run makes the dumps. A cell's comparison is that of the tests in `tests/dumps`,
with the differences that `known.py` explains. One process for each dump, so that a fault in one takes no other along.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.dumps import (
    test_code_agrees,
    test_heap_agrees,
    test_memory_agrees,
    test_objects_agree,
    test_roots_agree,
    test_stack_roots_agree,
    test_stacks_agree,
)
from tests.dumps.conftest import Opened
from tests.lab.cases import GOLDEN_CASES, LIVE_CASES, Case

import heaphound
from heaphound.errors import HeaphoundError
from heaphound.layouts.load import layout_file, supported_versions

SECONDS_FOR_A_DUMP = 900
AGREES, ABSENT = "agrees", "not in this dump"
Comparison = Callable[[Opened], None]


def compare_threads(opened: Opened) -> None:
    """Managed id, OS id and GC mode of each living thread."""
    oracle = {(row["managed_id"], row["os_id"], row["gc_mode"]) for row in opened.case.answers("threads") if row["alive"]}
    ours = {(thread.managed_id, thread.os_id, thread.gc_mode) for thread in opened.dump.session.threads if thread.alive}
    assert ours == oracle, f"{len(ours ^ oracle)} threads"


def compare_finalizer_queue(opened: Opened) -> None:
    """The objects of both parts of the queue; the oracle's second part lacks those whose finalizer is suppressed or repeats the first."""
    queue = opened.dump.session.finalizer_queue
    rows = opened.case.answers("finalizer")
    ready = {int(row["address"], 16) for row in rows if row["row"] == "f_reachable"}
    waiting = {int(row["address"], 16) for row in rows if row["row"] == "finalizable"}
    assert {entry.object for entry in queue.ready} == ready, "objects that are ready"
    assert {entry.object for entry in queue.waiting} == waiting, "objects that wait"


def compare_sync_blocks(opened: Opened) -> None:
    """Index, object and whether it is held, of each sync block."""
    rows = [row for row in opened.case.answers("syncblocks") if row["row"] == "sync_block"]
    oracle = {(row["index"], int(row["object"], 16), row["held"]) for row in rows}
    ours = {(block.index, block.object, block.held) for block in opened.dump.session.sync_blocks}
    assert ours == oracle, f"{len(ours ^ oracle)} sync blocks"


def body(test: Any) -> Comparison:
    """The function under a test's marks."""
    found: Comparison = getattr(test, "__wrapped__", test)
    return found


ABILITIES: dict[str, list[Comparison]] = {
    "walk": [body(test_heap_agrees.test_walk), body(test_heap_agrees.test_segments)],
    "references": [body(test_heap_agrees.test_references)],
    "type names": [body(test_heap_agrees.test_count_bytes_and_name_of_every_type)],
    "fields": [body(test_objects_agree.test_fields_elements_and_delegates)],
    "statics and thread statics": [body(test_roots_agree.test_statics)],
    "handles and dependents": [body(test_roots_agree.test_handles)],
    "finalizer queue": [compare_finalizer_queue],
    "sync blocks": [compare_sync_blocks],
    "threads": [compare_threads],
    "stacks": [body(test_stacks_agree.test_every_frame)],
    "stack roots": [body(test_stack_roots_agree.test_stack_roots)],
    "modules": [body(test_roots_agree.test_modules)],
    "code lookup": [body(test_code_agrees.test_methods_by_method_desc)],
    "memory map": [body(test_memory_agrees.test_the_blocks_of_the_loader_heaps), body(test_memory_agrees.test_handle_tables_and_gc_tables)],
}


def outcome(opened: Opened, comparisons: Iterable[Comparison]) -> str:
    """What a cell says. Any other exception is a fault, and ends the dump's run."""
    for comparison in comparisons:
        try:
            comparison(opened)
        except AssertionError as error:
            nameless = sum(module.metadata is None for module in opened.dump.session.module_list.modules)
            if nameless:  # both sides then write something else in place of a name
                return f"{ABSENT}: metadata of {nameless} assemblies"
            return f"differs: {first_line(error)}"
        except HeaphoundError as error:
            return f"{ABSENT}: {first_line(error)}"
    return AGREES


def first_line(error: BaseException) -> str:
    """The beginning of a message, without addresses and paths, which change from run to run."""
    text = re.sub(r"/\S+/", "", str(error).strip().split("\n")[0])
    return re.sub(r"0x[0-9a-f]+", "0x…", text)[:100].replace("|", "\\|") or type(error).__name__


def row_of(case: Case) -> str:
    """One row of the table. The dump is opened as a user opens it."""
    dump = heaphound.open(str(case.core()))
    opened = Opened(case, dump)
    session = dump.session
    collector = f"{'server' if session.runtime.server_gc else 'workstation'}, {'regions' if session.runtime.gc.regions else 'segments'}"
    kind = dump.info().dump.kind.replace("(", "").replace(")", "").replace("createdump heap", "createdump withheap")
    program = "RedisLeak" if "redis" in case.name else "Zoo"
    cells = [outcome(opened, comparisons) for comparisons in ABILITIES.values()]
    return "| " + " | ".join([session.runtime.version, program, collector, kind, session.core.machine, *cells]) + " |"


def cases() -> list[Case]:
    """What is run: all dumps that the tests compare with the oracle."""
    return [*LIVE_CASES, *GOLDEN_CASES]


def in_own_process(*arguments: str) -> str:
    """The row of a dump; where its run breaks off, a row that says so."""
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS_FOR_A_DUMP)
    if done.returncode == 0:
        return done.stdout.strip()
    print(f"{arguments}: {done.stderr[-2000:]}", file=sys.stderr)
    return f"| {arguments[-1].rpartition('/')[2]} | | | | | " + " | ".join(["the run failed"] * len(ABILITIES)) + " |"


def layouts() -> str:
    """The layout files, with the build that each was made from."""
    return "\n".join(f"- {version}: {layout_file(f'{version}.0', 'x64', None).origin['build']}" for version in supported_versions())


HEAD = """# Compatibility

Written by `tools/make_compatibility.py` from runs, not by hand: every row is a dump that was read and compared with the oracle (ClrMD on
the runtime's own data access library), every entry a comparison of the whole dump. *agrees*: equal but for differences that are explained
in `tests/dumps/known.py` and beside the tests. *differs*: what did not agree. *not in this dump*: the file lacks what it takes.
What has no row was not run.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help="print the row of this dump alone")
    parser.add_argument(
        "--also", action="append", default=[], metavar="CASE=CORE", help="a further dump, like that of CASE but for its core"
    )
    parser.add_argument("--core", help="with --case: this core in place of the case's own")
    arguments = parser.parse_args()
    known = {case.name: case for case in cases()}
    if arguments.case:
        case = known[arguments.case]
        print(row_of(replace(case, core=lambda: Path(arguments.core)) if arguments.core else case))
        return
    columns = ["runtime", "program", "collector", "kind of dump", "machine", *ABILITIES]
    rows = [in_own_process("--case", case.name) for case in cases()]
    further = [entry.partition("=") for entry in arguments.also]
    rows += [in_own_process("--case", name, "--core", core) for name, _, core in further]
    print(HEAD)
    print("\n".join(["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *rows]))
    print(f"\n## Layout files\n\nEach serves every patch of its version, guarded by self-checks (`heaphound info`):\n\n{layouts()}")


if __name__ == "__main__":
    main()
