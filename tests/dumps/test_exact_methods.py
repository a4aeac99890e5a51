"""Methods of shared generic code by the instantiation of the very call, which the program knows: the oracle shows System.__Canon."""

import pytest

import heaphound
from heaphound.runtime.stacks.frame import ManagedFrame
from tests.dumps.test_calls_agree import calls
from tests.dumps.test_stacks_agree import RUNTIMES, stacks
from tests.lab.runtimes import VERSIONS

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


@pytest.mark.parametrize(
    "version", [*VERSIONS, *(pytest.param(f"{version}-arm64", marks=pytest.mark.arm64) for version in ("3.1.2", "8.0.31", "10.0.11"))]
)
def test_an_exception_in_flight(version: str) -> None:
    """The frames that it went through are still on its thread's stack, as the handler runs above them."""
    dump = heaphound.open(str(calls(version)))
    thread = next(row for row in dump.threads().result.threads if row.name == "exception")
    held = next(row for row in dump.exceptions().result.exceptions if thread.managed_id in row.threads)
    thrown = [frame.method for frame in held.frames]
    assert thrown == ["Calls.Box<System.String>.Thrower(System.String)", "Calls.Box<System.String>.Catching(System.String)"]
    walked = [(frame.kind, frame.method) for frame in thread.frames if frame.method is not None and frame.method.startswith("Calls.Box")]
    assert walked[1:] == [("managed", method) for method in thrown]
    # On 3.1 the debug information of `this` ends where the main body does, and this method has no generic context.
    assert walked[0] == ("funclet", thrown[1] if not version.startswith("3.1.2") else "Calls.Box<System.__Canon>.Catching(System.__Canon)")


@pytest.mark.parametrize("version", VERSIONS)
def test_code_that_keeps_its_generic_context(version: str) -> None:
    """Every frame of shared code whose GcInfo names the context's slot, in ready-to-run and JIT code, tells its instantiation."""
    session = heaphound.open(str(calls(version))).session
    seen: dict[str, str | None] = {}
    for thread in session.threads:
        for frame in session.stacks.walk(thread):
            if not isinstance(frame, ManagedFrame) or frame.code.method is None or "System.__Canon" not in frame.code.method.full_name:
                continue
            if session.stacks.gc_infos.at(frame.code.gc_info).header.generic_context_slot is not None:
                seen[frame.code.method.full_name] = None if frame.exact_method is None else frame.exact_method.full_name
    assert None not in seen.values()
    assert seen["Calls.Box<System.__Canon>.Thrower(System.__Canon)"] == "Calls.Box<System.String>.Thrower(System.String)"
    assert len(seen) > 2
