"""Call frame information by hand: an .eh_frame_hdr, one common and one function entry, and random instructions."""

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.call_frames import PT_GNU_EH_FRAME, NativeCaller, unwind_native
from heaphound.dump.elf_image import PT_LOAD, ElfHeaders, ProgramHeader
from heaphound.dump.elf_modules import ElfModule
from heaphound.errors import Malformed, Unreadable
from tests.unit.runtime.written_memory import WrittenImage, written_memory

BASE, TABLE, FRAMES, CODE, STACK = 0x7F0000000000, 0x2000, 0x3000, 0x4000, 0x7FFC00000000
RETURN = 0x7F0012345678
DEF_CFA, DEF_CFA_REGISTER, DEF_CFA_OFFSET, DEF_CFA_EXPRESSION = 0x0C, 0x0D, 0x0E, 0x0F
REMEMBER, RESTORE_STATE = b"\x0a", b"\x0b"
RBP, RSP, RBX = 6, 7, 3


def advance(size: int) -> bytes:
    return bytes([0x40 | size])


def offset(register: int, factored: int) -> bytes:
    return bytes([0x80 | register, factored])


COMMON = bytes([DEF_CFA, RSP, 8]) + offset(16, 1)  # CFA = rsp + 8, the return address at CFA - 8
PUSH_RBP = advance(1) + bytes([DEF_CFA_OFFSET, 16]) + offset(RBP, 2)
SET_RBP = advance(3) + bytes([DEF_CFA_REGISTER, RBP])


def record(body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return pack("<I", len(body)) + body


def image_of(
    instructions: bytes, common: bytes = COMMON, augmentation: bytes = b"zR\0", size: int = 0x100
) -> tuple[WrittenImage, ElfModule]:
    image, memory = written_memory()
    encoding = b"\x01\x1b" if augmentation.startswith(b"zR") else b""
    cie = record(pack("<IB", 0, 1) + augmentation + b"\x01\x78\x10" + encoding + common)
    fde_at = FRAMES + len(cie)
    fde = record(pack("<Iii", len(cie) + 4, CODE - (fde_at + 8), size) + b"\x00" + instructions)
    image.write(BASE + FRAMES, cie + fde)
    image.write(BASE + TABLE, bytes([1, 0x1B, 3, 0x3B]) + pack("<iIii", 0, 1, CODE - TABLE, fde_at - TABLE))
    segments = (ProgramHeader(PT_LOAD, 5, 0, 0, 0x10000, 0x10000, 4096), ProgramHeader(PT_GNU_EH_FRAME, 4, TABLE, TABLE, 20, 20, 4))
    headers = ElfHeaders(3, 62, segments)
    return image, ElfModule("/lib/libnative.so", BASE, BASE + 0x10000, None, headers, (), memory)


def unwound(image: WrittenImage, module: ElfModule, at: int, *stack: int, rbp: int = STACK) -> NativeCaller:
    image.words(STACK, *stack, *[0] * (32 - len(stack)))
    return unwind_native(module.memory, module, {"rip": BASE + CODE + at, "rsp": STACK, "rbp": rbp, "rbx": 0xB3})


def test_the_stack_pointer_leads() -> None:
    image, module = image_of(PUSH_RBP)
    found = unwound(image, module, 2, 0xB5, RETURN)
    assert found == NativeCaller(RETURN, STACK + 16, {"rbp": 0xB5}, {"rbp": STACK})


def test_before_the_push_nothing_is_restored() -> None:
    image, module = image_of(PUSH_RBP)
    assert unwound(image, module, 1, RETURN) == NativeCaller(RETURN, STACK + 8, {}, {})


def test_the_frame_pointer_leads() -> None:
    image, module = image_of(PUSH_RBP + SET_RBP + offset(RBX, 3))
    found = unwound(image, module, 9, 0xBB, 0, 0xB3, 0xB5, RETURN, rbp=STACK + 24)
    assert (found.ip, found.cfa, found.values) == (RETURN, STACK + 40, {"rbp": 0xB5, "rbx": 0xB3})


def test_behind_an_early_return_the_saved_rules_hold() -> None:
    early = REMEMBER + advance(4) + bytes([DEF_CFA, RSP, 8]) + b"\xc6" + advance(1) + RESTORE_STATE
    image, module = image_of(PUSH_RBP + early)
    assert unwound(image, module, 6, RETURN) == NativeCaller(RETURN, STACK + 8, {}, {})
    assert unwound(image, module, 7, 0xB5, RETURN).cfa == STACK + 16


def test_the_expression_of_a_plt() -> None:
    expression = bytes.fromhex("770880003f1a3b2a33242 2".replace(" ", ""))  # rsp + 8 + ((rip & 15 >= 11) << 3)
    plt = bytes([DEF_CFA_EXPRESSION, len(expression)]) + expression
    image, module = image_of(plt)
    assert unwound(image, module, 5, RETURN).cfa == STACK + 8
    image, module = image_of(plt)
    assert unwound(image, module, 12, 0, RETURN).cfa == STACK + 16


@pytest.mark.parametrize(
    ("instructions", "reason"),
    [
        (RESTORE_STATE, "never saved"),
        (b"\x3f", "not known"),
        (b"\0\0\x0c", "cut short"),  # three bytes: no padding follows
        (bytes([DEF_CFA_EXPRESSION, 1, 0xFF]), "compilers do not write"),
        (bytes([DEF_CFA, 40, 8]), "number 40 is not known"),
        (bytes([DEF_CFA, RBX + 9, 8]), "r12 is not known"),
    ],
)
def test_what_makes_no_sense_is_refused(instructions: bytes, reason: str) -> None:
    image, module = image_of(instructions)
    with pytest.raises(Malformed, match=reason):
        unwound(image, module, 5, RETURN, 0, 0)


def test_code_outside_of_every_function() -> None:
    image, module = image_of(b"", size=16)
    with pytest.raises(Malformed, match="no call frame information covers"):
        unwound(image, module, 64, RETURN)
    with pytest.raises(Malformed, match="before the first function"):
        unwound(image, module, -64, RETURN)


def test_a_function_that_hides_its_return_address() -> None:
    image, module = image_of(b"", common=bytes([DEF_CFA, RSP, 8]))
    with pytest.raises(Malformed, match="does not say where its return address is"):
        unwound(image, module, 5, RETURN)


@settings(max_examples=300)
@given(st.binary(max_size=60), st.binary(max_size=20), st.integers(1, 200))
def test_any_instructions_end_in_a_caller_or_an_error(instructions: bytes, common: bytes, at: int) -> None:
    image, module = image_of(instructions, common)
    with suppress(Malformed, Unreadable):
        unwound(image, module, at, *range(16))
