"""What undoing a frame of managed code comes to at one return address: distances from the caller's stack pointer, found once and kept.

A stack overflow returns to one place a hundred thousand times, and the threads of a pool stand in the same methods. The rules are found
by undoing the frame on a stack that is none: every register points into a region of its own, and each word there says its own address.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from heaphound.dump.memory import Memory
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.dump.registers import Machine
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.stacks.frame import FrameCode
from heaphound.runtime.stacks.registers import CALLEE_SAVED, MASK, RegisterContext, code_address
from heaphound.runtime.stacks.unwinding import unwind_frame

_WORD = 1 << 63  # marks what was read from the stack that is none
_REGIONS, _REGION_BITS = 1 << 62, 40  # regions of 1 TiB, in no address space of Linux
_LONGEST_READ = 256  # bytes from the lowest saved register to the caller's stack pointer


@dataclass(frozen=True, slots=True)
class FrameRule:
    """The caller's stack pointer is `register` plus `distance`; at `low` bytes from it begin `layout`'s words: the instruction pointer,
    then the registers of `names`, which lie at `offsets` from it."""

    register: str
    distance: int
    low: int
    size: int
    layout: Struct
    order: tuple[int, ...]
    names: tuple[str, ...]
    offsets: tuple[int, ...]


class FrameRules:
    """Undoes frames by rules where there are any. Only frames that called: of an active one the instruction itself counts."""

    def __init__(self, memory: Memory, machine: Machine) -> None:
        """`memory` has unwind information and stacks."""
        self._memory = memory
        self._read = memory.image.read
        self._machine = machine
        self._ip, self._sp, _ = IP_SP_FP[machine]
        self._plain = frozenset((*CALLEE_SAVED[machine], self._ip, self._sp))
        self._rules: dict[int, FrameRule | None] = {}
        self._made: RegisterContext | None = None

    def caller(self, context: RegisterContext, code: FrameCode, active: bool) -> RegisterContext:
        """As `unwind_frame`."""
        if not active:
            ip = context.values.get(self._ip, 0)
            rule = self._rules[ip] if ip in self._rules else self._learn(ip, code)
            # A caller's scratch registers are lost: what a rule made has none, and in a recursion the frames follow each other.
            if rule is not None and (context is self._made or context.values.keys() <= self._plain):
                found = self._apply(rule, context, context.values)
                if found is not None:
                    self._made = found
                    return found
        return unwind_frame(self._memory, context, code, active)

    def _apply(self, rule: FrameRule, context: RegisterContext, values: Mapping[str, int]) -> RegisterContext | None:
        """None where the frame is not as the rule has it; undoing it step by step then tells why."""
        base = values.get(rule.register)
        if base is None:
            return None
        sp = base + rule.distance
        try:
            words = rule.layout.unpack(self._read(sp + rule.low, rule.size))
        except (Unreadable, OverflowError):
            return None
        if not values[self._sp] < sp <= MASK:
            return None
        restored = {**values, self._ip: code_address(self._machine, words[rule.order[0]]), self._sp: sp}
        saved_at = dict(context.saved_at)
        for name, index, offset in zip(rule.names, rule.order[1:], rule.offsets, strict=True):
            restored[name] = words[index]
            saved_at[name] = sp + offset
        return RegisterContext(context.machine, restored, saved_at)

    def _learn(self, ip: int, code: FrameCode) -> FrameRule | None:
        rule = self._rules[ip] = _find_rule(self._memory, self._machine, ip, code)
        return rule


def _find_rule(memory: Memory, machine: Machine, ip: int, code: FrameCode) -> FrameRule | None:
    """None where a frame at that return address cannot be told by distances from one register."""
    ip_name, sp_name, _ = IP_SP_FP[machine]
    names = (sp_name, *CALLEE_SAVED[machine])
    probe = {name: _REGIONS + (index << _REGION_BITS) + (1 << _REGION_BITS - 1) for index, name in enumerate(names)}
    context = RegisterContext(machine, {**probe, ip_name: ip})
    try:
        caller = unwind_frame(_ProbeMemory(memory), context, code, active=False)
    except (Unreadable, Malformed):
        return None
    saved = {name: address for name, address in caller.saved_at.items() if name != ip_name}
    # The return address of arm64 was in a register, and goes on to be there.
    ip_place = caller.ip ^ _WORD if machine == "x64" else saved.get("lr")
    register = next((name for name in names if caller.sp >> _REGION_BITS == probe[name] >> _REGION_BITS), None)
    same = all(caller.values.get(name) == probe[name] for name in names if name not in saved and name != sp_name)
    if register is None or not same or ip_place is None or caller.ip != code_address(machine, ip_place | _WORD):
        return None
    offsets = {name: address - caller.sp for name, address in saved.items()}
    ip_offset = ip_place - caller.sp
    low = min((ip_offset, *offsets.values()))
    size = max((ip_offset, *offsets.values())) + 8 - low
    if size > _LONGEST_READ or size % 8 or any((offset - low) % 8 for offset in offsets.values()):
        return None
    order = tuple((offset - low) // 8 for offset in (ip_offset, *offsets.values()))
    layout = Struct(f"<{size // 8}Q")
    return FrameRule(register, caller.sp - probe[register], low, size, layout, order, tuple(offsets), tuple(offsets.values()))


class _ProbeMemory(Memory):
    """The dump's memory, and above it the stack that is none."""

    __slots__ = ()

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory.image)

    def u64(self, address: int) -> int:
        """As Memory has it; of the stack that is none the address itself, marked."""
        return address | _WORD if address >= _REGIONS else super().u64(address)

    def pointer(self, address: int) -> int:
        """As `u64`."""
        return self.u64(address)

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """As `u64`."""
        return tuple(self.u64(address + 8 * index) for index in range(count)) if address >= _REGIONS else super().words(address, count)
