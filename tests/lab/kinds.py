"""Dumps of one process that several programs wrote, one after the other, so that their answers can be held against each other.

The process sleeps while it is dumped. A kernel's core is a real one: the process is killed by a signal of which cores are made. The folder
of the program stays in the cache, because kernel and gcore leave out what files hold.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import zstandard

from tests.lab.cache import cache_directory, locked
from tests.lab.dumps import REDIS, SETTING_PREFIXES, Recipe, createdump, install, start_command, start_environment, wait_until_ready
from tests.lab.oracle import SHARED
from tests.lab.redis import redis_server
from tests.lab.runtimes import LabError, runtime_root

KINDS_RECIPE = 1  # raise it when the way these dumps are made changes
SECONDS_TO_SETTLE = 1.5  # until the runtime's own threads sleep too
SECONDS_TO_DIE = 60
ALLOW_CORE = 'ulimit -c "$(ulimit -H -c)"; echo 0x33 > /proc/self/coredump_filter; exec "$@"'
Kind = Literal["full", "withheap", "normal", "triage", "gcore", "kernel"]


@dataclass(frozen=True)
class KindsOfDump:
    """Cores of one process by who wrote them, and the folder of its program."""

    cores: dict[str, Path]
    app: Path


def gcore_program() -> str | None:
    """gdb's gcore, or None where it is not installed."""
    return shutil.which("gcore")


def kernel_writes_cores_here() -> bool:
    """Whether a crash leaves a core in the working directory: a pattern that begins with | or names a folder sends it elsewhere."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    return bool(pattern) and not pattern.startswith("|") and "/" not in pattern and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0


def make_kinds(recipe: Recipe, kinds: tuple[Kind, ...], coredump_filter: int = 0x33) -> KindsOfDump:
    """Run the program of `recipe` once and dump it in each of the ways named, from the cache when that was done before.

    `coredump_filter` is the kernel's mask of mappings (man 5 core); "kernel" comes last, as it ends the process. Raises LabError.
    """
    home = cache_directory() / "kinds" / f"{recipe.name}-{KINDS_RECIPE}-{coredump_filter:#x}-{'-'.join(kinds)}"
    cores = {kind: home / f"{kind}.core" for kind in kinds}
    done = home / "done.json"
    if not done.exists():
        runtime_root(recipe.runtime)
        with locked(home.name):
            if not done.exists():
                shutil.rmtree(home, ignore_errors=True)
                (home / "work").mkdir(parents=True)
                write_kinds(recipe, cores, home, coredump_filter)
                done.write_text(json.dumps(sorted(cores)))
    return KindsOfDump(cores, home / "app")


def write_kinds(recipe: Recipe, cores: dict[str, Path], home: Path, coredump_filter: int) -> None:
    """Run the program in `home`, which has a folder `work`, and dump it to `cores`, in their order. Raises LabError."""
    root = runtime_root(recipe.runtime)
    program = install(recipe, home / "app")
    with redis_server() if REDIS in recipe.arguments else nullcontext("") as address:
        command = [*start_command(recipe, program, root), *(address if a == REDIS else a for a in recipe.arguments)]
        environment = {"LANG": "C.UTF-8", **start_environment(recipe)}
        errors = home / "stderr"
        with (
            open(errors, "wb") as stderr,
            subprocess.Popen(command, cwd=home / "work", env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
        ):
            try:
                _allow_core(process.pid, coredump_filter)
                wait_until_ready(process, recipe, errors)
                time.sleep(SECONDS_TO_SETTLE)
                for kind, core in cores.items():
                    _dump(kind, core, process, recipe)
            finally:
                process.kill()


def _dump(kind: str, core: Path, process: subprocess.Popen[str], recipe: Recipe) -> None:
    if kind == "gcore":
        gcore(process.pid, core)
    elif kind == "kernel":
        # Most signals that make cores are the runtime's own: SYS is not, and the threads stay where they are.
        os.kill(process.pid, signal.SIGSYS)
        take_kernel_core(process, core.parent / "work", core)
    else:
        createdump(recipe, runtime_root(recipe.runtime), kind, core, process.pid)


def _allow_core(process_id: int, coredump_filter: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.prlimit(process_id, resource.RLIMIT_CORE, (hard, hard))
    Path(f"/proc/{process_id}/coredump_filter").write_text(hex(coredump_filter))


def take_kernel_core(process: subprocess.Popen[str], working_directory: Path, core: Path) -> None:
    """Wait until the process has died and move the core that it left to `core`. Raises LabError when there is none."""
    status = process.wait(timeout=SECONDS_TO_DIE)
    found = sorted(working_directory.glob("core*"))
    if len(found) != 1:
        raise LabError(f"process {process.pid} ended with status {status} and left {len(found)} cores")
    found[0].rename(core)


def gcore(process_id: int, core: Path) -> None:
    """gcore writes out reserved address space as zeros, hundreds of megabytes: they become holes, and the file is a sparse one."""
    program = gcore_program()
    if program is None:
        raise LabError("gcore is not installed; a test that needs it should not have been selected")
    written = core.with_name(f"{core.name}.{process_id}")
    done = subprocess.run([program, "-o", str(core), str(process_id)], check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0 or not written.exists():
        raise LabError(f"gcore of process {process_id} exited {done.returncode}: {done.stderr[-1000:]}")
    subprocess.run(["cp", "--sparse=always", str(written), str(core)], check=True, timeout=300)
    written.unlink()


def make_crash(recipe: Recipe) -> Path:
    """The kernel's core of a program that crashes by itself once it is ready. Raises LabError."""
    home = cache_directory() / "kinds" / f"crash-{recipe.name}-{KINDS_RECIPE}"
    core = home / "kernel.core"
    if not core.exists():
        root = runtime_root(recipe.runtime)
        with locked(home.name):
            if not core.exists():
                shutil.rmtree(home, ignore_errors=True)
                (home / "work").mkdir(parents=True)
                program = [*start_command(recipe, install(recipe, home / "app"), root), *recipe.arguments]
                environment = start_environment(recipe)
                quiet = subprocess.DEVNULL
                command = ["/bin/sh", "-c", ALLOW_CORE, "sh", *program]
                with subprocess.Popen(command, cwd=home / "work", env=environment, stdout=quiet, stderr=quiet, text=True) as process:
                    take_kernel_core(process, home / "work", core)
    return core


def make_small_crash(recipe: Recipe, with_heap: bool = False) -> Path:
    """What the runtime itself has createdump write of a program that crashes once it is ready: a normal dump, its default, or one
    `with_heap`. Raises LabError."""
    home = cache_directory() / "kinds" / f"{'heap' if with_heap else 'small'}-crash-{recipe.name}-{KINDS_RECIPE}"
    core = home / "normal.core"
    if not core.exists():
        root = runtime_root(recipe.runtime)
        with locked(home.name):
            if not core.exists():
                shutil.rmtree(home, ignore_errors=True)
                home.mkdir(parents=True)
                written = home / "written"
                told = {"DbgEnableMiniDump": "1", "DbgMiniDumpType": "2" if with_heap else "1", "DbgMiniDumpName": str(written)}
                environment = {
                    **start_environment(recipe),
                    **{f"{prefix}_{name}": value for name, value in told.items() for prefix in SETTING_PREFIXES},
                }
                command = [*start_command(recipe, install(recipe, home / "app"), root), *recipe.arguments]
                done = subprocess.run(command, check=False, cwd=home, env=environment, capture_output=True, timeout=SECONDS_TO_DIE)
                if not written.exists():
                    raise LabError(f"{recipe.name} ended with {done.returncode} and no dump: {done.stderr[-1000:]!r}")
                written.rename(core)
    return core


def compiled_program(form: Literal["single-file", "aot"]) -> Path | None:
    """The compressed executable of Leaks in one file, or compiled natively; None when it is not on this machine."""
    path = SHARED / "apps" / "Leaks" / form / "Leaks.zst"
    return path if path.is_file() else None


def make_compiled(form: Literal["single-file", "aot"], scenario: str, count: int) -> Path:
    """A gcore of the program in that form; the executable stays beside it. Raises LabError."""
    compressed = compiled_program(form)
    if compressed is None:
        raise LabError(f"the {form} program is not on this machine; a test that needs it should not have been selected")
    home = cache_directory() / "kinds" / f"{form}-{scenario}-{count}-{KINDS_RECIPE}"
    core = home / "gcore.core"
    if not core.exists():
        with locked(home.name):
            if not core.exists():
                (home / "work").mkdir(parents=True, exist_ok=True)
                write_compiled(compressed, scenario, count, {"gcore": core}, home)
    return core


def write_compiled(compressed: Path, scenario: str, count: int, cores: dict[str, Path], home: Path, coredump_filter: int = 0x33) -> None:
    """Unpack the executable into `home`, which has a folder `work`, run it and dump it to `cores`, in their order. Raises LabError."""
    executable, recipe = home / "Leaks", Recipe("Leaks", "10.0.11", (scenario, str(count)))
    with open(compressed, "rb") as source, open(executable, "wb") as plain:
        zstandard.ZstdDecompressor().copy_stream(source, plain)
    executable.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    command, errors = [str(executable), *recipe.arguments], home / "stderr"
    with (
        open(errors, "wb") as stderr,
        subprocess.Popen(command, cwd=home / "work", env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            _allow_core(process.pid, coredump_filter)
            wait_until_ready(process, recipe, errors)
            time.sleep(SECONDS_TO_SETTLE)
            for kind, core in cores.items():
                _dump(kind, core, process, recipe)
        finally:
            process.kill()
