"""Packed unwind data of arm64: a prologue of the canonical shape in 30 bits, spelled out as unwind codes.

Source: "ARM64 exception handling" of Microsoft's documentation, "Packed unwind data"; RtlpExpandCompactToFull of
src/coreclr/unwinder/arm64/unwinder.cpp. Compilers of managed code write full records only; other code in an image may have packed ones.
"""

from heaphound.errors import Malformed

_UNCHAINED_LR, _CHAINED_SIGNED, _CHAINED = 1, 2, 3
_LINK_REGISTER = 11  # lr as the twelfth of x19 to x30
_END, _SET_FP, _NOP, _SIGN_LR = b"\xe4", b"\xe1", b"\xe3", b"\xfc"
_HOMES = 8  # x0 to x7, stored by four instructions
_CHAIN_BYTES = 512  # what the instruction that saves fp and lr can allocate as well


def packed_codes(unwind_data: int) -> tuple[bytes, bytes]:
    """(codes of the prologue, codes of the epilogue), each with its end. Raises Malformed where the frame has no room for what is saved."""
    chain = unwind_data >> 21 & 3
    integers, vectors = unwind_data >> 16 & 15, unwind_data >> 13 & 7
    vectors += vectors != 0
    saved = integers + (chain == _UNCHAINED_LR) + vectors
    homes = bool(unwind_data >> 20 & 1) and saved > 0
    saved += _HOMES * homes
    saved += saved & 1
    local_bytes = 16 * (unwind_data >> 23) - 8 * saved
    if local_bytes < 0:
        raise Malformed(f"the packed unwind data {unwind_data:#x} saves more registers than its frame has room for")
    head = [_SIGN_LR] if chain == _CHAINED_SIGNED else []
    head += _saves(integers, vectors, chain == _UNCHAINED_LR, 8 * saved)
    locals_, frame_pointer = _locals(local_bytes, chain in (_CHAINED, _CHAINED_SIGNED))
    prolog = [*head, *([_NOP] * 4 if homes else []), *locals_, *frame_pointer]
    return _backwards(prolog), _backwards([*head, *locals_])


def _backwards(instructions: list[bytes]) -> bytes:
    return b"".join(reversed(instructions)) + _END


def _saves(integers: int, vectors: int, link_register: bool, size_bytes: int) -> list[bytes]:
    """Codes that save x19 and on, lr, d8 and on; the first one allocates the whole area."""
    found: list[bytes] = []
    slot = 0
    if integers == 1 and link_register:  # that pair has no instruction that also allocates
        found.append(_allocate(size_bytes))
    registers = [(0xC8, number, min(2, integers - number)) for number in range(0, integers, 2)]
    if link_register and integers % 2 == 0:
        registers.append((0xC8, _LINK_REGISTER, 1))
    registers += [(0xD8, number, min(2, vectors - number)) for number in range(0, vectors, 2)]
    for kind, number, count in registers:
        if kind == 0xC8 and link_register and integers % 2 and number == integers - 1:
            found.append(_pair_with_lr(number, slot))
            count = 2
        elif kind == 0xC8:
            found.append(_integer(number, count, slot, None if found else size_bytes))
        else:
            found.append(_vector(number, count, slot, None if found else size_bytes))
        slot += count
    return found


def _integer(number: int, count: int, slot: int, allocated: int | None) -> bytes:
    if allocated is None:
        return _operands(0xC800 if count == 2 else 0xD000, number << 6 | slot)
    place = allocated // 8 - 1
    return _operands(0xCC00, number << 6 | place) if count == 2 else _operands(0xD400, number << 5 | place)


def _vector(number: int, count: int, slot: int, allocated: int | None) -> bytes:
    if allocated is None:
        return _operands(0xD800 if count == 2 else 0xDC00, number << 6 | slot)
    place = allocated // 8 - 1
    return _operands(0xDA00, number << 6 | place) if count == 2 else _operands(0xDE00, number << 5 | place)


def _pair_with_lr(number: int, slot: int) -> bytes:
    return _operands(0xD600, (number // 2) << 6 | slot)


def _operands(operation: int, operands: int) -> bytes:
    return (operation | operands).to_bytes(2, "big")


def _allocate(size_bytes: int) -> bytes:
    units = size_bytes // 16
    return bytes([units]) if units < 0x20 else _operands(0xC000, units)


def _locals(size_bytes: int, chained: bool) -> tuple[list[bytes], list[bytes]]:
    """(codes that allocate locals and save fp and lr below them, codes that set the frame pointer)."""
    if not size_bytes:
        return [], []
    if not chained:
        return [_allocate(size_bytes)], []
    if size_bytes <= _CHAIN_BYTES:
        return [bytes([0x80 | size_bytes // 8 - 1])], [_SET_FP]
    return [_allocate(size_bytes), b"\x40"], [_SET_FP]
