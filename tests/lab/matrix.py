"""What tools/make_compatibility.py runs: runtimes x programs x collectors x kinds of dump, each cell made, read and thrown away."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.dumps.known import SWEEP
from tests.lab.cases import Case
from tests.lab.dumps import REDIS, Recipe, leaks, record_dump, redis_leak, zoo
from tests.lab.forms import FORMS
from tests.lab.kinds import compiled_program, write_compiled, write_kinds
from tests.lab.machine_dumps_arm64 import write_kinds_in_machine
from tests.lab.musl import is_musl
from tests.lab.oracle import HOST_RUNTIME, Row, run_oracle
from tests.lab.runtimes import PACKAGES, LabError, is_arm64, runtime_root

SCENARIOS = {  # of Leaks, each with a count that makes what it is about visible
    "instance-event": 500,
    "static-cache": 500,
    "queue-backlog": 500,
    "timer": 200,
    "cancellation": 300,
    "async-pending": 300,
    "string-duplicates": 500,
    "pinned": 200,
    "loh-fragmentation": 40,
    "thread-static": 400,
    "finalizer-blocked": 200,
    "weak-table": 300,
    "dynamic-methods": 200,
    "plugin-contexts": 20,
    "closures": 300,
    "threads": 30,
    "native": 300,
    "http-clients": 50,
    "healthy": 5000,
}
EXTREMES = {"heaps": 60, "emitted": 20, "contexts": 30, "types": 3000, "threads": 300, "collecting": 0}
SETTINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "not concurrent": (("gcConcurrent", "0"),),
    "conserving memory": (("GCConserveMemory", "9"),),
    "hard limit of 200 MB": (("GCHeapHardLimit", "C800000"),),
    "no tiered compilation": (("TieredCompilation", "0"),),
    "generation 0 of 1 MB": (("GCgen0size", "100000"),),
}
SEGMENTS = (("GCName", "libclrgc.so"),)  # from 7.0 on the default collector has regions; this one has segments
HAS_OTHER_COLLECTOR = ("8.0.4", "9.0.11", "10.0.11")  # whose package has the file
SERVER_SETTINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "": (),
    "not concurrent": (("gcConcurrent", "0"),),
    "not bound to processors": (("GCNoAffinitize", "1"),),
    "bound to one processor": (("GCHeapCount", "1"), ("GCHeapAffinitizeMask", "1")),
}
SINGLE_FILE = (
    "single file, gcore"  # held against a kernel's core 0x7f of the same process: createdump and the oracle's library are not there
)
ADAPTING = (("GCDynamicAdaptationMode", "1"), ("GCHeapCount", "0"))  # DATAS, from 8.0 on; the default of 9.0 and later


@dataclass(frozen=True)
class Cell:
    """One dump. `kind`: how it is written: "full" and "withheap" by createdump, held against the oracle; the others of `tests.lab.kinds`,
    held against a full dump of the same process. `told`: what the collector was told, in words; `files`: whether the mapped files are here;
    `form`: one of `tests.lab.forms`, what was done to the file afterwards; `in_machine`: in a whole arm64 machine, which holds all threads
    while createdump writes, and not under qemu-user, which does not.
    """

    recipe: Recipe
    kind: str = "full"
    told: str = ""
    files: bool = True
    form: str = ""
    in_machine: bool = False

    @property
    def name(self) -> str:
        """Unique among the cells, fit for a file."""
        recipe = self.recipe
        arguments = [argument for argument in recipe.arguments if argument != REDIS]
        marks = ["server" if recipe.server_gc else "", "self-contained" if recipe.self_contained else ""]
        parts = [recipe.program.lower(), recipe.runtime, *arguments, *marks, self.kind, self.told]
        return "-".join(part.replace(" ", "_") for part in [*parts, "" if self.files else "without files", self.form] if part)


@dataclass(frozen=True)
class Written:
    """The files of one cell. `core` is what heaphound is given; `plain` what the oracle opens, the same but for the form of the file.

    `twin` is a full dump of the same process, where the oracle cannot open the core.
    """

    core: Path
    plain: Path
    twin: Path | None = None


@dataclass(frozen=True)
class ScratchCase(Case):
    """A dump that is thrown away: the oracle's answers are kept in memory only."""

    kept: dict[tuple[str, ...], list[Row]] = field(default_factory=dict, compare=False)

    def answers(self, verb: str, *operands: str) -> list[Row]:
        """The oracle's rows for `verb`."""
        if (verb, *operands) not in self.kept:
            self.kept[verb, *operands] = run_oracle(self.core(), verb, *operands, host=self.host)
        return self.kept[verb, *operands]


def scratch_case(cell: Cell, core: Path) -> ScratchCase:
    """The case of a cell whose core has been made. A core of musl takes a data access library that runs on musl."""
    host = cell.recipe.runtime if is_musl(cell.recipe.runtime) else HOST_RUNTIME
    return ScratchCase(f"{SWEEP}{cell.name}", lambda: core, host=host)


@contextmanager
def written(cell: Cell) -> Iterator[Written]:
    """The cell's core, and the full dump of the same process where the oracle cannot open the core; all are gone afterwards."""
    recipe, root = cell.recipe, runtime_root(cell.recipe.runtime)
    with tempfile.TemporaryDirectory(prefix="heaphound-matrix-", dir="/var/tmp") as temporary:
        home = Path(temporary)
        if cell.kind in ("full", "withheap"):
            if cell.in_machine:
                write_kinds_in_machine(recipe, {cell.kind: home / "core"}, home, 0)
            else:
                record_dump(recipe, home / "core", home / "app", root)
            yield Written(_formed(cell, home / "core"), home / "core")
            return
        (home / "work").mkdir()
        if cell.kind == SINGLE_FILE:
            compressed = compiled_program("single-file")
            if compressed is None:
                raise LabError("the single-file program is not on this machine")
            scenario, count = recipe.arguments
            write_compiled(compressed, scenario, int(count), {"gcore": home / "core", "kernel": home / "whole.core"}, home, 0x7F)
            yield Written(home / "core", home / "core", home / "whole.core")
            return
        kind, _, mask = cell.kind.partition(" ")
        write = write_kinds_in_machine if cell.in_machine else write_kinds
        write(recipe, {"full": home / "full.core", kind: home / "core"}, home, int(mask or "0x33", 16))
        yield Written(_formed(cell, home / "core"), home / "core", home / "full.core")


def _formed(cell: Cell, core: Path) -> Path:
    return FORMS[cell.form](core) if cell.form else core


def cells() -> Iterator[Cell]:
    """All of them, those first that tell most."""
    here = [runtime for runtime in PACKAGES if not is_arm64(runtime)]
    for runtime in here:
        yield Cell(zoo(runtime))
    yield from _collectors()
    yield from _kinds()
    for scenario in ("static-cache", "threads"):
        yield Cell(leaks("10.0.11", scenario, SCENARIOS[scenario]), SINGLE_FILE)
    for runtime in ("6.0.6", "8.0.4", "9.0.11", "10.0.11", "10.0.11-musl"):
        for scenario, count in EXTREMES.items():
            yield Cell(Recipe("Extremes", runtime, (scenario, str(count))))
    for scenario, count in SCENARIOS.items():
        for runtime in here:
            yield Cell(leaks(runtime, scenario, count))
    for runtime in PACKAGES:
        if is_arm64(runtime):
            yield Cell(zoo(runtime))
            yield Cell(leaks(runtime, "instance-event", SCENARIOS["instance-event"]))
    yield Cell(redis_leak("8.0.31-arm64"), in_machine=True)
    for runtime in ("8.0.31-arm64", "10.0.11-arm64"):
        for kind in ("normal", "triage", "kernel 0x33"):
            yield Cell(zoo(runtime), kind, in_machine=True)


def _collectors() -> Iterator[Cell]:
    for runtime in ("3.1.2", "6.0.6", "8.0.4", "9.0.11", "10.0.11", "10.0.11-musl"):
        for told, settings in SERVER_SETTINGS.items():
            yield Cell(Recipe("Zoo", runtime, server_gc=True, settings=settings), told=told)
    for runtime in ("6.0.6", "8.0.4", "9.0.11", "10.0.11", "10.0.11-musl"):
        for told, settings in SETTINGS.items():
            yield Cell(Recipe("Zoo", runtime, settings=settings), told=told)
    for runtime in HAS_OTHER_COLLECTOR:
        yield Cell(Recipe("Zoo", runtime, settings=SEGMENTS), told="libclrgc.so")
        yield Cell(Recipe("Zoo", runtime, server_gc=True, settings=SEGMENTS), told="libclrgc.so")
        yield Cell(Recipe("Zoo", runtime, server_gc=True, settings=ADAPTING), told="adapting (DATAS)")


def _kinds() -> Iterator[Cell]:
    for runtime in ("3.1.2", "6.0.6", "8.0.4", "8.0.31", "9.0.11", "10.0.11", "10.0.11-musl"):
        yield Cell(zoo(runtime, mode="withheap"), "withheap")
        for kind in ("gcore", "kernel 0x33", "kernel 0x7f"):
            yield Cell(zoo(runtime), kind)
        yield Cell(zoo(runtime), "kernel 0x33", files=False)
        yield Cell(zoo(runtime), "normal")
        yield Cell(zoo(runtime), "triage")
    for runtime in ("3.1.2", "6.0.6", "8.0.4", "9.0.11", "10.0.11"):
        yield Cell(Recipe("Zoo", runtime, self_contained=True))
    for runtime in ("8.0.4", "10.0.11"):
        yield Cell(zoo(runtime), form="offsets past 4 GB")
        yield Cell(zoo(runtime), "kernel 0x33", form="compressed with zstd")
