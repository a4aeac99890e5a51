"""Native processes that load CoreCLR themselves: without starting it, and two versions at once."""

import subprocess
import sys
from pathlib import Path

import pytest

import heaphound
from heaphound.errors import RuntimeNotFound
from tests.lab.kinds import _gcore
from tests.lab.runtimes import framework_directory

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
            _gcore(process.pid, core)
        finally:
            process.kill()
    return heaphound.open(str(core))


def test_a_runtime_that_was_never_started(tmp_path: Path) -> None:
    with pytest.raises(RuntimeNotFound, match="never started"):
        hosted(tmp_path, "load", "9.0.11").analyze()


def test_two_runtimes_in_one_process(tmp_path: Path) -> None:
    dump = hosted(tmp_path, "start", "8.0.4", "9.0.11")
    answer = dump.verify()
    assert answer.result.problems == ()
    assert answer.result.objects > 50
    assert any("another runtime" in note for note in answer.coverage.notes)
    assert any("another runtime" in note for note in dump.info().coverage.notes)
