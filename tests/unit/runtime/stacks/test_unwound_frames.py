"""Frames that an exception in flight has unwound, and methods whose handlers are gone: written stacks with written ExceptionTrackers."""

from typing import Any

import pytest

from heaphound.runtime.stacks.exceptions_in_flight import NO_EXCEPTIONS, read_exceptions
from tests.unit.runtime.stacks.toy_stack import NATIVE, STACK, ToyStack

SECOND_PASS = 4
FRAMES = 5


def chain(version: str = "8.0", machine: str = "x64") -> ToyStack:
    """Five frames of 32 bytes: Throw, One, Two, Three, Main."""
    toy = ToyStack(version, machine)
    names = ("Throw", "One", "Two", "Three", "Main")
    toy.registers["rip" if machine == "x64" else "pc"] = toy.code("Throw", 0)
    at = STACK
    for number, name in enumerate(names[1:], 1):
        at = toy.managed(at, toy.code(name, number))
    toy.managed(at, NATIVE)
    return toy


def unwound(toy: ToyStack, frame: int | None = None) -> list[bool]:
    found = toy.walk(frame)
    assert all(item.dead == item.unwound for item in found)
    return [item.unwound for item in found]


@pytest.mark.parametrize("version", ["3.1", "6.0", "8.0", "9.0", "10.0"])
def test_frames_further_in_than_the_one_that_it_is_in(version: str) -> None:
    toy = chain(version)
    toy.exception(ExceptionFlags=SECOND_PASS, StackLowBound=STACK, StackHighBound=STACK + 96)
    assert unwound(toy) == [True, True, True, False, False]


def test_by_the_stack_pointer_behind_each_frame_on_arm64_up_to_8() -> None:
    toy = chain("8.0", "arm64")
    toy.exception(ExceptionFlags=SECOND_PASS, StackLowBound=STACK + 32, StackHighBound=STACK + 128)
    assert unwound(toy) == [True, True, True, False, False]
    toy.exception(CurrentEstablisherFrame=STACK + 160)
    assert unwound(toy) == [True, True, True, True, False]
    toy.exception(CurrentEstablisherFrame=0, LastUnwoundEstablisherFrame=STACK + 128)
    assert unwound(toy) == [True, True, True, True, False]


def test_none_in_the_first_pass_nor_before_the_second_has_begun() -> None:
    toy = chain()
    toy.exception(ExceptionFlags=3, StackLowBound=STACK, StackHighBound=STACK + 96)
    assert unwound(toy) == [False] * FRAMES
    toy.exception(ExceptionFlags=SECOND_PASS, StackLowBound=(1 << 64) - 1, StackHighBound=0)
    assert unwound(toy) == [False] * FRAMES


def test_the_frame_that_it_has_just_left_before_the_range_says_so() -> None:
    toy = chain()
    toy.exception(ExceptionFlags=SECOND_PASS, StackLowBound=STACK, StackHighBound=STACK + 64)
    assert unwound(toy) == [True, True, False, False, False]
    toy.exception(CurrentEstablisherFrame=STACK + 96)
    assert unwound(toy) == [True, True, True, False, False]
    toy.exception(CurrentEstablisherFrame=0, LastUnwoundEstablisherFrame=STACK + 64)
    assert unwound(toy) == [True, True, True, False, False]


def test_by_an_exception_thrown_before_in_whose_handler_another_was_thrown() -> None:
    toy = chain()
    first = toy.exception(ExceptionFlags=SECOND_PASS, StackLowBound=STACK + 64, StackHighBound=STACK + 128)
    toy.exception(first)
    assert unwound(toy) == [False, False, True, True, False]


def test_frames_of_the_runtime_by_the_range_and_by_the_chain() -> None:
    toy = chain()
    toy.registers["rip"] = NATIVE
    inner, outer = STACK + 0x100, STACK + 0x200
    toy.frame(inner, "DebuggerU2MCatchHandlerFrame", outer)
    toy.frame(outer, "DebuggerU2MCatchHandlerFrame")
    toy.exception(ExceptionFlags=SECOND_PASS, StackLowBound=STACK + 0x40, StackHighBound=STACK + 0x100)
    assert unwound(toy, inner) == [True, False]
    toy.exception(StackHighBound=STACK + 0x80, InitialExplicitFrame=inner, LimitFrame=outer)
    assert unwound(toy, inner) == [True, False]
    toy.exception(LimitFrame=0)
    assert unwound(toy, inner) == [True, True]


def marks(found: list[Any]) -> list[tuple[bool, bool]]:
    return [(frame.dead, frame.parent_of_funclet) for frame in found]


def in_a_handler(version: str = "8.0") -> tuple[ToyStack, int]:
    """A handler of Main that threw again: Throw, the handler, Throw, Main; and where Main's caller goes on."""
    toy = ToyStack(version)
    rbp = STACK + 0x300
    toy.registers |= {"rip": toy.code("Throw", 1)}
    handler = toy.managed(STACK, toy.code("Main", 0, funclet=128), rbp=rbp)
    throwing = toy.managed(handler, toy.code("Throw", 1), rbp=2)
    method = toy.managed(throwing, toy.code("Main", 0), rbp=rbp)
    return toy, toy.managed(method, NATIVE)


def test_a_method_reports_for_its_unwound_handler_where_the_exception_is_caught_in_it() -> None:
    toy, caller_sp = in_a_handler()
    assert marks(toy.walk(None)) == [(False, False), (False, False), (True, False), (False, True)]
    fields = {"ExceptionFlags": SECOND_PASS, "StackLowBound": STACK, "StackHighBound": STACK + 96}
    toy.exception(**fields, CallerOfActualHandlerFrame=caller_sp)
    assert marks(toy.walk(None)) == [(True, False), (True, False), (True, False), (False, False)]
    toy.exception(**fields, CallerOfActualHandlerFrame=caller_sp + 64)
    assert marks(toy.walk(None)) == [(True, False), (True, False), (True, False), (False, True)]


def test_a_method_whose_handler_is_gone_does_not_report_unless_it_catches() -> None:
    toy = chain()
    at = STACK + 64 + 32  # behind Two
    first = toy.exception(ClauseType=2, EnclosingClauseCallerSP=at, ManagedCodeEntered=1)
    assert [frame.parent_of_funclet for frame in toy.walk(None)] == [False, False, True, False, False]
    toy.exception(ManagedCodeEntered=0)
    assert [frame.parent_of_funclet for frame in toy.walk(None)] == [False] * FRAMES
    toy.exception(ManagedCodeEntered=1, ClauseType=1)
    assert [frame.parent_of_funclet for frame in toy.walk(None)] == [False] * FRAMES  # filters run where frames behind them live
    toy.exception(ClauseType=2, CallerOfActualHandlerFrame=at)
    assert [frame.parent_of_funclet for frame in toy.walk(None)] == [False] * FRAMES
    toy.exception(CallerOfActualHandlerFrame=0, ManagedCodeEntered=0)
    toy.exception(first)  # another was thrown in the handler, so that it had begun
    assert [frame.parent_of_funclet for frame in toy.walk(None)] == [False, False, True, False, False]


def test_what_the_dump_lacks_or_what_leads_back_unwinds_nothing() -> None:
    toy = chain()
    assert read_exceptions(toy.memory, toy.layout, "x64", 0x10) is NO_EXCEPTIONS
    at = toy.exception(ExceptionFlags=SECOND_PASS, StackLowBound=STACK, StackHighBound=STACK + 32)
    assert unwound(toy) == [True, False, False, False, False]
    for wrong in ({"PreviousNestedInfo": at}, {"PreviousNestedInfo": 0x40}, {"Thread": 0x5000}, {"StackHighBound": STACK - 32}):
        toy.exception(**wrong)
        assert unwound(toy) == [False] * FRAMES, wrong
        toy.exception(PreviousNestedInfo=0, StackHighBound=STACK + 32)
        assert unwound(toy) == [True, False, False, False, False]
    new = chain("9.0")
    new.exception(ExceptionFlags=SECOND_PASS, StackLowBound=STACK - 0x9500, StackHighBound=STACK + 32)
    assert unwound(new) == [False] * FRAMES
