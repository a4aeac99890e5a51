"""The product's decoders, each asked all that it can be asked of one table.

Tables lie alone in a memory in which nothing else can be read but a small stack and the method's instructions, so that every read
beyond an end is one outside of the dump.
"""

import itertools
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from heaphound.dump.memory import Memory
from heaphound.errors import HeaphoundError
from heaphound.runtime.arguments.gc_ref_map import decode_map
from heaphound.runtime.gc_info.frame_slots import frame_references
from heaphound.runtime.gc_info.gc_info import FrameState, read_gc_info
from heaphound.runtime.gc_info.header import MAXIMUM_VERSION, MINIMUM_VERSION
from heaphound.runtime.nibble_map import BYTES_PER_UNIT, NibbleMap
from heaphound.runtime.runtime_functions import piece_bytes
from heaphound.runtime.stacks.debug_info import BoundsKind, ReadBytes, read_il_map, read_variables_data
from heaphound.runtime.stacks.frame import FrameCode, ManagedFrame
from heaphound.runtime.stacks.native_variables import decode_variables
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.unwinding import continues, gc_info_address, parent_caller_sp, unwind_frame
from tests.lab.blobs import Blob, Kind
from tests.unit.runtime.written_memory import written_memory

TABLE, CODE, STACK = 0x10000, 0x500000, 0x7F0000
_STACK_BYTES = 2048
_VERSIONS = range(MINIMUM_VERSION, MAXIMUM_VERSION + 1)
_STATES = tuple(FrameState(*flags) for flags in itertools.product((False, True), repeat=5))
_NAMES = {
    "x64": ("rip", "rsp", ("rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))),
    "arm64": ("pc", "sp", (*(f"x{number}" for number in range(29)), "fp", "lr")),
}
_CHAIN = 1 << 5  # UNW_FLAG_CHAININFO in the first byte of UNWIND_INFO


def decode(blob: Blob, data: bytes, chance: random.Random) -> int:
    """How many questions about `data`, which stands for the blob's own, have an answer. Raises nothing of the package's."""
    return _DECODERS[blob.kind](blob, data, chance)


def _answers(questions: Iterable[Callable[[], object]]) -> int:
    count = 0
    for ask in questions:
        with suppress(HeaphoundError):
            ask()
            count += 1
    return count


def _memory(chance: random.Random, data: bytes, code: bytes = b"") -> Memory:
    """The table, the instructions, and a stack with words of all kinds."""
    image, memory = written_memory()
    image.write(TABLE, data)
    image.write(CODE, code)
    image.write(STACK, chance.randbytes(_STACK_BYTES))
    for place in chance.sample(range(0, _STACK_BYTES, 8), 16):
        image.words(STACK + place, chance.choice((0, STACK + place + 8, CODE + 4, STACK)))
    return memory


def _registers(chance: random.Random, blob: Blob, code_bytes: int) -> RegisterContext:
    """Any in all of them, but an instruction of the method and a place of the stack."""
    ip, sp, others = _NAMES[blob.machine]
    wild = (0, 8, (1 << 64) - 1, (1 << 63) - 8, STACK + _STACK_BYTES)
    inside, random_word = STACK + 8 * chance.randrange(256), chance.getrandbits(64)
    values = dict(zip(others, chance.choices((inside, inside + 64, random_word, *wild), k=len(others)), strict=True))
    for name in chance.sample(others, 3):
        del values[name]
    at = CODE + chance.choice((0, 4, 8, code_bytes - 4, chance.randrange(code_bytes + 8)))
    return RegisterContext(blob.machine, {**values, ip: at, sp: chance.choice((inside, inside, *wild))})


def _gc_info(blob: Blob, data: bytes, chance: random.Random) -> int:
    memory = _memory(chance, data)
    version = chance.choice(_VERSIONS) if data != blob.data and chance.random() < 0.05 else blob.gc_info_version
    try:
        info = read_gc_info(memory, TABLE, version, blob.machine)
    except HeaphoundError:
        return 0
    length = info.header.code_length
    points: tuple[int, ...] = ()
    with suppress(HeaphoundError):
        points = info.safe_points
    offsets = {0, 1, length, length + 5, chance.randrange(length + 2), *chance.sample(points, min(2, len(points)))}
    offsets.update(place for start, end in info.ranges[:2] for place in (start, end - 1, chance.randrange(start, end)))
    questions: list[Callable[[], object]] = []
    for offset in sorted(offsets):
        for state in chance.sample(_STATES, 4):
            questions += (partial(info.tells, offset, state), partial(info.live_slots, offset, state))
        frame = _frame(blob, offset, chance)
        questions.append(partial(frame_references, memory, info, frame, chance.random() < 0.2))
    return 1 + _answers(questions)


def _frame(blob: Blob, offset: int, chance: random.Random) -> ManagedFrame:
    context = _registers(chance, blob, 4)
    here = RegisterContext(context.machine, {**context.values, _NAMES[blob.machine][0]: CODE + offset})
    frame = ManagedFrame(_frame_code(blob, TABLE), here, _registers(chance, blob, 4), active=chance.random() < 0.5)
    frame.interrupted, frame.parent_of_funclet = chance.random() < 0.3, chance.random() < 0.2
    return frame


def _frame_code(blob: Blob, unwind_info: int, base: int = 0) -> FrameCode:
    end = CODE + len(blob.code)
    return FrameCode("jit", CODE, CODE, end, base, unwind_info, TABLE, None, None)


def _unwind_data(blob: Blob, data: bytes, chance: random.Random) -> int:
    if blob.machine == "x64" and data != blob.data and chance.random() < 0.1:
        data = _chained(data, chance)
    memory = _memory(chance, data, blob.code)
    places = [(0, TABLE)]
    if blob.machine == "arm64":  # what a RUNTIME_FUNCTION has may be the data itself
        packed = chance.choice((1, 2, 3)) | (chance.choice((blob.unwind_data, chance.getrandbits(32))) & ~3)
        places.append((CODE, CODE + packed))
    return sum(_of_unwind_data(blob, memory, base, unwind_info, chance) for base, unwind_info in places)


def _of_unwind_data(blob: Blob, memory: Memory, base: int, unwind_info: int, chance: random.Random) -> int:
    code = _frame_code(blob, unwind_info, base)
    contexts = [_registers(chance, blob, len(blob.code) or 4) for _ in range(4)]
    questions: list[Callable[[], object]] = [
        *(partial(unwind_frame, memory, context, code, active) for context in contexts for active in (False, True)),
        partial(gc_info_address, memory, blob.machine, base, unwind_info),
    ]
    if blob.machine == "x64":
        questions.append(partial(parent_caller_sp, memory, contexts[0], code))
    else:
        questions.append(partial(continues, memory, blob.machine, base, unwind_info))
        questions.append(partial(piece_bytes, unwind_info - base, lambda rva, size: memory.bytes(base + rva, size)))
    return _answers(questions)


def _chained(data: bytes, chance: random.Random) -> bytes:
    """Unwind information that names more of it: itself, or a place in it."""
    size = 4 + 2 * (data[2] + (data[2] & 1)) if len(data) > 2 else 4
    entry = b"".join(number.to_bytes(4, "little") for number in (0, 4, TABLE + chance.choice((0, 0, chance.randrange(size)))))
    return bytes([1 | _CHAIN]) + data[1:size] + entry + data[size:]


def _debug_information(blob: Blob, data: bytes, chance: random.Random) -> int:
    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    found = _of_debug_information(blob, read, chance)
    other: BoundsKind = "packed" if blob.bounds == "nibbles" else "nibbles"
    with suppress(HeaphoundError):  # a runtime of another version than told
        read_il_map(read, other, None if chance.random() < 0.5 else blob.patchpoints)
    return found


def _of_debug_information(blob: Blob, read: ReadBytes, chance: random.Random) -> int:
    def il_offsets() -> None:
        found = read_il_map(read, blob.bounds, blob.patchpoints)
        for offset in (0, 1, chance.randrange(1 << 12), (1 << 32) - 1):
            found.il_offset(offset)

    return _answers([il_offsets, lambda: decode_variables(read_variables_data(read, blob.bounds, blob.patchpoints))])


def _gc_ref_map(_: Blob, data: bytes, __: random.Random) -> int:
    image, memory = written_memory()
    image.write(TABLE, data)
    return _answers([partial(decode_map, memory, TABLE)])


def _nibble_map(blob: Blob, data: bytes, chance: random.Random) -> int:
    image, memory = written_memory()
    image.write(TABLE, data)
    nibbles = NibbleMap(memory, CODE, TABLE, blob.nibbles)
    size = len(data) // 4 * BYTES_PER_UNIT
    places = [CODE, CODE - 1, CODE + size, CODE + size + (1 << 40), *(CODE + chance.randrange(size + 1) for _ in range(12))]
    return _answers([*(partial(nibbles.method_start, place) for place in places), lambda: list(nibbles.method_starts(CODE + size))])


_DECODERS: dict[Kind, Callable[[Blob, bytes, random.Random], int]] = {
    "GcInfo": _gc_info,
    "unwind data": _unwind_data,
    "debug information": _debug_information,
    "GCRefMap": _gc_ref_map,
    "nibble map": _nibble_map,
}
