"""Processes that died by themselves, in cores that the kernel wrote: heap, exception and the stack of the guilty thread."""

import pytest

import heaphound
from tests.lab.dumps import Recipe
from tests.lab.kinds import make_crash

pytestmark = pytest.mark.kernel_core


@pytest.mark.parametrize(
    ("runtime", "scenario", "exception", "method"),
    [
        ("9.0.11", "segfault", None, "Extremes.Program.Fill(System.IntPtr, System.Int32, System.IntPtr)"),
        ("6.0.6", "unhandled", "System.ApplicationException", "Extremes.Program.Throw()"),
        ("9.0.11", "unhandled", "System.ApplicationException", "Extremes.Program.Throw()"),
        ("10.0.11", "failfast", "System.ExecutionEngineException", "Extremes.Program.Main(System.String[])"),
        ("8.0.4", "overflow", "System.StackOverflowException", "Extremes.Program.Recurse(System.Int32)"),
    ],
)
def test_a_crash(runtime: str, scenario: str, exception: str | None, method: str) -> None:
    dump = heaphound.open(str(make_crash(Recipe("Extremes", runtime, (scenario,)))))
    answer = dump.verify()
    assert answer.coverage.walked_bytes == answer.coverage.heap_bytes
    assert answer.result.problems == ()
    (main,) = [thread for thread in dump.threads().result.threads if thread.managed_id == 1]
    assert (None if main.exception is None else main.exception.type) == exception
    signal = dump.threads().result.signal
    assert signal is not None
    assert (signal.name, signal.managed_id, signal.os_id) == ("SIGSEGV" if scenario == "segfault" else "SIGABRT", 1, main.os_id)
    assert signal.address == (0x1000 if scenario == "segfault" else None)
    assert method in [frame.method for frame in main.frames]
    assert "Extremes.Order[]" in {row.name for row in dump.types().result.types}
