"""Registers out of the runtime's CONTEXT and of its pointers to where they were saved."""

from struct import pack

from heaphound.runtime.stacks.platform_context import read_context, with_context_pointers
from tests.unit.runtime.written_memory import written_memory

CONTEXT, POINTERS, SLOT = 0x7F0000001000, 0x7F0000002000, 0x7F0000003000
RAX = 0x78


def test_registers_lie_where_the_pointers_say() -> None:
    """A collection moved the object in rbx: the slot has its new address, the CONTEXT the old one."""
    image, memory = written_memory()
    image.write(CONTEXT, bytes(RAX) + pack("<17Q", *range(100, 117)))
    pointers = [0] * 32
    pointers[16] = 0x48  # rax: not filled in by the runtime
    pointers[16 + 3] = SLOT
    image.write(POINTERS, pack("<32Q", *pointers))
    image.write(SLOT, pack("<Q", 0xBEEF))
    context = read_context(memory, CONTEXT, "x64")
    assert (context.values["rbx"], context.values["rip"]) == (103, 116)
    found = with_context_pointers(memory, context, POINTERS)
    assert (found.values["rbx"], found.saved_at["rbx"]) == (0xBEEF, SLOT)
    assert (found.values["rax"], found.saved_at["rax"]) == (100, CONTEXT + RAX)
    assert (found.values["r15"], found.saved_at["r15"]) == (115, CONTEXT + RAX + 8 * 15)
    assert (found.ip, found.sp) == (116, 104)


def test_registers_of_arm64() -> None:
    image, memory = written_memory()
    image.write(CONTEXT, bytes(8) + pack("<33Q", *range(100, 133)))
    image.write(POINTERS, pack("<20Q", SLOT, *[0] * 9, SLOT + 8, *[0] * 9))
    image.write(SLOT, pack("<2Q", 0xBEEF, 0xFACE))
    context = read_context(memory, CONTEXT, "arm64")
    assert (context.ip, context.sp, context.fp, context.value("lr"), context.value("x28")) == (132, 131, 129, 130, 128)
    assert (context.saved_at["x0"], context.saved_at["lr"]) == (CONTEXT + 8, CONTEXT + 8 + 8 * 30)
    found = with_context_pointers(memory, context, POINTERS)
    assert (found.values["x19"], found.saved_at["x19"], found.fp) == (0xBEEF, SLOT, 0xFACE)
    assert (found.values["x20"], found.saved_at["x20"]) == (120, CONTEXT + 8 + 8 * 20)
