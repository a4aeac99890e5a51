"""The walk over written stacks: Frames of every kind, handlers, and stacks that make no sense."""

from struct import pack

import pytest

from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame, StackEnd
from tests.unit.runtime.stacks.toy_stack import CODE, NATIVE, STACK, STACK_BYTES, ToyStack

CONTEXT_RIP, CONTEXT_RSP, CONTEXT_RBP, CONTEXT_R12 = 0xF8, 0x98, 0xA0, 0xD8


def told(found: list[object]) -> list[str]:
    """One word for each thing that a walk yields."""
    words = []
    for item in found:
        if isinstance(item, ManagedFrame):
            assert item.code.method is not None
            words.append(item.code.method.name)
        elif isinstance(item, ExplicitFrame):
            words.append(item.frame_type)
        else:
            assert isinstance(item, StackEnd)
            words.append("end")
    return words


def test_managed_code_to_the_end_of_the_stack() -> None:
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Inner", 0), "rsp": STACK, "rbx": 3}
    outer = toy.managed(STACK, toy.code("Outer", 1), rbp=0x1234)
    toy.managed(outer, NATIVE)
    inner, other = toy.walk(None)
    assert (inner.active, inner.caller.sp, other.active, other.sp) == (True, STACK + 32, False, STACK + 32)
    assert (other.context.value("rbp"), dict(other.context.saved_at)) == (0x1234, {"rbp": STACK + 16})
    assert other.context.value("rbx") == 3


def test_from_native_code_by_an_inlined_call() -> None:
    toy = ToyStack("10.0")
    at = toy.frame(
        STACK + 0x100, "InlinedCallFrame", CallerReturnAddress=toy.code("Call", 0), CallSiteSP=STACK + 0x300, CalleeSavedFP=5, Datum=0x8802
    )
    toy.managed(STACK + 0x300, NATIVE)
    native, managed = toy.walk(at)
    assert (native.ip, native.sp, native.method.name) == (NATIVE, at, "Native")
    assert (managed.sp, managed.context.value("rbp"), managed.active) == (STACK + 0x300, 5, False)


def test_a_call_through_an_address_has_no_method() -> None:
    toy = ToyStack("10.0")
    at = toy.frame(STACK + 0x100, "InlinedCallFrame", Datum=NATIVE + 1)
    (frame,) = toy.walk(at)
    assert (frame.method, frame.resume) == (None, None)


def test_a_frame_inside_of_a_managed_frame_comes_before_it() -> None:
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Between", 0)}
    at = toy.frame(STACK, "DebuggerU2MCatchHandlerFrame", STACK + 0x100)  # the two words of locals are just enough
    toy.frame(STACK + 0x100, "DebuggerU2MCatchHandlerFrame")
    toy.managed(STACK, NATIVE)
    assert told(toy.walk(at)) == ["DebuggerU2MCatchHandlerFrame", "Between", "DebuggerU2MCatchHandlerFrame"]


def test_a_stub_saves_all_registers() -> None:
    toy = ToyStack()
    block = STACK + 0x200
    at = toy.frame(STACK + 0x100, "PrestubMethodFrame")
    toy.image.words(at + 16, block, 0x8800)
    toy.image.words(block + 48, 12, 13, 14, 15, 3, 5, toy.code("Caller", 0))
    toy.managed(block + 104, NATIVE)
    stub, managed = toy.walk(at)
    assert (stub.method.name, stub.transition_block) == ("Native", block)
    assert (managed.sp, managed.context.value("r12"), managed.context.saved_at["rbp"]) == (block + 104, 12, block + 88)


@pytest.mark.parametrize(("name", "active", "torn"), [("FaultingExceptionFrame", True, True), ("RedirectedThreadFrame", True, False)])
def test_a_saved_context_is_live(name: str, active: bool, torn: bool) -> None:
    toy = ToyStack()
    at = STACK + 0x100
    context = at + 32 if name == "FaultingExceptionFrame" else STACK + 0x400
    toy.frame(at, name)
    if name != "FaultingExceptionFrame":
        toy.image.words(at + 16, context)
    for offset, value in ((CONTEXT_RIP, toy.code("Torn", 0)), (CONTEXT_RSP, STACK + 0x900), (CONTEXT_RBP, 5), (CONTEXT_R12, 12)):
        toy.image.words(context + offset, value)
    toy.managed(STACK + 0x900, NATIVE)
    _, managed = toy.walk(at)
    assert (managed.active, managed.interrupted, managed.context.value("r12")) == (active, torn, 12)
    assert managed.context.saved_at["r12"] == context + CONTEXT_R12


@pytest.mark.parametrize("place", ["this return", "another", "not managed"])
def test_a_return_that_is_still_to_be_diverted(place: str) -> None:
    """The Thread has what was overwritten, and where: in a field of its own, then in the next."""
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Inner", 0)}
    caller_sp = toy.managed(STACK, NATIVE)
    toy.managed(caller_sp, NATIVE)
    outer = toy.code("Outer", 1)
    toy.thread = STACK + 0x4000
    toy.image.words(toy.thread + 0x98, NATIVE + 1 if place == "not managed" else outer, caller_sp - (16 if place == "another" else 8))
    found = toy.walk(None)
    assert told(found) == (["Inner", "Outer"] if place == "this return" else ["Inner"])
    assert [frame.caller.ip for frame in found] == ([outer, NATIVE] if place == "this return" else [NATIVE])


def test_a_diverted_return_of_a_method_that_jumped_to_what_a_frame_stands_for() -> None:
    """A tail call, to a stub that is being prepared: its TransitionBlock has the address of the runtime for the caller's."""
    toy = ToyStack()
    block = STACK + 0x200
    at = toy.frame(STACK + 0x100, "PrestubMethodFrame")
    toy.image.words(at + toy.layout.offset("FramedMethodFrame", "TransitionBlockPtr"), block)
    caller_sp = block + toy.layout.size("TransitionBlock")
    toy.image.words(block + toy.layout.offset("TransitionBlock", "ReturnAddress"), NATIVE)
    outer = toy.code("Outer", 1)
    toy.managed(caller_sp, NATIVE)
    assert told(toy.walk(at)) == ["PrestubMethodFrame"]
    toy.thread = STACK + 0x4000
    toy.image.words(toy.thread + 0x98, outer, caller_sp - 8)
    assert told(toy.walk(at)) == ["PrestubMethodFrame", "Outer"]


def test_a_diverted_return_goes_on_where_it_should_have() -> None:
    toy = ToyStack()
    arguments = STACK + 0x300
    at = toy.frame(STACK + 0x100, "HijackFrame", ReturnAddress=toy.code("Caller", 0), HijackArgsPtr=arguments)
    toy.image.words(arguments + 16, 12, 13, 14, 15, 3, 5)
    toy.managed(arguments + 72, NATIVE)
    _, managed = toy.walk(at)
    assert (managed.sp, managed.context.value("rbx"), managed.active) == (arguments + 72, 3, False)


def test_a_helper_that_was_unwound_already() -> None:
    toy = ToyStack()
    at = toy.frame(STACK + 0x100, "HelperMethodFrame")
    state = at + 48
    toy.image.words(state, toy.code("Caller", 0), STACK + 0x400)
    toy.image.words(STACK + 0x600, 0xBB)
    toy.image.words(state + 64 + 32, STACK + 0x600)  # rbx lies on the stack, rbp only in the copy
    toy.image.words(state + 112, STACK + 0x3F8)
    toy.image.words(state + 120 + 40, 0xB5)
    toy.managed(STACK + 0x400, NATIVE)
    _, managed = toy.walk(at)
    assert (managed.context.value("rbx"), managed.context.value("rbp"), managed.context.saved_at["rbx"]) == (0xBB, 0xB5, STACK + 0x600)


def test_marks_are_passed() -> None:
    toy = ToyStack()
    outer = toy.frame(STACK + 0x200, "DebuggerU2MCatchHandlerFrame")
    assert told(toy.walk(toy.frame(STACK + 0x100, "DebuggerU2MCatchHandlerFrame", outer))) == ["DebuggerU2MCatchHandlerFrame"] * 2


def test_a_frame_that_lies_below_one_made_later() -> None:
    """As reflection makes them; the same chain led back to a Frame that was there already, or into managed code's stack, makes no sense."""
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Invoked", 0)}
    caller_sp = toy.managed(STACK, NATIVE)
    lower, later, outer = caller_sp + 0x100, caller_sp + 0x300, caller_sp + 0x600
    toy.frame(later, "DebuggerU2MCatchHandlerFrame", lower)
    toy.frame(lower, "DebuggerU2MCatchHandlerFrame", outer)
    toy.frame(outer, "DebuggerU2MCatchHandlerFrame")
    assert [frame.sp for frame in toy.walk(later)] == [STACK, later, lower, outer]
    for back in (lower, later, STACK):
        toy.frame(outer, "DebuggerU2MCatchHandlerFrame", back)
        assert "does not move up" in toy.walk(later)[-1].reason


def test_a_running_handler_and_its_method() -> None:
    toy = ToyStack()
    rbp = STACK + 0x300
    toy.registers |= {"rip": toy.code("Main", 0, funclet=128), "rbp": rbp}
    toy.code("Main", 0)
    throwing = toy.managed(STACK, toy.code("Dispatch", 3, owner="System.Runtime.EH"), rbp=1)
    throwing = toy.managed(throwing, toy.code("Throw", 1), rbp=2)
    again = toy.managed(throwing, toy.code("Main", 0), rbp=7)
    method = toy.managed(again, toy.code("Main", 0), rbp=rbp)
    toy.managed(method, NATIVE)
    found = toy.walk(None)
    assert told(found) == ["Main", "Dispatch", "Throw", "Main", "Main"]
    assert [frame.dead for frame in found] == [False, False, True, True, False]
    assert [frame.parent_of_funclet for frame in found] == [False, False, False, False, True]


def test_a_filter_runs_while_what_is_behind_it_lives() -> None:
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Main", 1, funclet=128)}
    start = toy.code("Main", 1) - 16
    header, clauses = STACK + 0x1000, STACK + 0x2000
    toy.image.words(start - 8, header)
    toy.image.words(header + toy.layout.offset("RealCodeHeader", "EHInfo"), clauses)
    toy.image.words(clauses - 8, 1)
    toy.image.write(clauses + 8, pack("<6IQ", 1, 0, 4, 144, 160, 0, 128))
    toy.managed(STACK, toy.code("Throw", 2))
    toy.managed(STACK + 32, NATIVE)
    found = toy.walk(None)
    assert (found[0].filter_funclet, found[0].code.is_funclet, found[1].dead) == (True, True, False)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (STACK + 0x100, "does not move up"),
        (STACK + 0x400, "a class that is not known"),
        (STACK + STACK_BYTES, "not in the dump"),
        (0x10, "not in the dump"),
        (STACK + 0x500, "its registers cannot be had"),
    ],
)
def test_a_chain_that_makes_no_sense_ends_the_stack(frame: int, reason: str) -> None:
    toy = ToyStack()
    toy.frame(STACK + 0x200, "DebuggerU2MCatchHandlerFrame", STACK + 0x100)
    toy.frame(STACK + 0x100, "DebuggerU2MCatchHandlerFrame", STACK + 0x200)
    toy.frame(STACK + 0x500, "FuncEvalFrame")
    end = toy.walk(frame)[-1]
    assert isinstance(end, StackEnd)
    assert reason in end.reason


def test_a_stack_that_leaves_the_dump() -> None:
    toy = ToyStack()
    at = STACK + STACK_BYTES - 32
    toy.registers |= {"rip": toy.code("Inner", 0), "rsp": at}
    toy.managed(at, toy.code("Outer", 1))
    inner, outer, end = toy.walk(None)
    assert (inner.caller is None, outer.caller) == (False, None)
    assert (end.sp, "not in the dump" in end.reason) == (STACK + STACK_BYTES, True)


def test_a_resume_that_goes_back_ends_the_stack() -> None:
    toy = ToyStack("10.0")
    code = toy.code("Again", 0)
    toy.registers |= {"rip": code, "rsp": STACK + 0x800}
    toy.managed(STACK + 0x800, NATIVE)
    at = toy.frame(STACK + 0x900, "InlinedCallFrame", CallerReturnAddress=code, CallSiteSP=STACK + 0x100)
    end = toy.walk(at)[-1]
    assert isinstance(end, StackEnd)
    assert "does not move up" in end.reason


def test_threads_without_registers() -> None:
    (end,) = ToyStack().walk(None, os_id=8)
    assert isinstance(end, StackEnd)
    assert "no registers of thread 8" in end.reason


def test_a_handler_without_its_method_ends_the_stack() -> None:
    """Else every frame behind it would count as dead, and what these hold as garbage."""
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Main", 0, funclet=128), "rbp": 0x1234}
    toy.code("Main", 0)
    toy.managed(toy.managed(STACK, toy.code("Main", 0), rbp=7), NATIVE)
    inner, outer, end = toy.walk(None)
    assert (inner.dead, outer.dead) == (False, True)
    assert isinstance(end, StackEnd)
    assert (end.sp, "on no frame of its method" in end.reason) == (STACK, True)


def test_what_lies_behind_a_handler_is_not_known_where_its_method_was_not_reached() -> None:
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Main", 0, funclet=128), "rbp": 0x1234}
    toy.code("Main", 0)
    toy.managed(STACK, toy.code("Throw", 1), rbp=7)
    toy.managed(STACK + 32, toy.code("Throw", 1))
    toy.image.words(STACK + 32 + 24, 0)
    end = toy.walk(STACK + 40)[-1]
    assert isinstance(end, StackEnd)
    assert end.sp == STACK


@pytest.mark.parametrize("frame", [None, STACK + 0x400])
def test_a_return_into_managed_code_without_a_method(frame: int | None) -> None:
    """What lies there is a broken nibble map or a stub, which nobody returns to; the next Frame would pass the frames between."""
    toy = ToyStack()
    toy.managed_range = (CODE + 0x8000, CODE + 0x9000)
    toy.registers |= {"rip": toy.code("Inner", 0)}
    toy.managed(STACK, CODE + 0x8010)
    toy.frame(STACK + 0x400, "DebuggerU2MCatchHandlerFrame")
    end = toy.walk(frame)[-1]
    assert isinstance(end, StackEnd)
    assert (end.sp, "in no method" in end.reason) == (STACK + 32, True)


def test_a_return_to_where_there_is_nothing() -> None:
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Inner", 0)}
    toy.managed(STACK, 0x1234)
    end = toy.walk(None)[-1]
    assert isinstance(end, StackEnd)
    assert (end.sp, "neither code in the dump nor an image" in end.reason) == (STACK + 32, True)


def test_a_call_of_native_code_from_no_managed_code() -> None:
    toy = ToyStack("10.0")
    at = toy.frame(STACK + 0x100, "InlinedCallFrame", CallerReturnAddress=NATIVE + 4, CallSiteSP=STACK + 0x200)
    end = toy.walk(at)[-1]
    assert isinstance(end, StackEnd)
    assert "is no managed code" in end.reason


def test_registers_that_are_there_twice_tell_nothing() -> None:
    toy = ToyStack()
    toy.registers |= {"rip": toy.code("Inner", 0)}
    toy.copies = 2
    (end,) = toy.walk(None)
    assert isinstance(end, StackEnd)
    assert "registers of thread 7 more than once" in end.reason
