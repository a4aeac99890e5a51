#!/usr/bin/env python3
"""Measure heaphound against ClrMD on one large dump, both in the same run, and write the table of docs/performance.md.

    python benchmarks/run.py [--calls 1000000] [--runtime 8.0.4] [--rounds 3] [--write]

The dump is RedisLeak with that many calls (a million calls are 6 million event handlers). ClrMD is the oracle of the tests
(tests/lab/oracle.py says where it is looked for); without it there is nothing to compare with and this ends at once. Rounds alternate
between the two and the best of each is taken, so that another program's load falls on both. Memory is the highest anonymous resident size
seen from outside, every 10 ms: pages of the mapped core do not count.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from tests.lab.dumps import make_dump, redis_leak  # noqa: E402  (the repository's root is no installed package)
from tests.lab.oracle import HOST_RUNTIME, oracle_program  # noqa: E402
from tests.lab.runtimes import runtime_root  # noqa: E402

DOCUMENT = REPOSITORY / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
EVERY_SECONDS = 0.01


@dataclass
class Run:
    """One program run to its end: wall seconds from its start, highest anonymous resident size, what it printed."""

    seconds: float
    peak_bytes: int
    output: str


@dataclass
class Best:
    """The best of several rounds by name of phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)

    def take(self, phase: str, seconds: float, peak_bytes: int | None = None) -> None:
        self.seconds[phase] = min(seconds, self.seconds.get(phase, seconds))
        if peak_bytes is not None:
            self.peak_bytes[phase] = min(peak_bytes, self.peak_bytes.get(phase, peak_bytes))


def run(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run `command`; end this program when it fails, because a time of something broken means nothing."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}) as process:
        peak = [0]
        watcher = threading.Thread(target=watch, args=(process, peak))
        watcher.start()
        output, _ = process.communicate()
        seconds = time.perf_counter() - begin
        watcher.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} exited {process.returncode}")
    return Run(seconds, peak[0], output)


def watch(process: subprocess.Popen[str], peak: list[int]) -> None:
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            lines = status.read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return
        anonymous = [int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")]
        peak[0] = max([*peak, *anonymous])
        time.sleep(EVERY_SECONDS)


def warm(core: Path) -> None:
    """Read the core once, so that every program finds it in the page cache, also on a machine that is short of memory."""
    with open(core, "rb") as file:
        while file.read(1 << 24):
            pass


def clrmd(verb: str, core: Path) -> Run:
    program = oracle_program()
    if program is None:
        sys.exit("ClrMD is not on this machine: nothing to compare with (tests/lab/oracle.py says where it is looked for)")
    warm(core)
    return run([str(runtime_root(HOST_RUNTIME) / "dotnet"), str(program), verb, str(core)], {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"})


def heaphound(*arguments: str) -> Run:
    return run([sys.executable, "-m", "heaphound", *arguments])


def measure_clrmd(core: Path, best: Best) -> dict[str, dict[str, float]]:
    """Its phases inside one process (`bench`), and its statistics and references as programs of their own."""
    bench = clrmd("bench", core)
    phases = {row["phase"]: row for row in map(json.loads, bench.output.splitlines())}
    for phase, row in phases.items():
        best.take(phase, row["seconds"])
    best.take("bench program", bench.seconds, bench.peak_bytes)
    for verb in ("stat", "refs"):
        one = clrmd(verb, core)
        best.take(f"{verb} program", one.seconds, one.peak_bytes)
    return phases


def measure_heaphound(core: Path, target: str, best: Best) -> None:
    """The kernel's phases inside one process (benchmarks/phases.py), and the commands as programs of their own."""
    warm(core)
    phases = run([sys.executable, str(Path(__file__).with_name("phases.py")), str(core)])
    seconds = {row["phase"]: row["seconds"] for row in map(json.loads, phases.output.splitlines())}
    best.take("walk", seconds["walk"])
    best.take("statistics", seconds["walk"] + seconds["types"])  # counting is part of the walk
    best.take("references", seconds["references"])
    best.take("graph and dominators", seconds["references"] + seconds["dominators"])
    commands = {
        "types": ["types", str(core)],
        "verify": ["verify", str(core)],
        "path": ["path", str(core), target],
        "analyze": ["analyze", str(core)],
    }
    for name, arguments in commands.items():
        warm(core)
        one = heaphound(*arguments, "--json")
        best.take(f"{name} program", one.seconds, one.peak_bytes)


# row of the table, ClrMD's phase, heaphound's phase
ROWS = [
    ("walk of the heap (first in the process)", "walk_first", "walk"),
    ("walk of the heap (types known)", "walk", "walk"),
    ("statistics by type", "stat", "statistics"),
    ("references of every object", "refs", "references"),
    (
        "graph both ways, exact dominators and retained sizes; ClrMD: search of the whole graph",
        "gcroot_whole_graph",
        "graph and dominators",
    ),
    ("`types`, the whole program; ClrMD: statistics, the whole program", "stat program", "types program"),
    ("`verify`, the whole program; ClrMD: references, the whole program", "refs program", "verify program"),
    ("`path` to a handler, the whole program; ClrMD: first root path", "gcroot_first_path", "path program"),
    ("`analyze`, the whole program; ClrMD: statistics, the whole program", "stat program", "analyze program"),
]


def table(objects: int, references: int, core: Path, theirs: Best, ours: Best) -> str:
    lines = [
        f"{objects:,} objects, {references:,} references, a core of {core.stat().st_size / 1e6:,.0f} MB in the page cache; "
        f"{os.cpu_count()} cores, {processor()}, Python {platform.python_version()}.",
        "",
        "| work | ClrMD | heaphound | ratio |",
        "|---|---:|---:|---:|",
    ]
    for name, their_phase, our_phase in ROWS:
        their_seconds, our_seconds = theirs.seconds[their_phase], ours.seconds[our_phase]
        lines.append(f"| {name} | {their_seconds:.2f} s | {our_seconds:.3f} s | {their_seconds / our_seconds:.1f} |")
    lines += ["", "| peak memory beyond the mapped file | MB | bytes an object |", "|---|---:|---:|"]
    for name, peak in [
        *((f"ClrMD `{phase.removesuffix(' program')}`", theirs.peak_bytes[phase]) for phase in ("stat program", "bench program")),
        *((f"heaphound `{phase.removesuffix(' program')}`", peak) for phase, peak in ours.peak_bytes.items()),
    ]:
        lines.append(f"| {name} | {peak / 1e6:,.0f} | {peak / objects:.1f} |")
    return "\n".join(lines)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--runtime", default="8.0.4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    options = parser.parse_args()
    core = make_dump(redis_leak(options.runtime, options.calls)).path
    theirs, ours = Best(), Best()
    for number in range(options.rounds):
        phases = measure_clrmd(core, theirs)
        measure_heaphound(core, str(phases["gcroot_first_path"]["target"]), ours)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    text = table(int(phases["walk"]["objects"]), int(phases["refs"]["references"]), core, theirs, ours)
    print(text)
    if options.write:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
