"""Stack overflows: every frame is there with what it holds, however deep the stack and on whichever stack the runtime handled it."""

import pytest

import heaphound
from tests.lab.command import heaphound_command
from tests.lab.dumps import Recipe
from tests.lab.kinds import make_crash

pytestmark = pytest.mark.kernel_core

HELD_BYTES = 24


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("runtime", "scenario", "methods"),
    [
        ("3.1.2", "three", {"First", "Second", "Third"}),  # the handler of the signal ends the process: no Frame leads to managed code
        ("6.0.6", "handler", {"Catching"}),
        ("9.0.11", "callback", {"Sorting", "<Sorting>b__0"}),
        ("10.0.11", "generic", {"Go"}),
    ],
)
def test_an_overflow(runtime: str, scenario: str, methods: set[str]) -> None:
    """Each frame holds one object of its own, so that the heap tells how many frames there are, and what the thread retains."""
    core = make_crash(Recipe("Overflows", runtime, (scenario,)))
    dump = heaphound.open(str(core))
    held = next(row for row in dump.types().result.types if row.name == "Overflows.Held")
    assert held.count > 20_000
    type_of = dump.session.core.memory.pointer
    roots = {root.object for root in dump.session.stack_roots.exact if type_of(root.object) == held.method_table}
    assert len(roots) >= held.count - 2  # the innermost method was stopped before it held its own
    deep = max(dump.threads(retained=True).result.threads, key=lambda thread: thread.frames_left_out)
    assert deep.frames_left_out + len(deep.frames) + len(deep.outermost_frames) >= held.count
    assert deep.retained_bytes is not None
    assert deep.retained_bytes >= (held.count - 2) * HELD_BYTES
    assert deep.stack_end is None
    shown = heaphound_command("stack", str(core), str(deep.managed_id), "--native")
    assert shown.returncode == 0, shown.stderr
    assert len(shown.stdout.splitlines()) < 120
    assert "more frames" in shown.stdout
    assert all(f".{method}(" in shown.stdout for method in methods)
    assert "leads to" not in shown.stdout, shown.stdout
