"""One frame of managed code undone, whatever the architecture."""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.stacks import unwind_x64
from heaphound.runtime.stacks.frame import FrameCode
from heaphound.runtime.stacks.registers import RegisterContext


def unwind_frame(memory: Memory, context: RegisterContext, code: FrameCode, active: bool) -> RegisterContext:
    """The caller's registers. Raises Unreadable where the dump lacks stack or unwind information, Malformed where they make no sense."""
    if context.machine != "x64":
        raise Malformed(f"managed frames of {context.machine} cannot be unwound")
    return unwind_x64.unwind(memory, context, code.image_base, code.fragment_start, code.unwind_info, active)
