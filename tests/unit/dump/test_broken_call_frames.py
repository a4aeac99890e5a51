"""Call frame information of a real library with bytes changed, or cut short: a caller or an error of the package, never a panic."""

import random
from collections.abc import Iterator
from pathlib import Path
from struct import pack, unpack_from

import pytest

from heaphound._core import CallFrames
from heaphound.errors import HeaphoundError
from tests.unit.dump.framed_library import BASE, CODE, FRAMES, STACK, TABLE, NativeProcess, library

FUNCTIONS, CHANGES, SEED = 60, 25, 5
ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x0B, 0x0F, 0x10, 0x16)  # ends of numbers, and instructions that push, pop and compute
EH_FRAME_HEADER = 0x6474E550
REGISTERS = [STACK + 8 * number for number in range(17)]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> NativeProcess:
    return NativeProcess(tmp_path_factory.mktemp("native"))


def records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """(common record, function's record) of each function of a library on this machine, by its table: .eh_frame_hdr."""
    data = path.read_bytes()
    start, count = unpack_from("<Q", data, 32)[0], unpack_from("<H", data, 56)[0]
    headers = [unpack_from("<IIQQQQ", data, start + 56 * index) for index in range(count)]
    at = next(offset for kind, _, offset, _, _, _ in headers if kind == EH_FRAME_HEADER)
    for index in range(unpack_from("<I", data, at + 8)[0]):
        function = at + unpack_from("<ii", data, at + 12 + 8 * index)[1]
        size, back = unpack_from("<II", data, function)
        common = function + 4 - back
        yield data[common : common + 4 + unpack_from("<I", data, common)[0]], data[function : function + 4 + size]


def image_of(common: bytes, function: bytes) -> bytes:
    """An image whose one function has these records, moved: its address counts from where it stands."""
    at = FRAMES + len(common)
    moved = function[:4] + pack("<Ii", len(common) + 4, CODE - (at + 8)) + function[12:]
    frames = (common + moved)[: CODE - FRAMES]
    table = bytes([1, 0x1B, 3, 0x3B]) + pack("<iIii", 0, 1, CODE - TABLE, at - TABLE)
    whole = library(b"")
    return whole[:TABLE] + table.ljust(FRAMES - TABLE, b"\0") + frames.ljust(CODE - FRAMES, b"\0") + whole[CODE:]


def ask(process: NativeProcess, common: bytes, function: bytes, places: list[int]) -> int:
    """How many of the places in the function have a caller."""
    frames = CallFrames(process.core(image_of(common, function)).image)
    found = 0
    for place in places:
        try:
            registers, _, _, _ = frames.caller(BASE + TABLE, BASE + CODE + place, list(REGISTERS))
            assert all(value is None or 0 <= value < 1 << 64 for value in registers)
            found += 1
        except HeaphoundError:
            pass
    return found


def changed(chance: random.Random, record: bytes) -> bytes:
    """One to eight bytes of it changed, or its end cut off; its length may then be another than it says."""
    data = bytearray(record)
    if chance.random() < 0.2:
        return bytes(data[: chance.randrange(4, len(data))])
    for _ in range(chance.randrange(1, 9)):
        at = chance.randrange(len(data))
        data[at] = chance.choice((*ODD, chance.randrange(256), data[at] ^ 1 << chance.randrange(8)))
    return bytes(data)


def libraries() -> list[Path]:
    """Those that this process has loaded, libc among them."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {line.split(maxsplit=5)[5] for line in lines if line.count("/") and ".so" in line}
    return sorted(Path(path) for path in paths if Path(path).is_file())


def test_real_records_with_changes(process: NativeProcess) -> None:
    chance = random.Random(SEED)
    path = next(path for path in libraries() if path.name.startswith("libc."))
    chosen = chance.sample(list(records(path)), FUNCTIONS)
    whole = [ask(process, common, function, [0, 1]) for common, function in chosen]
    assert sum(whole) > FUNCTIONS  # most can be undone as they are
    for common, function in chosen:
        for _ in range(CHANGES):
            ask(process, changed(chance, common), changed(chance, function), [0, 1, 5, 0x40])


def test_a_record_cut_short_anywhere(process: NativeProcess) -> None:
    path = next(path for path in libraries() if path.name.startswith("libc."))
    common, function = max(random.Random(SEED).sample(list(records(path)), FUNCTIONS), key=lambda pair: len(pair[1]))
    for size in range(4, len(function)):
        told = pack("<I", size - 4) + function[4:size]
        ask(process, common, told.ljust(12, b"\0"), [0, 8])
    for size in range(4, len(common)):
        ask(process, pack("<I", size - 4) + common[4:size], function, [0, 8])
