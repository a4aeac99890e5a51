"""A native library with call frame information, and a stack, written by a test: one function from CODE on."""

from dataclasses import replace
from pathlib import Path
from struct import pack

from heaphound.dump.call_frames import PT_GNU_EH_FRAME
from heaphound.dump.core import Core, open_core
from heaphound.dump.memory import Memory
from tests.dumpwriter import DumpWriter
from tests.elf_library import MACHINES, PAGE

BASE, STACK = 0x7F0000000000, 0x7FFC00000000
TABLE, FRAMES, CODE = PAGE, PAGE + 0x100, 2 * PAGE
DEF_CFA, DEF_CFA_REGISTER, DEF_CFA_OFFSET, DEF_CFA_EXPRESSION = 0x0C, 0x0D, 0x0E, 0x0F
EXPRESSION, VAL_EXPRESSION, UNDEFINED, SAME_VALUE = 0x10, 0x16, 0x07, 0x08
REMEMBER, RESTORE_STATE, NEGATE_RA_STATE = b"\x0a", b"\x0b", b"\x2d"
X64_COMMON = bytes([DEF_CFA, 7, 8, 0x80 | 16, 1])  # CFA = rsp + 8, the return address at CFA - 8
ARM64_COMMON = bytes([DEF_CFA, 31, 0])  # CFA = sp, the return address in lr


def advance(size: int) -> bytes:
    """To the next row, `size` bytes of code further on (4 a unit on arm64)."""
    return bytes([0x40 | size])


def offset(register: int, factored: int) -> bytes:
    """The register lies `factored` words below the CFA."""
    return bytes([0x80 | register, factored])


def expression(operation: int, code: bytes, register: int | None = None) -> bytes:
    """An instruction that holds an expression."""
    return bytes([operation, *([] if register is None else [register]), len(code)]) + code


def library(
    instructions: bytes, common: bytes = X64_COMMON, machine: str = "x64", augmentation: bytes = b"zR\0", size: int = 0x100
) -> bytes:
    """The image: headers, then the table, the frames and the code, a page each."""
    encoding = bytes([augmentation[:-1].count(b"R"), 0x1B]) if augmentation != b"\0" else b""
    alignment = b"\x01\x78\x10" if machine == "x64" else b"\x04\x78\x1e"
    cie = _record(pack("<IB", 0, 1) + augmentation + alignment + encoding + common)
    function = FRAMES + len(cie)
    fde = _record(pack("<Iii", len(cie) + 4, CODE - (function + 8), size) + b"\x00" + instructions)
    frames = cie + fde
    assert FRAMES + len(frames) <= CODE
    table = bytes([1, 0x1B, 3, 0x3B]) + pack("<iIii", 0, 1, CODE - TABLE, function - TABLE)
    middle = table.ljust(FRAMES - TABLE, b"\0") + frames
    return _headers(machine) + middle.ljust(PAGE, b"\0") + bytes(PAGE)


def _record(body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return pack("<I", len(body)) + body


def _headers(machine: str) -> bytes:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + pack("<HHIQQQIHHHHHH", 3, MACHINES[machine], 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    rows = ((1, 5, 0, 3 * PAGE, PAGE), (PT_GNU_EH_FRAME, 4, TABLE, 20, 4))
    segments = [pack("<IIQQQQQQ", kind, flags, at, at, at, length, length, page) for kind, flags, at, length, page in rows]
    return (header + b"".join(segments)).ljust(PAGE, b"\0")


class NativeProcess:
    """A process of one thread whose library and stack each test writes anew, without a new file."""

    def __init__(self, directory: Path, machine: str = "x64") -> None:
        writer = DumpWriter(machine).process(42).thread(7).mapped("/lib/libnative.so", BASE, BASE + 3 * PAGE)
        self._core = open_core(writer.segment(0x1000, bytes(PAGE)).write(directory / f"{machine}.core"))
        self.machine = machine

    def core(self, image: bytes, *stack: int, code: dict[int, bytes] | None = None, words: int = 64) -> Core:
        """The core with this image at BASE and these words at STACK; `code` puts bytes at other addresses."""
        opened = self._core.image.with_bytes(BASE, image)
        opened = opened.with_bytes(STACK, pack(f"<{words}Q", *stack, *[0] * (words - len(stack))))
        for address, data in (code or {}).items():
            opened = opened.with_bytes(address, data)
        return replace(self._core, image=opened, memory=Memory(opened))
