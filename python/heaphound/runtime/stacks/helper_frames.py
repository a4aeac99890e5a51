"""HelperMethodFrame: the mark of a runtime helper that managed code called directly (6.0 to 9.0), and how to get back to that code.

The helper saves only its own position (LazyMachState, src/coreclr/vm/amd64/gmscpu.h). Whoever walks the stack first unwinds the native
frames up to managed code and stores the result; until then the fields are empty, and the image's call frame information serves.
"""

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.internal_calls import internal_call
from heaphound.runtime.methods import Method, Methods
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.frame_code import FrameCodes
from heaphound.runtime.stacks.registers import RegisterContext

_SAVED = ("R12", "R13", "R14", "R15", "Rbx", "Rbp")  # fields of CalleeSavedRegisters


class HelperFrames:
    """Reads HelperMethodFrames of one runtime."""

    def __init__(self, runtime: Runtime, codes: FrameCodes, methods: Methods, native: NativeUnwinder) -> None:
        self._memory = runtime.memory
        self._layout = runtime.layout
        self._codes = codes
        self._methods = methods
        self._native = native

    def method(self, address: int) -> tuple[int | None, Method | None]:
        """(MethodDesc, method) of the internal call that a Frame at an address belongs to; None for JIT helpers, which have none."""
        memory, layout = self._memory, self._layout
        # The Frame's own MethodDesc field is filled only with the rest, when the runtime walks the stack.
        entry = memory.pointer(address + layout.offset("HelperMethodFrame", "FCallEntry"))
        method_desc = internal_call(memory, layout, entry) if entry else None
        return (method_desc, self._methods.method(method_desc)) if method_desc else (None, None)

    def resume(self, address: int) -> RegisterContext:
        """Registers of the managed caller. Raises Unreadable, Malformed."""
        memory, layout = self._memory, self._layout
        state = address + layout.offset("HelperMethodFrame", "MachineState")
        if memory.pointer(state + layout.offset("MachineState", "ReturnAddressPtr")):
            return self._unwound(state)
        return self._unwind(state)

    def _unwound(self, state: int) -> RegisterContext:
        """The registers that the runtime found when it walked the stack: each by the slot it lies in, or its value alone."""
        memory, layout = self._memory, self._layout
        pointers, copies = state + layout.offset("MachineState", "SavedAt"), state + layout.offset("MachineState", "Unwound")
        values, saved_at = {}, {}
        for field in _SAVED:
            offset = layout.offset("CalleeSavedRegisters", field)
            slot = memory.pointer(pointers + offset)
            if slot:
                saved_at[field.lower()] = slot
            values[field.lower()] = memory.pointer(slot or copies + offset)
        values["rip"] = memory.pointer(state + layout.offset("MachineState", "Rip"))
        values["rsp"] = memory.pointer(state + layout.offset("MachineState", "Rsp"))
        return RegisterContext("x64", values, saved_at)

    def _unwind(self, state: int) -> RegisterContext:
        memory, layout = self._memory, self._layout
        capture = state + layout.offset("MachineState", "Capture")
        saved_at = {field.lower(): capture + layout.offset("CalleeSavedRegisters", field) for field in _SAVED}
        registers = {name: memory.pointer(slot) for name, slot in saved_at.items()}
        registers["rip"] = memory.pointer(state + layout.offset("MachineState", "CaptureRip"))
        # The captured stack pointer is inside the capturing function: its return address lies on top (LazyMachState::unwindLazyState).
        registers["rsp"] = memory.pointer(state + layout.offset("MachineState", "CaptureRsp")) + 8
        for _ in range(LIMITS.native_frames):
            caller = self._native.caller(registers, active=False)
            if caller is None:
                raise Malformed("the native frames below a runtime helper end where a thread begins, and not in managed code")
            registers |= caller.values
            saved_at |= {name: slot for name, slot in caller.saved_at.items() if name in saved_at}
            if self._codes.is_managed(registers["rip"]):
                return RegisterContext("x64", registers, saved_at)
        raise LimitExceeded(f"more than {LIMITS.native_frames} native frames between a runtime helper and managed code")
