"""Native processes that load CoreCLR themselves: without starting it, and two versions at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import heaphound
from heaphound.errors import RuntimeNotFound
from tests.lab.dumps import PROGRAMS
from tests.lab.kinds import gcore
from tests.lab.runtimes import FRAMEWORK, framework_directory, runtime_root

pytestmark = pytest.mark.gcore

HOST = """
import ctypes, os, sys, time
for path in sys.argv[2:]:
    library = ctypes.CDLL(path + "/libcoreclr.so")
    if sys.argv[1] == "start":
        trusted = ":".join(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".dll"))
        keys = (ctypes.c_char_p * 2)(b"TRUSTED_PLATFORM_ASSEMBLIES", b"System.Globalization.Invariant")
        values = (ctypes.c_char_p * 2)(trusted.encode(), b"true")
        host, domain = ctypes.c_void_p(), ctypes.c_uint()
        assert library.coreclr_initialize(b"/host", b"host", 2, keys, values, ctypes.byref(host), ctypes.byref(domain)) == 0
print("READY", flush=True)
time.sleep(600)
"""


def hosted(directory: Path, how: str, *versions: str) -> heaphound.Dump:
    """The gcore of a process that loaded these runtimes."""
    paths = [str(framework_directory(version)) for version in versions]
    core = directory / "host.core"
    with subprocess.Popen([sys.executable, "-c", HOST, how, *paths], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n"
            gcore(process.pid, core)
        finally:
            process.kill()
    return heaphound.open(str(core))


def test_a_runtime_that_was_never_started(tmp_path: Path) -> None:
    with pytest.raises(RuntimeNotFound, match="never started"):
        hosted(tmp_path, "load", "9.0.11").analyze()


def stopped_while_starting(directory: Path, version: str, threads: int) -> heaphound.Dump:
    """The core of `dotnet` stopped by gdb where the starting runtime makes its thread number `threads` + 1; 0: before it starts."""
    core = directory / "starting.core"
    (directory / "Any.dll").write_bytes((PROGRAMS / "Zoo" / "bin" / "Zoo.dll").read_bytes())
    framework = {"name": FRAMEWORK, "version": version}
    (directory / "Any.runtimeconfig.json").write_text(json.dumps({"runtimeOptions": {"framework": framework, "rollForward": "Disable"}}))
    commands = ["set breakpoint pending on", "set confirm off", "handle SIGUSR1 SIG34 SIG35 nostop noprint pass"]
    commands += ["break coreclr_initialize", "run", *(["break pthread_create"] if threads else []), *["continue"] * threads]
    commands += [f"generate-core-file {core}", "kill"]
    options = [option for command in commands for option in ("-ex", command)]
    root = runtime_root(version)
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "DOTNET_ROOT": str(root), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    program = ["--args", str(root / "dotnet"), str(directory / "Any.dll")]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", *options, *program], check=False, capture_output=True, text=True, env=environment, timeout=200
    )
    assert core.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return heaphound.open(str(core))


@pytest.mark.parametrize(("threads", "said"), [(0, "was never started"), (4, "was still starting when it was dumped")])
def test_a_runtime_that_had_not_finished_starting(tmp_path: Path, threads: int, said: str) -> None:
    """No thread of the runtime is in its list yet, and no object exists."""
    with pytest.raises(RuntimeNotFound, match=said):
        stopped_while_starting(tmp_path, "9.0.11", threads).analyze()


def test_a_runtime_with_its_first_objects(tmp_path: Path) -> None:
    """The finalizer's thread is made before any managed code has run: seven objects, all held by handles or statics."""
    dump = stopped_while_starting(tmp_path, "9.0.11", 6)
    answer = dump.verify()
    assert answer.result.problems == ()
    assert 3 <= answer.result.objects < 50
    assert "System.OutOfMemoryException" in {row.name for row in dump.types().result.types}


def test_two_runtimes_in_one_process(tmp_path: Path) -> None:
    dump = hosted(tmp_path, "start", "8.0.4", "9.0.11")
    answer = dump.verify()
    assert answer.result.problems == ()
    assert answer.result.objects > 50
    assert any("another runtime" in note for note in answer.coverage.notes)
    assert any("another runtime" in note for note in dump.info().coverage.notes)
