"""The numbers in which encodings of GcInfo differ between architectures: src/coreclr/inc/gcinfotypes.h, the same from 3.0 to 10.0.

But for offsets of arm64: up to version 3 they are not divided by the length of an instruction (NORMALIZE_CODE_OFFSET), because a call site
is stored as one byte less; dotnet/runtime pull request 110845, of 10.0, ended both.
"""

from dataclasses import dataclass

from heaphound.errors import Malformed

# fmt: off
X64_REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
# fmt: on
ARM64_REGISTERS = (*(f"x{number}" for number in range(29)), "fp", "lr", "sp")


@dataclass(frozen=True, slots=True)
class GcInfoEncoding:
    """Of one architecture. Names that end in `_base` are numbers of payload bits in one chunk of a variable-length number."""

    registers: tuple[str, ...]
    """By the numbers that GcInfo uses."""
    scratch_registers: frozenset[str]
    """Those that a call does not preserve: a frame that is not the innermost has nothing in them."""
    stack_pointer: str
    frame_register: int
    """Encoded as 0."""
    instruction_shift: int
    """Lengths of code are stored divided by two to the power of this, and from version 4 on offsets too."""
    num_registers_base: int
    num_safe_points_base: int
    stack_base_register_base: int
    has_fixed_stack_frame: bool
    """Whether Edit and Continue information has a second number."""
    report_only_leaf: bool | None
    """Whether a parent of funclets is never reported beside them; None where a header flag says."""
    code_length_base: int = 8
    return_kind_bits_slim: int = 2
    return_kind_bits_fat: int = 4
    stack_slot_base: int = 6
    """Of offsets of GS cookie, PSPSym, generic context, reverse P/Invoke frame, and of slots."""
    stack_slot_delta_base: int = 4
    stack_area_base: int = 3
    edit_and_continue_base: int = 4
    prolog_size_base: int = 5
    epilog_size_base: int = 3
    num_interruptible_ranges_base: int = 1
    range_delta_base: int = 6
    register_base: int = 3
    register_delta_base: int = 2
    num_stack_slots_base: int = 2
    num_untracked_base: int = 1
    pointer_size_base: int = 3
    run_base: int = 2
    skip_base: int = 4
    chunk_offset_bits: int = 6
    """Liveness of fully interruptible code is stored in chunks of two to the power of this offsets."""


_X64_KEPT = {"rbx", "rbp", "r12", "r13", "r14", "r15", "rsp"}  # System V
_ARM64_SCRATCH = frozenset({*(f"x{number}" for number in range(19)), "lr"})

ENCODINGS = {
    "x64": GcInfoEncoding(
        registers=X64_REGISTERS,
        scratch_registers=frozenset(set(X64_REGISTERS) - _X64_KEPT),
        stack_pointer="rsp",
        frame_register=5,
        instruction_shift=0,
        num_registers_base=2,
        num_safe_points_base=2,
        stack_base_register_base=3,
        has_fixed_stack_frame=False,
        report_only_leaf=None,
    ),
    "arm64": GcInfoEncoding(
        registers=ARM64_REGISTERS,
        scratch_registers=_ARM64_SCRATCH,
        stack_pointer="sp",
        frame_register=29,
        instruction_shift=2,
        num_registers_base=3,
        num_safe_points_base=3,
        stack_base_register_base=2,
        has_fixed_stack_frame=True,
        report_only_leaf=True,
    ),
}


def encoding_of(machine: str) -> GcInfoEncoding:
    """The encoding of one architecture; Malformed for one that has none here."""
    try:
        return ENCODINGS[machine]
    except KeyError:
        raise Malformed(f"GcInfo of {machine} cannot be decoded") from None
