#!/usr/bin/env python3
"""Measure heaphound against ClrMD on one large dump, both in the same run, and write the table of docs/performance.md.

    python benchmarks/run.py [--calls 6500000] [--runtime 8.0.4] [--core FILE] [--rounds 3] [--write]

The dump is RedisLeak with that many calls (a million calls are 6 million event handlers), or FILE, such a dump made before. ClrMD is the
oracle of the tests (tests/lab/oracle.py says where it is looked for); without it there is nothing to compare with and this ends at once.
Rounds alternate between the two and the best of each is taken, so that another program's load falls on both; the processor time of whole
programs stands beside it, which other load changes less. Memory is the highest anonymous resident size seen from outside, every 10 ms:
pages of the mapped core do not count.
"""

import argparse
import json
import os
import platform
import resource
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
OPENING = "import sys; from heaphound.session import Session; Session(sys.argv[1]).table"


@dataclass
class Run:
    """One program run to its end: wall seconds from its start, seconds of processors, highest anonymous resident size, what it printed."""

    seconds: float
    processor_seconds: float
    peak_bytes: int
    output: str


@dataclass
class Best:
    """The best of several rounds by name of phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    processor_seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)

    def take(self, phase: str, seconds: float) -> None:
        self.seconds[phase] = min(seconds, self.seconds.get(phase, seconds))

    def take_program(self, phase: str, one: Run) -> None:
        self.take(phase, one.seconds)
        self.processor_seconds[phase] = min(one.processor_seconds, self.processor_seconds.get(phase, one.processor_seconds))
        self.peak_bytes[phase] = min(one.peak_bytes, self.peak_bytes.get(phase, one.peak_bytes))


def run(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run `command`; end this program when it fails, because a time of something broken means nothing."""
    begin, used = time.perf_counter(), processor_seconds_of_children()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}) as process:
        peak = [0]
        watcher = threading.Thread(target=watch, args=(process, peak))
        watcher.start()
        output, _ = process.communicate()
        seconds = time.perf_counter() - begin
        watcher.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} exited {process.returncode}")
    return Run(seconds, processor_seconds_of_children() - used, peak[0], output)


def processor_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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


def clrmd(verb: str, core: Path, *operands: str) -> Run:
    program = oracle_program()
    if program is None:
        sys.exit("ClrMD is not on this machine: nothing to compare with (tests/lab/oracle.py says where it is looked for)")
    warm(core)
    command = [str(runtime_root(HOST_RUNTIME) / "dotnet"), str(program), verb, str(core), *operands]
    return run(command, {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"})


def heaphound(*arguments: str) -> Run:
    return run([sys.executable, "-m", "heaphound", *arguments])


def measure_clrmd(core: Path, best: Best) -> dict[str, dict[str, float]]:
    """Its phases inside one process (`bench`), and its statistics, references and one root path as programs of their own."""
    bench = clrmd("bench", core)
    phases = {row["phase"]: row for row in map(json.loads, bench.output.splitlines())}
    for phase, row in phases.items():
        best.take(phase, row["seconds"])
    best.take_program("bench program", bench)
    for verb, *operands in (("stat",), ("refs",), ("gcroot", str(phases["gcroot_first_path"]["target"]), "--limit", "1")):
        best.take_program(f"{verb} program", clrmd(verb, core, *operands))
    return phases


def measure_heaphound(core: Path, target: str, best: Best) -> None:
    """The kernel's phases inside one process (benchmarks/phases.py), and the commands as programs of their own."""
    warm(core)
    phases = run([sys.executable, str(Path(__file__).with_name("phases.py")), str(core), target])
    seconds = {row["phase"]: row["seconds"] for row in map(json.loads, phases.output.splitlines())}
    best.take("walk", seconds["walk"])
    best.take("statistics", seconds["walk"] + seconds["types"])  # counting is part of the walk
    best.take("references", seconds["references"])
    best.take("graph and dominators", seconds["references"] + seconds["dominators"])
    best.take("next path", seconds["next path"])
    warm(core)
    best.take_program("opening program", run([sys.executable, "-c", OPENING, str(core)]))
    commands = {
        "types": ["types", str(core)],
        "verify": ["verify", str(core)],
        "path": ["path", str(core), target],
        "analyze": ["analyze", str(core)],
    }
    for name, arguments in commands.items():
        warm(core)
        best.take_program(f"{name} program", heaphound(*arguments, "--json"))


# row of the table, ClrMD's phase, heaphound's phase
PHASES = [
    ("walk of the heap (first in the process)", "walk_first", "walk"),
    ("walk of the heap (types known)", "walk", "walk"),
    ("statistics by type", "stat", "statistics"),
    ("references of every object", "refs", "references"),
    (
        "graph both ways, exact dominators and retained sizes; ClrMD: search of the whole graph",
        "gcroot_whole_graph",
        "graph and dominators",
    ),
]
# row of the table, what it must be at least (times as fast), ClrMD's program, heaphound's program
PROGRAMS = [
    ("`types`; ClrMD: statistics", "8", "stat program", "types program"),
    ("`verify`, which reads references of every object; ClrMD: references", "15", "refs program", "verify program"),
    ("`path` to a handler; ClrMD: one root path", "8", "gcroot program", "path program"),
    ("`path` to a handler; ClrMD: one root path in a process that has walked before", "8", "gcroot_first_path", "path program"),
    ("`analyze`; ClrMD: statistics", "1/3", "stat program", "analyze program"),
]
BYTES_AN_OBJECT, OPENING_SECONDS, NEXT_PATH_SECONDS = 50, 1.0, 0.3  # what must be kept


def table(objects: int, references: int, core: Path, theirs: Best, ours: Best) -> str:
    lines = [
        f"{objects:,} objects, {references:,} references, a core of {core.stat().st_size / 1e6:,.0f} MB in the page cache; "
        f"{os.cpu_count()} cores, {processor()}, Python {platform.python_version()}.",
        "",
        "| whole programs, from their start to the last line | must | ClrMD | heaphound | ratio | processor time | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, must, their_program, our_program in PROGRAMS:
        times = [best.seconds[program] for best, program in ((theirs, their_program), (ours, our_program))]
        used = [best.processor_seconds.get(program, 0) for best, program in ((theirs, their_program), (ours, our_program))]
        lines.append(
            f"| {name} | {must} | {times[0]:.2f} s | {times[1]:.2f} s | {times[0] / times[1]:.1f} "
            + (f"| {used[0]:.2f} s, {used[1]:.2f} s | {used[0] / used[1]:.1f} |" if used[0] else "| | |")
        )
    peak = ours.peak_bytes["analyze program"]
    lines += [
        "",
        "| heaphound alone | must | measured |",
        "|---|---:|---:|",
        f"| each next path in the same program | {NEXT_PATH_SECONDS} s | {ours.seconds['next path']:.2f} s |",
        f"| opening again: all objects and types known, there is no index | {OPENING_SECONDS:.0f} s "
        f"| {ours.seconds['opening program']:.2f} s ({ours.processor_seconds['opening program']:.2f} s of processor time) |",
        f"| peak memory of `analyze` beyond the mapped file, bytes an object | {BYTES_AN_OBJECT} | {peak / objects:.1f} |",
        "",
        "| work inside one process | ClrMD | heaphound | ratio |",
        "|---|---:|---:|---:|",
    ]
    for name, their_phase, our_phase in PHASES:
        their_seconds, our_seconds = theirs.seconds[their_phase], ours.seconds[our_phase]
        lines.append(f"| {name} | {their_seconds:.2f} s | {our_seconds:.3f} s | {their_seconds / our_seconds:.1f} |")
    lines += ["", "| peak memory beyond the mapped file | MB | bytes an object |", "|---|---:|---:|"]
    for name, peak in [
        *((f"ClrMD `{phase.removesuffix(' program')}`", theirs.peak_bytes[phase]) for phase in ("stat program", "bench program")),
        *((f"heaphound `{phase.removesuffix(' program')}`", peak) for phase, peak in ours.peak_bytes.items() if phase != "opening program"),
    ]:
        lines.append(f"| {name} | {peak / 1e6:,.0f} | {peak / objects:.1f} |")
    return "\n".join(lines)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=6_500_000)
    parser.add_argument("--runtime", default="8.0.4")
    parser.add_argument("--core", type=Path, help="such a dump that was made before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    options = parser.parse_args()
    core = options.core or make_dump(redis_leak(options.runtime, options.calls)).path
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
