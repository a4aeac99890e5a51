"""One frame of managed code undone, and its unwind data measured, whatever the architecture."""

from dataclasses import replace

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.stacks import unwind_arm64, unwind_data_arm64, unwind_x64
from heaphound.runtime.stacks.frame import FrameCode
from heaphound.runtime.stacks.registers import RegisterContext

_PERSONALITY_BYTES = 4  # its RVA is always there in ready-to-run images


def unwind_frame(memory: Memory, context: RegisterContext, code: FrameCode, active: bool) -> RegisterContext:
    """The caller's registers. Raises Unreadable where the dump lacks stack or unwind information, Malformed where they make no sense."""
    if context.machine == "arm64":
        caller = unwind_arm64.unwind(memory, context, code.image_base, code.fragment_start, code.unwind_info)
        if caller.sp == context.sp and not active:
            raise Malformed(f"unwinding {context.ip:#x} leaves the stack pointer at {context.sp:#x}, as only the innermost frame may")
        return caller
    return unwind_x64.unwind(memory, context, code.image_base, code.fragment_start, code.unwind_info, active)


def gc_info_address(memory: Memory, machine: str, image_base: int, unwind_info: int) -> int:
    """Where the GcInfo of a method of a ready-to-run image lies: behind its unwind data. Raises Unreadable, Malformed."""
    if machine == "arm64":
        return unwind_info + unwind_data_arm64.piece_size(memory, image_base, unwind_info)
    return unwind_info + unwind_x64.read_unwind_info(memory, unwind_info).size_bytes + _PERSONALITY_BYTES


def continues(memory: Memory, machine: str, image_base: int, unwind_info: int) -> bool:
    """Whether a piece of code is a further one of the function whose pieces lie before it. Raises Unreadable, Malformed."""
    return machine == "arm64" and unwind_data_arm64.read_unwind_data(memory, image_base, unwind_info).is_fragment


def parent_caller_sp(memory: Memory, context: RegisterContext, main: FrameCode) -> int:
    """Stack pointer of the caller of the frame that a funclet works on, whose frame pointer the funclet has. `main` is the main body.

    Raises Unreadable, Malformed: a method with funclets always has a frame pointer by which its frame can be found.
    """
    if context.machine != "x64":
        raise Malformed(f"the frame of a funclet's method cannot be found on {context.machine}")
    info = unwind_x64.read_unwind_info(memory, main.unwind_info)
    if info.frame_register is None:
        raise Malformed("the funclet's method has no frame pointer")
    behind_prolog = replace(context, values={**context.values, "rip": main.start + info.prolog_bytes})
    return unwind_x64.unwind(memory, behind_prolog, main.image_base, main.fragment_start, main.unwind_info, False).sp
