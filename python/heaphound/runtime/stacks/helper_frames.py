"""HelperMethodFrame: the mark of a runtime helper that managed code called directly (6.0 to 9.0), and how to get back to that code.

The helper saves only its own position (LazyMachState, gmscpu.h of src/coreclr/vm/amd64 and vm/arm64). Whoever walks the stack first unwinds
the native frames up to managed code and stores the result; until then the fields are empty, and the image's call frame information serves.
"""

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.dump.registers import Machine
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.internal_calls import internal_call
from heaphound.runtime.methods import Method, Methods
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.diverted_return import DivertedReturn
from heaphound.runtime.stacks.frame_code import FrameCodes
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.saved_registers import captured_slots

_EXCEPTION = 1  # FRAME_ATTR_EXCEPTION
_IP_SP: dict[Machine, tuple[str, str]] = {"x64": ("Rip", "Rsp"), "arm64": ("Pc", "Sp")}  # fields of MachineState, and registers
# The captured stack pointer is that inside of the capturing function, whose return address lies on top (LazyMachState::unwindLazyState).
_RETURN_ADDRESS_BYTES: dict[Machine, int] = {"x64": 8, "arm64": 0}


class HelperFrames:
    """Reads HelperMethodFrames of one runtime."""

    def __init__(self, runtime: Runtime, codes: FrameCodes, methods: Methods, native: NativeUnwinder) -> None:
        self._memory = runtime.memory
        self._layout = runtime.layout
        self._machine = runtime.core.machine
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

    def threw(self, address: int) -> bool:
        """Whether it is the mark of a helper that throws (IL_Throw, IL_Rethrow and those that throw by themselves)."""
        layout = self._layout
        if not layout.has("HelperMethodFrame", "FrameAttribs"):
            return False
        return bool(self._memory.u32(address + layout.offset("HelperMethodFrame", "FrameAttribs")) & _EXCEPTION)

    def resume(self, address: int, diverted: DivertedReturn | None = None) -> RegisterContext:
        """Registers of the managed caller. Raises Unreadable, Malformed.

        A method whose return a collection has diverted may have gone on to an internal call by a jump, which then returns by that address.
        """
        state = address + self._layout.offset("HelperMethodFrame", "MachineState")
        return self._unwound(state) if self._is_unwound(state) else self._unwind(state, diverted)

    def _unwound(self, state: int) -> RegisterContext:
        """The registers that the runtime found when it walked the stack: each by the slot it lies in, or its value alone."""
        memory, layout = self._memory, self._layout
        pointers = captured_slots(layout, self._machine, state + layout.offset("MachineState", "SavedAt"))
        copies = captured_slots(layout, self._machine, state + layout.offset("MachineState", "Unwound"))
        slots = {name: memory.pointer(pointer) for name, pointer in pointers.items()}
        values = {name: memory.pointer(slot or copies[name]) for name, slot in slots.items()}
        ip, sp = (memory.pointer(state + layout.offset("MachineState", name)) for name in _IP_SP[self._machine])
        return RegisterContext.at(self._machine, ip, sp, values, {name: slot for name, slot in slots.items() if slot})

    def _is_unwound(self, state: int) -> bool:
        memory, layout = self._memory, self._layout
        if layout.has("MachineState", "IsValid"):
            return memory.u32(state + layout.offset("MachineState", "IsValid")) != 0
        return memory.pointer(state + layout.offset("MachineState", "ReturnAddressPtr")) != 0

    def _unwind(self, state: int, diverted: DivertedReturn | None = None) -> RegisterContext:
        memory, layout = self._memory, self._layout
        saved_at = captured_slots(layout, self._machine, state + layout.offset("MachineState", "Capture"))
        registers = {name: memory.pointer(slot) for name, slot in saved_at.items()}
        ip_name, sp_name = _IP_SP[self._machine]
        registers[ip_name.lower()] = memory.pointer(state + layout.offset("MachineState", f"Capture{ip_name}"))
        captured_sp = memory.pointer(state + layout.offset("MachineState", f"Capture{sp_name}"))
        registers[sp_name.lower()] = captured_sp + _RETURN_ADDRESS_BYTES[self._machine]
        for _ in range(LIMITS.native_frames):
            caller = self._native.caller(registers, active=False)
            if caller is None:
                raise Malformed("the native frames below a runtime helper end where a thread begins, and not in managed code")
            registers |= caller.values
            saved_at |= {name: slot for name, slot in caller.saved_at.items() if name in saved_at}
            ip, sp = registers[ip_name.lower()], registers[sp_name.lower()]
            if self._codes.is_managed(ip):
                return RegisterContext.at(self._machine, ip, sp, registers, saved_at)
            undone = None if diverted is None else diverted.undone(RegisterContext.at(self._machine, ip, sp, registers, saved_at))
            if undone is not None and self._codes.is_managed(undone.ip):
                return undone
        raise LimitExceeded(f"more than {LIMITS.native_frames} native frames between a runtime helper and managed code")
