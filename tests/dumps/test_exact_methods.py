"""Methods of shared generic code by the instantiation of the very call, which the program knows: the oracle shows System.__Canon."""

import pytest

import heaphound
from tests.dumps.test_stacks_agree import RUNTIMES, stacks

PARKED = "Stacks.Blocked.ParkGeneric"
BOX = "System.Runtime.CompilerServices.AsyncTaskMethodBuilder<System.Threading.Tasks.VoidTaskResult>+AsyncStateMachineBox"


@pytest.mark.parametrize("version", RUNTIMES)
def test_stacks(version: str) -> None:
    rows = heaphound.open(str(stacks(version, ("blocked",)))).threads().result.threads
    methods = {thread.name: [frame.method for frame in thread.frames] for thread in rows}
    assert f"{PARKED}<System.String>(System.String)" in methods["reflection"]
    assert f"{PARKED}<System.Object>(System.Object)" in methods["generic-reference"]
    assert f"{PARKED}<Stacks.Pair>(Stacks.Pair)" in methods["generic"]
    everything = {frame.method for thread in rows for frame in thread.frames if frame.method is not None}
    assert any(method.startswith(f"{BOX}<Stacks.Blocked+<InAsync>d__") and ">.MoveNext(" in method for method in everything)


@pytest.mark.parametrize("version", RUNTIMES)
def test_what_nothing_tells_stays_shared(version: str) -> None:
    """Every frame whose exact method is known has the token of its code, and no frame of code that is not shared has one."""
    session = heaphound.open(str(stacks(version, ("busy", "1")))).session
    frames = [frame for thread in session.threads for frame in session.stacks.walk(thread) if hasattr(frame, "exact_method")]
    assert len(frames) > 100
    for frame in frames:
        code = frame.code.method
        if frame.exact_method is None:
            continue
        assert "System.__Canon" in code.full_name
        assert (frame.exact_method.token, frame.exact_method.module) == (code.token, code.module)
        assert "System.__Canon" not in frame.exact_method.full_name
