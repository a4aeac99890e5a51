"""Arguments of calls of methods that the runtime itself suspends, against what the program passed: a continuation comes before them.

It is null here, as at each first call; whoever overlooks it takes every argument for the one before.
"""

from collections.abc import Callable

from heaphound import open as open_dump
from heaphound.runtime.stacks.frame import ExplicitFrame
from tests.lab.dumps import LabDump, Recipe

PASSED = {
    "static": ["Int32[] 1", "String 2"],
    "generic": ["String 3", "Int32[] 4"],
    "many": ["Int32[] 5", "String 6", "Int32[] 7", "Int32[] 8", "Int32[] 9", "String 10"],
    "instance": ["Instance None", "Int32[] 11", "String 12"],
}


def test_arguments_behind_a_continuation(dump_factory: Callable[[Recipe], LabDump]) -> None:
    session = open_dump(dump_factory(Recipe("AsyncCalls", "10.0.11", settings=(("RuntimeAsync", "1"),))).path).session
    names = {thread.os_id: thread.name for thread in session.threads}
    found: dict[str, list[tuple[int, str]]] = {}
    for root in session.stack_roots.exact:
        if isinstance(root.frame, ExplicitFrame) and root.frame.frame_type == "PrestubMethodFrame":
            read = session.objects.read(root.object)
            found.setdefault(names[root.os_id] or "", []).append(
                (root.reference.address or 0, f"{read.type.rpartition('.')[2]} {read.length}")
            )
    assert {name: [text for _, text in sorted(held)] for name, held in found.items()} == PASSED
    assert session.stack_roots.words == ()
