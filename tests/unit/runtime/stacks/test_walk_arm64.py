"""The walk over written stacks of arm64: leaves, and Frames of every kind that saves registers."""

import pytest

from heaphound.runtime.stacks.frame import ManagedFrame, StackEnd
from tests.unit.runtime.stacks.toy_stack import CODE, NATIVE, STACK, ToyStack

SAVED = (0xF9, 0x6666, *range(19, 29))  # fp, lr, x19 to x28 as CalleeSavedRegisters has them
CONTEXT_X19, CONTEXT_FP, CONTEXT_SP, CONTEXT_PC = 8 + 8 * 19, 0xF0, 0x100, 0x108
VERSIONS = ("3.1", "6.0", "8.0", "9.0", "10.0")


def toy_stack(version: str = "8.0") -> ToyStack:
    return ToyStack(version, "arm64")


def test_managed_code_to_the_end_of_the_stack() -> None:
    toy = toy_stack()
    toy.registers |= {"pc": toy.code("Inner", 0), "x19": 3, "x0": 1, "lr": 0x6666}
    outer = toy.managed(STACK, toy.code("Outer", 1), rbp=0x1234)
    toy.managed(outer, NATIVE)
    inner, other = toy.walk(None)
    assert (inner.active, inner.caller.sp, other.active, other.sp) == (True, STACK + 32, False, STACK + 32)
    assert (other.context.value("fp"), other.context.saved_at["fp"], other.context.value("x19")) == (0x1234, STACK, 3)


def test_an_innermost_frame_that_has_not_stored_its_return_address() -> None:
    """At the first instruction, sp is the caller's: both frames lie at one address."""
    toy = toy_stack()
    toy.code("Inner", 0)
    toy.registers |= {"pc": CODE, "lr": toy.code("Outer", 1), "fp": 5}
    toy.managed(STACK, NATIVE)
    inner, outer = toy.walk(None)
    assert (inner.sp, outer.sp, outer.context.value("fp"), outer.caller.ip) == (STACK, STACK, 5, NATIVE)


def test_only_the_innermost_frame_can_be_a_leaf() -> None:
    toy = toy_stack()
    toy.code("Leaf", 2)
    toy.registers |= {"pc": toy.code("Inner", 0)}
    toy.managed(STACK, CODE + 512)  # a return address where nothing is stored yet: lr is that of the frame before
    found = toy.walk(None)
    assert isinstance(found[-1], StackEnd)
    assert "not up" in found[-1].reason


def test_a_signed_return_address() -> None:
    toy = toy_stack()
    toy.registers |= {"pc": toy.code("Inner", 0)}
    toy.managed(STACK, toy.code("Outer", 1) | 0x2A << 48)
    toy.managed(STACK + 32, NATIVE)
    assert [frame.code.method.name for frame in toy.walk(None)] == ["Inner", "Outer"]


@pytest.mark.parametrize("version", VERSIONS)
def test_from_native_code_by_an_inlined_call(version: str) -> None:
    toy = toy_stack(version)
    at = toy.frame(
        STACK + 0x100, "InlinedCallFrame", CallerReturnAddress=toy.code("Call", 0), CallSiteSP=STACK + 0x300, CalleeSavedFP=5, Datum=1
    )
    toy.managed(STACK + 0x300, NATIVE)
    native, managed = toy.walk(at)
    assert (native.ip, managed.sp, managed.context.value("fp"), managed.active) == (NATIVE, STACK + 0x300, 5, False)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stub_saves_all_registers(version: str) -> None:
    toy = toy_stack(version)
    block = STACK + 0x200
    at = toy.frame(STACK + 0x100, "PrestubMethodFrame")
    toy.image.words(at + 16, block, 0x8800)
    toy.image.words(block, SAVED[0], toy.code("Caller", 0), *SAVED[2:])
    toy.managed(block + 176, NATIVE)
    stub, managed = toy.walk(at)
    assert (stub.method.name, stub.transition_block) == ("Native", block)
    assert (managed.sp, managed.context.value("x19"), managed.context.value("x28")) == (block + 176, 19, 28)
    assert (managed.context.value("fp"), managed.context.saved_at["fp"], managed.context.saved_at["x20"]) == (0xF9, block, block + 24)


@pytest.mark.parametrize(("version", "size"), [("3.1", 176), ("6.0", 176), ("8.0", 176), ("9.0", 176), ("10.0", 192)])
def test_a_diverted_return_goes_on_where_it_should_have(version: str, size: int) -> None:
    toy = toy_stack(version)
    arguments = STACK + 0x300
    at = toy.frame(STACK + 0x100, "HijackFrame", ReturnAddress=toy.code("Caller", 0), HijackArgsPtr=arguments)
    toy.image.words(arguments, *SAVED, 7, 8)
    toy.managed(arguments + size, NATIVE)
    _, managed = toy.walk(at)
    assert (managed.sp, managed.context.value("x21")) == (arguments + size, 21)
    returned = (managed.context.value("x0"), managed.context.saved_at["x1"]) if version == "10.0" else None
    assert (managed.active, returned) == ((True, (7, arguments + 104)) if version == "10.0" else (False, None))


@pytest.mark.parametrize(("name", "torn"), [("FaultingExceptionFrame", True), ("RedirectedThreadFrame", False)])
def test_a_saved_context_is_live(name: str, torn: bool) -> None:
    toy = toy_stack()
    at = STACK + 0x100
    context = at + 32 if torn else STACK + 0x800
    toy.frame(at, name)
    if not torn:
        toy.image.words(at + 16, context)
    for offset, value in ((CONTEXT_PC, toy.code("Torn", 0)), (CONTEXT_SP, STACK + 0xC00), (CONTEXT_FP, 5), (CONTEXT_X19, 19), (8, 7)):
        toy.image.words(context + offset, value)
    toy.managed(STACK + 0xC00, NATIVE)
    _, managed = toy.walk(at)
    assert (managed.active, managed.interrupted, managed.context.value("x19"), managed.context.value("x0")) == (True, torn, 19, 7)
    assert managed.context.saved_at["x19"] == context + CONTEXT_X19


def test_a_thrown_exception_has_pointers_to_where_registers_lie() -> None:
    toy = toy_stack("10.0")
    at = STACK + 0x100
    toy.image.words(at, toy.layout.constant("SoftwareExceptionFrameIdentifier"))
    toy.image.words(at + toy.layout.offset("Frame", "Next"), (1 << 64) - 1)
    pointers, context = at + 24, at + 192
    toy.image.words(pointers, STACK + 0x1000, *[0] * 9, STACK + 0x1008)
    toy.image.words(STACK + 0x1000, 0xBEEF, 0xFACE)
    for offset, value in ((CONTEXT_PC, toy.code("Thrower", 0)), (CONTEXT_SP, STACK + 0xC00), (CONTEXT_X19, 19), (CONTEXT_X19 + 8, 20)):
        toy.image.words(context + offset, value)
    toy.managed(STACK + 0xC00, NATIVE)
    _, managed = toy.walk(at)
    assert isinstance(managed, ManagedFrame)
    assert (managed.context.value("x19"), managed.context.value("x20"), managed.context.value("fp")) == (0xBEEF, 20, 0xFACE)


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_a_helper_that_was_unwound_already(version: str) -> None:
    toy = toy_stack(version)
    at = toy.frame(STACK + 0x100, "HelperMethodFrame")
    state = at + 48
    copies = [*range(100, 111)]
    toy.image.words(state, *copies, STACK + 0x600, *[0] * 9, STACK + 0x608, toy.code("Caller", 0), STACK + 0x400, 1 | 0xDEAD << 32)
    toy.image.words(STACK + 0x600, 0xBB, 0xF9)
    toy.managed(STACK + 0x400, NATIVE)
    _, managed = toy.walk(at)
    assert (managed.sp, managed.context.value("x19"), managed.context.value("x20"), managed.context.value("fp")) == (
        STACK + 0x400,
        0xBB,
        101,
        0xF9,
    )
    assert managed.context.saved_at["x19"] == STACK + 0x600
