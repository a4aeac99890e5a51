"""Dumps of the programs in `tests/programs`, made on first use and kept in the cache.

A dump is known by a key over everything that shapes it (the program's files, the runtime's package, the options, RECIPE), so a change of
any makes a new one.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tests.lab.cache import cache_directory, locked
from tests.lab.emulated import WITHOUT_ACTIVATION, emulated, free_port, passing_signals, write_emulated_core
from tests.lab.gdb_remote import GdbRemote
from tests.lab.musl import install_starter, is_musl, musl_environment
from tests.lab.redis import redis_server
from tests.lab.runtimes import FRAMEWORK, PACKAGES, LabError, is_arm64, product_version, runtime_root
from tests.lab.self_contained import make_self_contained

RECIPE = 1  # raise it when the way dumps are made changes
EMULATED_RECIPE = 2  # the same for those of an emulated machine
PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
REDIS = "{redis}"  # stands for host:port of a redis-server in a program's arguments
SECONDS_TO_READY = 180
SECONDS_TO_DUMP = 120
CREATEDUMP_TRIES, THREAD_GONE = 3, "No such process"  # createdump gives up, or waits for ever, when a thread ends before it has stopped it
# by runtimes on which the other build does not start
RUN_FROM_BIN31 = {"Zoo": ("3.", "6."), "Leaks": ("3.", "6."), "Asyncs": ("3.",), "Services": ("3.",)}
SETTING_PREFIXES = ("DOTNET", "COMPlus")  # the latter before 6.0


@dataclass(frozen=True)
class Recipe:
    """How a dump is made: which program, on which runtime, with which arguments and createdump mode."""

    program: str
    runtime: str
    arguments: tuple[str, ...] = ()
    mode: Literal["full", "withheap", "normal"] = "full"
    server_gc: bool = False
    release: bool = False
    """Run the build with optimisations instead of the one without."""
    settings: tuple[tuple[str, str], ...] = ()
    """Settings of the runtime (`TieredCompilation` and so on) with their values; they reach it through the environment."""
    self_contained: bool = False
    """With the runtime in the program's own folder, and a launcher of its own."""

    @property
    def assembly(self) -> Path:
        """The compiled program, of the build that this runtime starts; 3.0 needs builds of its own."""
        old = self.runtime.startswith(RUN_FROM_BIN31.get(self.program, ()))
        built_for = "" if not old else "30" if self.runtime.startswith("3.0.") else "31"
        return PROGRAMS / self.program / f"bin{'release' if self.release else ''}{built_for}" / f"{self.program}.dll"

    @property
    def key(self) -> str:
        """16 hexadecimal digits over everything that shapes the dump; options at their defaults leave it as it was before they came."""
        told = {name: value for name, value in asdict(self).items() if value or name not in ("release", "settings", "self_contained")}
        recipe = [RECIPE, EMULATED_RECIPE] if is_arm64(self.runtime) else [RECIPE]
        digest = hashlib.sha256(json.dumps([*recipe, told, PACKAGES[self.runtime].sha256]).encode())
        for file in files_of(self.assembly):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def name(self) -> str:
        """A readable file name, unique by the key."""
        told = {"server": self.server_gc, "release": self.release, "self-contained": self.self_contained}
        marks = [mark for mark, is_so in told.items() if is_so]
        return "-".join([self.program.lower(), self.runtime, self.mode, *marks, self.key])


@dataclass(frozen=True)
class LabDump:
    """A dump that lies on disk. `facts`: what the program said of itself before it was dumped."""

    path: Path
    recipe: Recipe
    facts: dict[str, Any]


def zoo(runtime: str, mode: Literal["full", "withheap", "normal"] = "full", server_gc: bool = False) -> Recipe:
    """Zoo: every kind of object, static, root, handle and load context."""
    return Recipe("Zoo", runtime, (), mode, server_gc)


def redis_leak(runtime: str, calls: int = 20_000, mode: Literal["full", "withheap", "normal"] = "full") -> Recipe:
    """RedisLeak: `calls` subscriptions on each of six events of one StackExchange.Redis multiplexer."""
    return Recipe("RedisLeak", runtime, (str(calls), REDIS), mode)


def leaks(runtime: str, scenario: str, count: int) -> Recipe:
    """One scenario of Leaks, `count` times."""
    return Recipe("Leaks", runtime, (scenario, str(count)))


def make_dump(recipe: Recipe) -> LabDump:
    """The dump of `recipe`, from the cache or made now. Raises LabError with the reason when it cannot be made."""
    directory = cache_directory() / "dumps"
    directory.mkdir(exist_ok=True)
    path = directory / f"{recipe.name}.core"
    facts = path.with_suffix(".facts.json")
    if not facts.exists():
        runtime_root(recipe.runtime)
        with locked(recipe.name):
            if not facts.exists():
                with tempfile.TemporaryDirectory(dir=directory) as temporary:
                    made = Path(temporary) / path.name
                    told = record_dump(recipe, made, Path(temporary) / "app", runtime_root(recipe.runtime))
                    made.rename(path)
                facts.write_text(json.dumps(told))  # written last: its presence says that the dump is whole
    return LabDump(path, recipe, json.loads(facts.read_text()))


def record_dump(recipe: Recipe, core: Path, app: Path, root: Path) -> dict[str, Any]:
    """Copy the program to the folder `app`, run it on the runtime in `root`, dump it to `core`; returns the program's facts.

    A core holds the environment of its process, so the program gets a bare one.
    """
    with _server_for(recipe) as address:
        command = [*start_command(recipe, install(recipe, app), root), *(address if a == REDIS else a for a in recipe.arguments)]
        environment = {"LANG": "C.UTF-8", "DOTNET_ROOT": str(root), **start_environment(recipe)}
        errors = core.with_suffix(".stderr")
        with open(errors, "wb") as stderr:
            if is_arm64(recipe.runtime):
                facts = _record_emulated(recipe, core, command, environment, stderr)
            else:
                with killed_at_end(command, environment, stderr) as process:
                    facts = wait_until_ready(process, recipe, errors)
                    createdump(recipe, root, recipe.mode, core, process.pid)
    errors.unlink()
    return facts


def _record_emulated(recipe: Recipe, core: Path, command: list[str], environment: dict[str, str], stderr: BinaryIO) -> dict[str, Any]:
    if recipe.mode != "full":
        raise LabError(f"{recipe.name}: a process under an emulator can be dumped in full only")
    port, environment = free_port(), {**environment, **WITHOUT_ACTIVATION}
    with (
        killed_at_end(emulated(command, port), environment, stderr) as process,
        GdbRemote(port) as gdb,
        passing_signals(gdb, process.pid) as stop,
    ):
        facts = wait_until_ready(process, recipe, Path(stderr.name))
        write_emulated_core(gdb, stop, process.pid, core)
    return facts


def start_command(recipe: Recipe, assembly: Path, root: Path) -> list[str]:
    """What starts the installed `assembly` on the runtime in `root`; the program's arguments follow it."""
    if recipe.self_contained:
        return [str(make_self_contained(recipe.runtime, assembly))]
    return [str(install_starter(recipe.runtime, assembly))] if is_musl(recipe.runtime) else [str(root / "dotnet"), str(assembly)]


def start_environment(recipe: Recipe) -> dict[str, str]:
    """The environment that the program is started in, all of it: a core holds it."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/",
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        **{f"{prefix}_{name}": value for name, value in recipe.settings for prefix in SETTING_PREFIXES},
        **({"DOTNET_ROOT": str(runtime_root(recipe.runtime)), **musl_environment()} if is_musl(recipe.runtime) else {}),
    }


def files_of(assembly: Path) -> list[Path]:
    """The program's files; libraries that lie beside its Debug build only come from there."""
    directories = (assembly.parent.with_name("bin"), assembly.parent)
    files = {file.name: file for directory in directories for file in directory.iterdir() if file.suffix in (".dll", ".pdb")}
    return [files[name] for name in sorted(files)]


def install(recipe: Recipe, app: Path) -> Path:
    """Copy the compiled program with a runtimeconfig.json for exactly this runtime; returns the program's dll."""
    app.mkdir(parents=True, exist_ok=True)
    for file in files_of(recipe.assembly):
        shutil.copy(file, app)
    installed = app / recipe.assembly.name
    installed.with_suffix(".runtimeconfig.json").write_text(runtime_configuration(recipe))
    return installed


def runtime_configuration(recipe: Recipe) -> str:
    """The text of the program's runtimeconfig.json, which names exactly this runtime."""
    properties: dict[str, bool | int] = {"System.Globalization.Invariant": True, "System.GC.Server": recipe.server_gc}
    # Without this a second heap count would follow the number of processors and dumps would differ from machine to machine.
    if recipe.server_gc:
        properties["System.GC.HeapCount"] = 2
    options = {
        "framework": {"name": FRAMEWORK, "version": product_version(recipe.runtime)},
        "rollForward": "Disable",
        "configProperties": properties,
    }
    return json.dumps({"runtimeOptions": options})


def _server_for(recipe: Recipe) -> AbstractContextManager[str]:
    return redis_server() if REDIS in recipe.arguments else nullcontext("")


@contextmanager
def killed_at_end(command: list[str], environment: dict[str, str], stderr: BinaryIO) -> Iterator[subprocess.Popen[str]]:
    """A running program; it is killed when the block ends."""
    with subprocess.Popen(
        command, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        # A program that never gets ready would leave the reader below waiting for a line for ever.
        timer = threading.Timer(SECONDS_TO_READY, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def wait_until_ready(process: subprocess.Popen[str], recipe: Recipe, errors: Path) -> dict[str, Any]:
    """The facts that the program told before it was ready. Raises LabError where it ended before."""
    facts: dict[str, Any] = {}
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("FACTS "):
            facts = json.loads(line.removeprefix("FACTS "))
        if line.startswith("READY"):
            return facts
    raise LabError(f"{recipe.name} ended before it was ready to be dumped: {errors.read_text(errors='replace')[-1500:]}")


def createdump(recipe: Recipe, root: Path, mode: str, core: Path, process_id: int) -> None:
    """Have the runtime's own createdump write a core. Raises LabError."""
    program = root / "shared" / FRAMEWORK / product_version(recipe.runtime) / "createdump"
    environment = {**os.environ, **(musl_environment() if is_musl(recipe.runtime) else {})}
    command = [str(program), f"--{mode}", "-f", str(core), str(process_id)]
    said = ""
    for _ in range(CREATEDUMP_TRIES):
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS_TO_DUMP, env=environment)
        except subprocess.TimeoutExpired:
            said = f"was not done after {SECONDS_TO_DUMP} s"
            continue
        said = f"exited {done.returncode}: {(done.stdout + done.stderr)[-1000:]}"
        if THREAD_GONE not in said:
            break
    if not said.startswith("exited 0:") or not core.exists():
        raise LabError(f"createdump --{mode} of process {process_id} {said}")
    _dig_holes(core)


def _dig_holes(core: Path) -> None:
    """Make the zeros of a core holes in its file: 8 MB of reserved stack a thread are most of it. Its bytes stay the same.

    A file system without holes, or a machine without util-linux, keeps the zeros.
    """
    if shutil.which("fallocate"):
        subprocess.run(["fallocate", "--dig-holes", str(core)], check=False, capture_output=True, timeout=300)
