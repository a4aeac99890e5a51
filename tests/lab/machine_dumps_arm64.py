"""Programs that run in the arm64 machine (`tests.lab.machine_arm64`), and their dumps."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.dumps import PROGRAMS, REDIS, Recipe, files_of, install, runtime_configuration, start_environment
from tests.lab.machine_arm64 import Machine, machine
from tests.lab.runtimes import FRAMEWORK, LabError, product_version, runtime_root

SECONDS_TO_READY = 400
SECONDS_TO_DUMP = 300
SECONDS_TO_SETTLE = 3.0  # until the runtime's own threads sleep too
_REDIS = "127.0.0.1:6379"


def files_of_programs(runtimes: tuple[str, ...]) -> dict[Path, str]:
    """What a machine needs to run the programs: the runtimes, where they lie here too, as the oracle looks there, and the builds."""
    builds = {build: f"/programs/{build.relative_to(PROGRAMS)}" for build in PROGRAMS.glob("*/bin*")}
    return {**{runtime_root(runtime): str(runtime_root(runtime)) for runtime in runtimes}, **builds}


@dataclass(frozen=True)
class Process:
    """A process in the machine; what it told of itself."""

    machine: Machine
    recipe: Recipe
    process_id: int
    facts: dict[str, Any]
    app: str

    def dump(self, path: Path, mode: str = "full") -> None:
        """createdump's core; it begins again where a thread ended while it stopped them. Raises LabError."""
        createdump = runtime_root(self.recipe.runtime) / "shared" / FRAMEWORK / product_version(self.recipe.runtime) / "createdump"
        once = f"{createdump} --{mode} -f /tmp/core {self.process_id}"
        command = f"for try in 1 2 3; do {once} && exit 0; [ -e /proc/{self.process_id}/maps ] || break; done; exit 1"
        told = f"cat /tmp/dumped; tail -c 800 {self.app}.errors; exit 1"
        self.machine.run(f"({command}) > /tmp/dumped 2>&1 || {{ {told}; }}", SECONDS_TO_DUMP)
        self.machine.take("/tmp/core", path)
        self.machine.run("rm -f /tmp/core")

    def processor_ticks(self) -> int:
        """How long it has worked; raises LabError where it has ended."""
        user, system = self.machine.run(f"sed 's/.*) //' /proc/{self.process_id}/stat").split()[11:13]
        return int(user) + int(system)

    def crash(self, path: Path, coredump_filter: int = 0x33) -> None:
        """The kernel's core; the process has ended afterwards. SYS is a signal that the runtime has no use for. Raises LabError."""
        self.machine.run(
            f"echo /tmp/core > /proc/sys/kernel/core_pattern; echo 0 > /proc/sys/kernel/core_uses_pid; "
            f"echo {coredump_filter:#x} > /proc/{self.process_id}/coredump_filter; kill -SYS {self.process_id}; "
            f"while [ -e /proc/{self.process_id}/maps ]; do sleep 0.2; done",
            SECONDS_TO_DUMP,
        )
        self.machine.take("/tmp/core", path)
        self.machine.run("rm -f /tmp/core")


@dataclass(frozen=True)
class Starting:
    """A program that was started in a folder of the machine, and need not be ready yet."""

    machine: Machine
    recipe: Recipe
    app: str
    process_id: int

    def ready(self) -> Process:
        """The process, once it says that it is ready. Raises LabError."""
        return Process(self.machine, self.recipe, self.process_id, self._wait(), self.app)

    def end(self) -> None:
        """Kill it."""
        is_there = f"[ -e /proc/{self.process_id}/maps ]"
        self.machine.run(f"kill -9 {self.process_id}; while {is_there}; do sleep 0.2; done; rm -rf /tmp/core; true")

    def _wait(self) -> dict[str, Any]:
        is_there = f"[ -e /proc/{self.process_id}/maps ]"
        wait = f"while ! grep -q ^READY {self.app}.said && {is_there}; do sleep 0.3; done"
        script = f"{wait}; cat {self.app}.said; tail -c 800 {self.app}.errors"
        said = self.machine.run(script, SECONDS_TO_READY)
        if not any(line.startswith("READY") for line in said.splitlines()):
            raise LabError(f"a program in the arm64 machine ended before it was ready: {said[-800:]}")
        facts = [line for line in said.splitlines() if line.startswith("FACTS ")]
        found: dict[str, Any] = json.loads(facts[0].removeprefix("FACTS ")) if facts else {}
        return found


def start(machine: Machine, recipe: Recipe, app: str = "/tmp/app") -> Starting:
    """Start a program in the folder `app`. Raises LabError."""
    files = " ".join(f"/programs/{file.relative_to(PROGRAMS)}" for file in files_of(recipe.assembly))
    configuration = recipe.assembly.with_suffix(".runtimeconfig.json").name
    machine.run(f"rm -rf {app}; mkdir -p {app}; cp {files} {app}; echo '{runtime_configuration(recipe)}' > {app}/{configuration}")
    arguments = " ".join(_REDIS if argument == REDIS else argument for argument in recipe.arguments)
    if REDIS in recipe.arguments:
        machine.run("pidof redis-server || redis-server --port 6379 --save '' --appendonly no --daemonize yes --dir / && sleep 2")
    root = runtime_root(recipe.runtime)
    environment = {"LANG": "C.UTF-8", "DOTNET_ROOT": str(root), **start_environment(recipe)}
    told = " ".join(f"{name}={value}" for name, value in environment.items())
    command = f"env -i {told} {root}/dotnet {app}/{recipe.assembly.name} {arguments}"
    process_id = machine.run(f"cd /; rm -f {app}.said; ulimit -c unlimited; {command} > {app}.said 2> {app}.errors & echo $!")
    return Starting(machine, recipe, app, int(process_id))


@contextmanager
def started(machine: Machine, recipe: Recipe, app: str = "/tmp/app") -> Iterator[Process]:
    """Run a program in the folder `app` until it says that it is ready; it is killed at the end. Raises LabError."""
    starting = start(machine, recipe, app)
    try:
        yield starting.ready()
    finally:
        starting.end()


def write_kinds_in_machine(recipe: Recipe, cores: dict[str, Path], home: Path, coredump_filter: int) -> None:
    """Run the program in a machine and dump it to `cores`, in their order, each named as in `tests.lab.kinds`; "kernel" comes last.

    Its files lie in the same folder here, for dumps that leave out what files hold. Raises LabError.
    """
    app = install(recipe, home / "app").parent
    with machine(files_of_programs((recipe.runtime,)), home) as running, started(running, recipe, str(app)) as process:
        time.sleep(SECONDS_TO_SETTLE)
        for kind, core in cores.items():
            if kind == "kernel":
                process.crash(core, coredump_filter)
            else:
                process.dump(core, kind)
