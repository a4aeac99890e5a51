"""Native frames of a dump that lacks the images of assemblies, and with them what tells how to undo ready-to-run code."""

import heaphound
from heaphound.dump.native_frames import NativeFrame
from heaphound.runtime.stacks.frame import StackEnd
from tests.lab.sample import sample_core


def test_managed_code_is_not_shown_as_native() -> None:
    """Images are mapped through a memory file of the runtime's own; the walk ends at their code, and says what it lacks."""
    session = heaphound.open(str(sample_core())).session
    ends = 0
    for thread in session.threads:
        items = list(session.mixed_stacks.walk(thread))
        native = [item for item in items if isinstance(item, NativeFrame)]
        assert native
        for frame in native:
            section = session.code.section_at(frame.ip)
            assert section is None or section.kind == "stubs", (thread.managed_id, hex(frame.ip))
        ends += isinstance(items[-1], StackEnd)
    assert ends
