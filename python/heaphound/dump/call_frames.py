"""Undoes one frame of native code by its image's .eh_frame (DWARF call frame information).

Formats: Linux Standard Base, "Exception Frames" (.eh_frame, .eh_frame_hdr); DWARF 5, section 6.4. Only what compilers write for x64 and
arm64 is known: any other instruction is Malformed, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from heaphound.dump.elf_modules import ElfModule
from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS

PT_GNU_EH_FRAME = 0x6474E550
_MASK = (1 << 64) - 1
# fmt: off
# DWARF numbers of the registers: System V x64 psABI, figure 3.36.
X64_NUMBERS = ("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip")
# fmt: on
_STACK_POINTER = 7
_RETURN_ADDRESS = 16


@dataclass(frozen=True, slots=True)
class NativeCaller:
    """The caller's registers by name, and the stack address each restored one was read from. `cfa` is its stack pointer."""

    ip: int
    cfa: int
    values: dict[str, int]
    saved_at: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One FDE with what its CIE says."""

    begin: int
    end: int
    code_alignment: int
    data_alignment: int
    initial: bytes
    instructions: bytes
    signal: bool


@dataclass(slots=True)
class _Rules:
    """Where the CFA and the registers are, at one row. A register's rule: ("at", offset from CFA), ("is", offset), ("same",)."""

    cfa_register: int = _STACK_POINTER
    cfa_offset: int = 8
    cfa_expression: bytes | None = None
    registers: dict[int, tuple[str, int]] = field(default_factory=dict)

    def copy(self) -> _Rules:
        return _Rules(self.cfa_register, self.cfa_offset, self.cfa_expression, dict(self.registers))


class _Bytes:
    """A cursor over call frame data."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def take(self, size: int) -> bytes:
        if size < 0 or self.position + size > len(self.data):
            raise Malformed("call frame information is cut short")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise Malformed("a number in call frame information has more than 64 bits")

    def sleb(self) -> int:
        start = self.position
        value = self.uleb()
        bits = 7 * (self.position - start)
        return value - (1 << bits) if value >> (bits - 1) & 1 else value

    @property
    def left(self) -> bool:
        return self.position < len(self.data)


def unwind_native(memory: Memory, module: ElfModule, registers: dict[str, int]) -> NativeCaller:
    """The caller of the native function of x64 that `registers["rip"]` returns into.

    The address before it is looked up, so that a call at a function's end counts as inside. Raises Unreadable, Malformed; both also where
    the image has no call frame information.
    """
    place = registers["rip"] - 1
    entry = _find_entry(memory, module, place)
    rules = _rules_at(entry, place)
    if rules.cfa_expression is not None:
        cfa = _evaluate(memory, rules.cfa_expression, registers, None)
    else:
        cfa = (_register(registers, rules.cfa_register) + rules.cfa_offset) & _MASK
    values, saved_at = {}, {}
    for number, (kind, operand) in rules.registers.items():
        if number >= len(X64_NUMBERS):
            continue
        name = X64_NUMBERS[number]
        if kind == "at":
            saved_at[name] = (cfa + operand) & _MASK
            values[name] = memory.pointer(saved_at[name])
        elif kind == "is":
            values[name] = (cfa + operand) & _MASK
    ip = values.pop("rip", None)
    saved_at.pop("rip", None)
    if ip is None:
        raise Malformed(f"the function at {entry.begin:#x} of {module.name} does not say where its return address is")
    return NativeCaller(ip, cfa, values, saved_at)


def _register(registers: dict[str, int], number: int) -> int:
    name = X64_NUMBERS[number] if number < len(X64_NUMBERS) else f"number {number}"
    if name not in registers:
        raise Malformed(f"register {name} is not known, and the frame below is found by it")
    return registers[name]


def _find_entry(memory: Memory, module: ElfModule, address: int) -> _Entry:
    header = None if module.headers is None else module.headers.first(PT_GNU_EH_FRAME)
    if header is None:
        raise Malformed(f"{module.name} has no table of call frames (.eh_frame_hdr)")
    base = module.bias + header.address
    version, pointer_kind, count_kind, table_kind = memory.bytes(base, 4)
    if (version, pointer_kind & 0x0F, count_kind, table_kind) != (1, 0x0B, 0x03, 0x3B):
        raise Malformed(f"the table of call frames of {module.name} has an encoding that compilers do not write")
    low, high = 0, memory.u32(base + 8)
    while low < high:
        middle = (low + high) // 2
        if base + memory.i32(base + 12 + 8 * middle) <= address:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        raise Malformed(f"{address:#x} lies before the first function of {module.name}")
    entry = _read_entry(memory, base + memory.i32(base + 16 + 8 * (low - 1)))
    if not entry.begin <= address < entry.end:
        raise Malformed(f"no call frame information covers {address:#x} of {module.name}")
    return entry


def _read_entry(memory: Memory, address: int) -> _Entry:
    """The FDE at an address, with its CIE."""
    body, start = _record(memory, address)
    back = body.number(4)
    cie, _ = _record(memory, start - back)
    if back == 0 or cie.number(4) != 0:
        raise Malformed(f"the call frame entry at {address:#x} belongs to no common entry")
    version = cie.number(1)
    if version not in (1, 3):
        raise Malformed(f"call frame information of version {version}")
    augmentation = cie.take(cie.data.index(b"\0", cie.position) - cie.position) if b"\0" in cie.data[cie.position :] else b"?"
    cie.take(1)
    code_alignment, data_alignment = cie.uleb(), cie.sleb()
    cie.uleb()  # the return address's register: 16 on x64
    encoding, signal = 0, False
    if augmentation[:1] == b"z":
        inner = _Bytes(cie.take(cie.uleb()))
        for letter in augmentation[1:]:
            if letter == ord("R"):
                encoding = inner.number(1)
            elif letter == ord("P"):
                inner.take(_encoded_size(inner.number(1)))
            elif letter == ord("L"):
                inner.number(1)
            elif letter == ord("S"):
                signal = True
            else:
                raise Malformed(f"call frame information has the augmentation {augmentation!r}")
    elif augmentation:
        raise Malformed(f"call frame information has the augmentation {augmentation!r}")
    if encoding != 0x1B:  # pc-relative, 4 bytes signed
        raise Malformed(f"call frame addresses have the encoding {encoding:#x}, which compilers do not write")
    begin = start + 4 + body.number(4, signed=True)
    end = begin + body.number(4)
    if augmentation[:1] == b"z":
        body.take(body.uleb())
    return _Entry(begin, end, code_alignment, data_alignment, cie.data[cie.position :], body.data[body.position :], signal)


def _encoded_size(encoding: int) -> int:
    sizes = {0x00: 8, 0x02: 2, 0x03: 4, 0x04: 8, 0x0A: 2, 0x0B: 4, 0x0C: 8}
    if encoding & 15 not in sizes:
        raise Malformed(f"call frame information has a pointer of the encoding {encoding:#x}")
    return sizes[encoding & 15]


def _record(memory: Memory, address: int) -> tuple[_Bytes, int]:
    """(bytes after the length, their address) of a CIE or FDE."""
    size = memory.u32(address)
    if size in (0, 0xFFFFFFFF) or size > 16 * LIMITS.call_frame_instructions:
        raise Malformed(f"the call frame record at {address:#x} claims {size} bytes")
    return _Bytes(memory.bytes(address + 4, size)), address + 4


def _rules_at(entry: _Entry, address: int) -> _Rules:
    rules = _Rules()
    _run(entry, entry.initial, rules, None, _MASK)
    _run(entry, entry.instructions, rules, rules.copy(), address)
    return rules


def _run(entry: _Entry, instructions: bytes, rules: _Rules, initial: _Rules | None, address: int) -> None:
    """Apply call frame instructions to `rules` until they pass `address`."""
    data, location, stack = _Bytes(instructions), entry.begin, list[_Rules]()
    steps = 0
    while data.left:
        steps += 1
        if steps > LIMITS.call_frame_instructions:
            raise LimitExceeded(f"the function at {entry.begin:#x} has more than {LIMITS.call_frame_instructions} call frame instructions")
        operation = data.number(1)
        advance = _advance(operation, data)
        if advance is not None:
            location += advance * entry.code_alignment
            if location > address:
                return
        elif operation == 0x0A:  # remember_state
            stack.append(rules.copy())
        elif operation == 0x0B:  # restore_state
            if not stack:
                raise Malformed(f"the function at {entry.begin:#x} restores call frame rules that it never saved")
            saved = stack.pop()
            rules.cfa_register, rules.cfa_offset, rules.cfa_expression = saved.cfa_register, saved.cfa_offset, saved.cfa_expression
            rules.registers = saved.registers
        elif not _define_cfa(operation, data, rules, entry) and not _define_register(operation, data, rules, initial, entry):
            raise Malformed(f"the function at {entry.begin:#x} has the call frame instruction {operation:#x}, which is not known")


def _advance(operation: int, data: _Bytes) -> int | None:
    if operation >> 6 == 1:
        return operation & 63
    return data.number({0x02: 1, 0x03: 2, 0x04: 4}[operation]) if operation in (0x02, 0x03, 0x04) else None


def _define_cfa(operation: int, data: _Bytes, rules: _Rules, entry: _Entry) -> bool:
    if operation in (0x0C, 0x12):  # def_cfa, def_cfa_sf
        rules.cfa_register = data.uleb()
        rules.cfa_offset = data.uleb() if operation == 0x0C else data.sleb() * entry.data_alignment
        rules.cfa_expression = None
    elif operation == 0x0D:
        rules.cfa_register, rules.cfa_expression = data.uleb(), None
    elif operation == 0x0E:
        rules.cfa_offset = data.uleb()
    elif operation == 0x13:
        rules.cfa_offset = data.sleb() * entry.data_alignment
    elif operation == 0x0F:
        rules.cfa_expression = data.take(data.uleb())
    else:
        return False
    return True


def _define_register(operation: int, data: _Bytes, rules: _Rules, initial: _Rules | None, entry: _Entry) -> bool:
    if operation >> 6 == 2:  # offset
        rules.registers[operation & 63] = ("at", data.uleb() * entry.data_alignment)
    elif operation >> 6 == 3 or operation == 0x06:  # restore, restore_extended
        number = operation & 63 if operation >> 6 == 3 else data.uleb()
        if initial is None:
            raise Malformed("a common call frame entry restores a register")
        if number in initial.registers:
            rules.registers[number] = initial.registers[number]
        else:
            rules.registers.pop(number, None)
    elif operation == 0x05:  # offset_extended
        number = data.uleb()
        rules.registers[number] = ("at", data.uleb() * entry.data_alignment)
    elif operation == 0x11:  # offset_extended_sf
        number = data.uleb()
        rules.registers[number] = ("at", data.sleb() * entry.data_alignment)
    elif operation in (0x07, 0x08):  # undefined, same_value
        rules.registers.pop(data.uleb(), None)
    elif operation == 0x14:  # val_offset
        number = data.uleb()
        rules.registers[number] = ("is", data.uleb() * entry.data_alignment)
    elif operation == 0x2E:  # GNU_args_size
        data.uleb()
    elif operation != 0x00:  # nop
        return False
    return True


def _evaluate(memory: Memory, expression: bytes, registers: dict[str, int], pushed: int | None) -> int:
    """The value of a DWARF expression of the kind that a PLT's entry has (DWARF 5, section 2.5)."""
    data = _Bytes(expression)
    stack = [] if pushed is None else [pushed]
    while data.left:
        operation = data.number(1)
        if 0x70 <= operation <= 0x8F:  # breg
            stack.append((_register(registers, operation - 0x70) + data.sleb()) & _MASK)
        elif 0x30 <= operation <= 0x4F:  # lit
            stack.append(operation - 0x30)
        elif operation in (0x1A, 0x22, 0x24, 0x2A) and len(stack) > 1:  # and, plus, shl, ge
            right, left = stack.pop(), stack.pop()
            results = {0x1A: left & right, 0x22: left + right, 0x24: left << (right & 63), 0x2A: int(left >= right)}
            stack.append(results[operation] & _MASK)
        elif operation == 0x06 and stack:  # deref
            stack.append(memory.pointer(stack.pop()))
        elif operation == 0x23 and stack:  # plus_uconst
            stack.append((stack.pop() + data.uleb()) & _MASK)
        else:
            raise Malformed(f"a call frame expression has the operation {operation:#x}, which compilers do not write there")
    if not stack:
        raise Malformed("a call frame expression leaves nothing")
    return stack[-1]
