"""Reads the runtime's explicit Frames: their class, the method that they stand for, and the registers of the managed code behind them.

Sources: src/coreclr/vm/frames.h, amd64/cgenamd64.cpp and arm64/stubs.cpp (UpdateRegDisplay of each class) of v6.0 to v10.0;
docs/design/datacontracts/StackWalk.md.
"""

from dataclasses import replace

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.methods import Method
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.diverted_return import DivertedReturn
from heaphound.runtime.stacks.frame import ExplicitFrame
from heaphound.runtime.stacks.frame_types import (
    CONTEXT_INSIDE,
    CONTEXT_POINTER,
    FRAMED_METHOD,
    HELPER_METHOD,
    WITHOUT_REGISTERS,
    frame_types,
)
from heaphound.runtime.stacks.helper_frames import HelperFrames
from heaphound.runtime.stacks.platform_context import read_context, with_context_pointers
from heaphound.runtime.stacks.registers import FRAME_POINTER, RETURN_REGISTERS, RegisterContext
from heaphound.runtime.stacks.saved_registers import saved_slots

_DATUM_IS_TARGET, _DATUM_MARKS = 1, 6  # InlinedCallFrame.m_Datum: an address of native code; a call of the exception handling itself


def returns_to_caller(layout: Layout) -> bool:
    """Whether the registers of a hijacked return belong to the caller's frame, and not to the HijackFrame."""
    return layout.has_contract("HijackedReturn") and layout.contract("HijackedReturn") == "caller"


class ExplicitFrames:
    """Reads Frames of one runtime."""

    def __init__(self, runtime: Runtime, locator: CodeLocator, helpers: HelperFrames) -> None:
        self._runtime = runtime
        self._memory = runtime.memory
        self._layout = runtime.layout
        self._machine = runtime.core.machine
        self._locator = locator
        self._helpers = helpers
        self._types = frame_types(runtime.layout)

    def next(self, address: int) -> int:
        """Address of the next Frame outwards; all bits set at the end. Raises Unreadable."""
        return self._memory.pointer(address + self._layout.offset("Frame", "Next"))

    def read(self, address: int, ip: int, diverted: DivertedReturn | None = None) -> ExplicitFrame:
        """The Frame at an address, met at `ip`, on a thread one of whose returns may be `diverted`.

        Raises Unreadable or Malformed where there is none that is known; what of its contents cannot be read is in its `problem`.
        """
        identity = self._memory.pointer(address)
        name = self._types.get(identity)
        if name is None:
            raise Malformed(f"the Frame at {address:#x} is of a class that is not known: {identity:#x}")
        problems: list[str] = []
        resume: RegisterContext | None = None
        threw = False
        try:
            resume = self._resume(name, address, diverted)
            threw = name in CONTEXT_INSIDE or (name in HELPER_METHOD and self._helpers.threw(address))
        except (Unreadable, Malformed, LayoutError) as error:
            problems.append(f"its registers cannot be had: {error}")
        method_desc: int | None = None
        method: Method | None = None
        try:
            method_desc, method = self._method(name, address)
        except (Unreadable, Malformed, LayoutError) as error:
            problems.append(f"its method cannot be read: {error}")
        block = None
        if name in FRAMED_METHOD:
            block = self._memory.pointer(address + self._layout.offset("FramedMethodFrame", "TransitionBlockPtr"))
        return ExplicitFrame(address, name, ip, resume, method, method_desc, block, "; ".join(problems) or None, threw=threw)

    def is_active_call(self, address: int) -> bool:
        """Whether an InlinedCallFrame is in its native call: it lies in its method's frame before and after it too."""
        return self._memory.pointer(address + self._layout.offset("InlinedCallFrame", "CallerReturnAddress")) != 0

    def _resume(self, name: str, address: int, diverted: DivertedReturn | None) -> RegisterContext | None:
        memory, layout = self._memory, self._layout
        if name in WITHOUT_REGISTERS:
            return None
        if name == "InlinedCallFrame":
            return self._inlined_call(address)
        if name in FRAMED_METHOD:
            caller = self._transition(memory.pointer(address + layout.offset("FramedMethodFrame", "TransitionBlockPtr")))
            return caller if diverted is None else diverted.undone(caller) or caller
        if name in HELPER_METHOD:
            return self._helpers.resume(address, diverted)
        if name in CONTEXT_INSIDE:
            context = read_context(memory, address + layout.offset(name, "TargetContext"), self._machine)
            if name != "SoftwareExceptionFrame":
                return context
            # m_ContextPointers follow m_ReturnAddress (frames.h of v10.0)
            return with_context_pointers(memory, context, address + layout.offset(name, "ReturnAddress") + 8)
        if name in CONTEXT_POINTER:
            pointer = memory.pointer(address + layout.offset("ResumableFrame", "TargetContextPtr"))
            return read_context(memory, pointer, self._machine)
        if name == "HijackFrame":
            return self._hijack(address)
        evaluation = memory.pointer(address + layout.offset("FuncEvalFrame", "DebuggerEvalPtr"))
        return read_context(memory, evaluation + layout.offset("DebuggerEval", "TargetContext"), self._machine)

    def _inlined_call(self, address: int) -> RegisterContext | None:
        memory, layout = self._memory, self._layout
        ip = memory.pointer(address + layout.offset("InlinedCallFrame", "CallerReturnAddress"))
        if ip == 0:
            return None
        saved_fp = address + layout.offset("InlinedCallFrame", "CalleeSavedFP")
        sp = memory.pointer(address + layout.offset("InlinedCallFrame", "CallSiteSP"))
        name = FRAME_POINTER[self._machine]
        return RegisterContext.at(self._machine, ip, sp, {name: memory.pointer(saved_fp)}, {name: saved_fp})

    def _transition(self, block: int) -> RegisterContext:
        """Registers of the caller of a stub that pushed a TransitionBlock: its return address and all callee-saved registers."""
        layout = self._layout
        return self._saved(
            block + layout.offset("TransitionBlock", "CalleeSavedRegisters"),
            block + layout.offset("TransitionBlock", "ReturnAddress"),
            block + layout.size("TransitionBlock"),
        )

    def _hijack(self, address: int) -> RegisterContext:
        """Registers after the return that was diverted into the runtime: the Frame has the return address that was overwritten.

        Since 10.0 the caller's GcInfo tells what the returned registers hold, so that they are part of its frame.
        """
        memory, layout = self._memory, self._layout
        arguments = memory.pointer(address + layout.offset("HijackFrame", "HijackArgsPtr"))
        caller = self._saved(
            arguments + layout.offset("HijackArgs", "CalleeSavedRegisters"),
            address + layout.offset("HijackFrame", "ReturnAddress"),
            arguments + layout.size("HijackArgs"),
        )
        if not returns_to_caller(layout):
            return caller
        first = arguments + layout.offset("HijackArgs", "ReturnValue")
        where = {name: first + 8 * index for index, name in enumerate(RETURN_REGISTERS[self._machine])}
        values = {name: memory.pointer(slot) for name, slot in where.items()}
        return replace(caller, values={**caller.values, **values}, saved_at={**caller.saved_at, **where})

    def _saved(self, registers: int, return_address: int, sp: int) -> RegisterContext:
        where = saved_slots(self._layout, self._machine, registers)
        values = {name: self._memory.pointer(slot) for name, slot in where.items()}
        return RegisterContext.at(self._machine, self._memory.pointer(return_address), sp, values, where)

    def _method(self, name: str, address: int) -> tuple[int | None, Method | None]:
        memory, layout = self._memory, self._layout
        method_desc = 0
        if name == "InlinedCallFrame":
            datum = memory.pointer(address + layout.offset("InlinedCallFrame", "Datum"))
            method_desc = 0 if datum & _DATUM_IS_TARGET else datum & ~_DATUM_MARKS
        elif name in FRAMED_METHOD:
            method_desc = memory.pointer(address + layout.offset("FramedMethodFrame", "MethodDescPtr"))
            if not method_desc and name == "StubDispatchFrame":
                return self._dispatched(address)
        elif name in HELPER_METHOD:
            return self._helpers.method(address)
        return (method_desc, self._locator.methods.method(method_desc)) if method_desc else (None, None)

    def _dispatched(self, address: int) -> tuple[int | None, Method | None]:
        """The method that is called through a StubDispatchFrame: a slot of the class or interface that the call site names."""
        memory, layout, methods = self._memory, self._layout, self._locator.methods
        table = memory.pointer(address + layout.offset("StubDispatchFrame", "RepresentativeMTPtr"))
        if not table:
            return None, None
        slot = memory.u32(address + layout.offset("StubDispatchFrame", "RepresentativeSlot"))
        method_desc = methods.in_slot(table, slot & 0xFFFF)
        method = methods.method(method_desc)
        owner = methods.types.type(table)
        shared = method.method_table is not None and methods.types.type(method.method_table).canonical is owner.canonical
        return method_desc, methods.of_type(method, owner) if shared else method
