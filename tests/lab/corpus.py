"""Cores of the program Corpus, whose threads a dump stops at places that nobody chose.

    python -m tests.lab.corpus --runtime 8.0.4 --cores 24 [--seed N]

compares the frames and roots of every thread of every core with the oracle's, prints each difference and the agreement, and keeps no core
on which both agree (see `docs/stack-agreement.md`).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.dumps import PROGRAMS, SETTING_PREFIXES
from tests.lab.emulated import WITHOUT_ACTIVATION, emulated, free_port
from tests.lab.emulated_work import BY_INSTRUCTION, WorkingProcess
from tests.lab.gdb_remote import GdbRemote
from tests.lab.runtimes import FRAMEWORK, PACKAGES, VERSIONS, LabError, is_arm64, product_version, runtime_root
from tests.lab.stack_agreement import Agreement
from tests.lab.stack_comparison import compare_stacks

BUILDS = ("bin", "binrelease")
SETTINGS: dict[str, dict[str, str]] = {
    "default": {},
    "tier 0": {"TC_BackgroundWorkerTimeoutMs": "0", "TC_CallCountThreshold": "1000000"},
    "no tiers": {"TieredCompilation": "0"},
    "no pgo": {"TieredPGO": "0"},
    "no ready-to-run": {"ReadyToRun": "0"},
    "early osr": {"OSR_HitLimit": "1", "TC_OnStackReplacement_InitialCounter": "10"},
}
# Not among those in turn: the heap of most such cores cannot be walked, as a collection is just moving objects.
SUSPENDING = "many collections"
LINES = 12  # of differences that are printed for one core


@dataclass(frozen=True)
class Run:
    """One process of Corpus: it is dumped several times while it works.

    `filters`: whether exception filters call further shapes; the oracle's library crashes on them on 10.0 (its blind spot 4).
    """

    runtime: str
    build: str = "bin"
    settings: str = "default"
    seed: int = 1
    threads: int = 12
    filters: bool = True

    def __str__(self) -> str:
        kind = "debug" if self.build == "bin" else "release"
        return f"{self.runtime} {kind}, {self.settings}, seed {self.seed}, {'filters' if self.filters else 'no filters'}"


Dumper = Callable[[float, Path], None]


@contextmanager
def running(run: Run) -> Iterator[Dumper]:
    """A working Corpus, as what dumps it after some seconds where it happens to be; it is killed at the end. Raises LabError."""
    if not is_arm64(run.runtime):
        with running_process(run) as process_id:
            yield lambda seconds, core: stop_and_dump(run, process_id, seconds, core)
        return
    port = free_port()
    with _started(run, port) as process, GdbRemote(port) as gdb:
        gdb.resume()
        working = WorkingProcess(gdb, process.pid, "corpus")
        _wait_until_it_works(run, process, working)
        yield lambda seconds, core: _run_and_dump(working, seconds, core)


@contextmanager
def running_process(run: Run) -> Iterator[int]:
    """The same of x64, as its process id."""
    with _started(run, None) as process:
        _wait_until_it_works(run, process, None)
        yield process.pid


@contextmanager
def _started(run: Run, port: int | None) -> Iterator["subprocess.Popen[str]"]:
    """Corpus as it begins; with a port under the emulator, which stops it there for a debugger."""
    with tempfile.TemporaryDirectory() as temporary:
        app, root = Path(temporary), runtime_root(run.runtime)
        for file in (PROGRAMS / "Corpus" / run.build).iterdir():
            (app / file.name).write_bytes(file.read_bytes())
        options = {
            "framework": {"name": FRAMEWORK, "version": product_version(run.runtime)},
            "rollForward": "Disable",
            "configProperties": {"System.Globalization.Invariant": True},
        }
        (app / "Corpus.runtimeconfig.json").write_text(json.dumps({"runtimeOptions": options}))
        chosen = {"GCgen0size": "20000"} if run.settings == SUSPENDING else SETTINGS[run.settings]
        settings = {f"{prefix}_{key}": value for key, value in chosen.items() for prefix in SETTING_PREFIXES}
        if port is not None:
            settings |= {**WITHOUT_ACTIVATION, **BY_INSTRUCTION}
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8", "DOTNET_ROOT": str(root), **settings}
        command = [str(root / "dotnet"), str(app / "Corpus.dll"), str(run.seed), str(run.threads), *([] if run.filters else ["nofilter"])]
        with _working(command if port is None else emulated(command, port), environment) as process:
            yield process


@contextmanager
def _working(command: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        command, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_until_it_works(run: Run, process: "subprocess.Popen[str]", emulated_process: WorkingProcess | None) -> None:
    assert process.stdout is not None
    with ThreadPoolExecutor(1) as pool:
        stdout = process.stdout
        ready = pool.submit(lambda: any(line.startswith("READY") for line in stdout))
        while emulated_process is not None and not ready.done():
            emulated_process.run(0.2)
        if not ready.result():
            raise LabError(f"Corpus ended before it worked: {run}")


def _run_and_dump(working: WorkingProcess, seconds: float, core: Path) -> None:
    working.run(seconds)
    working.stop_and_dump(core)


def stop_and_dump(run: Run, process_id: int, seconds: float, core: Path, mode: str = "full") -> None:
    """Dump the process where it happens to be after that time; it works on afterwards."""
    time.sleep(seconds)
    createdump = runtime_root(run.runtime) / "shared" / FRAMEWORK / run.runtime / "createdump"
    done = subprocess.run([createdump, f"--{mode}", "-f", core, str(process_id)], check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0 or not core.exists():
        raise LabError(f"createdump of {run} exited {done.returncode}: {(done.stdout + done.stderr)[-800:]}")


def compare_run(run: Run, directory: Path, chance: random.Random, keep: bool = False) -> Agreement:
    """Start Corpus, dump it at a random moment and compare. A core that differs stays where `keep` says so.

    One core a process: createdump stops threads anywhere, and a process that a collection was just suspending may not go on afterwards.
    """
    core = directory / f"corpus-{run.runtime}-{run.build}-{run.settings.replace(' ', '-')}-{run.seed}.core"
    for left in (2, 1, 0):
        with running(run) as dump:
            try:
                dump(chance.uniform(0.05, 3.0), core)
                break
            except LabError:  # a thread ended while createdump was stopping it; another faulted while the emulator stopped one
                if not left:
                    raise
    try:
        found = compare_stacks(core)
    except BaseException:
        core.unlink()
        raise
    if not (keep and found.differences):
        core.unlink()
    return found


def main() -> int:
    """Run from the command line; the exit status says whether everything agreed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", action="append", choices=tuple(PACKAGES), help="which runtimes; all of x64 if none is named")
    parser.add_argument("--cores", type=int, default=24, help="cores a runtime, spread over builds and settings")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2), "little"))
    parser.add_argument("--settings", choices=(*SETTINGS, SUSPENDING), default=None, help="this setting alone; else the others in turn")
    parser.add_argument("--directory", type=Path, default=None, help="where cores are made, 150 MB each; a temporary folder if not named")
    parser.add_argument("--keep", action="store_true", help="keep the cores on which the two differ")
    parser.add_argument("--methods", action="store_true", help="list the methods that were on the stacks")
    parser.add_argument("--results", type=Path, default=None, help="a file of JSON lines to which the figures of each core are added")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        for runtime in arguments.runtime or VERSIONS:
            total = Agreement()
            for run in spread(runtime, arguments.cores, chance, arguments.settings):
                found = compare_run(run, arguments.directory or Path(temporary), chance, arguments.keep)
                total.add(found)
                if arguments.results is not None:
                    row = {
                        "what": str(run),
                        "of": "corpus",
                        "program": "Corpus",
                        "runtime": runtime,
                        "build": run.build,
                        "code": run.settings,
                    }
                    with open(arguments.results, "a") as results:
                        results.write(json.dumps({**row, **found.record()}) + "\n")
                print(f"{run}: {found}", flush=True)
                for line in list(found.lines())[:LINES]:
                    print(f"    {line[:300]}", flush=True)
            wrong += len(total.differences)
            print(f"== {runtime}, {arguments.cores} cores: {total}")
            for category, count in Counter(difference.category for difference in total.differences).most_common():
                print(f"   {count} {category}")
            for reason, count in total.conservative.most_common():
                print(f"   {count} frames scanned: {reason}")
            for method, count in sorted(total.methods.items()):
                if arguments.methods:
                    print(f"   {count} x {method}")
    return 1 if wrong else 0


def spread(runtime: str, cores: int, chance: random.Random, alone: str | None = None) -> Iterator[Run]:
    """That many runs, over builds and settings in turn, or with one setting alone."""
    combinations = [(build, settings) for settings in (SETTINGS if alone is None else (alone,)) for build in BUILDS]
    for number in range(cores):
        build, settings = combinations[number % len(combinations)]
        yield Run(
            runtime, build, settings, chance.randrange(1, 100_000), 1 if is_arm64(runtime) else 12, filters=not runtime.startswith("10.")
        )


if __name__ == "__main__":
    sys.exit(main())
