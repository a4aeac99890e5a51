"""Runs prologues and epilogues of real arm64 code instruction by instruction, and unwinds at each of them.

    python -m tests.lab.frames_arm64 [--runtime 8.0.31-arm64] [--every N]

A dump stops threads in prologues and epilogues too rarely to test them. Here the instructions of each function of the framework's
ready-to-run images are carried out on made-up registers and an empty stack; unwinding must give the registers that the function was
entered with. GcInfo of each method must tell the length of its code, and call sites that follow calls.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from heaphound.errors import HeaphoundError, Malformed
from heaphound.runtime.gc_info.gc_info import decode_gc_info
from heaphound.runtime.pe import PEImage
from heaphound.runtime.ready_to_run import ReadyToRunImage
from heaphound.runtime.stacks.registers import CALLEE_SAVED, RegisterContext
from heaphound.runtime.stacks.unwind_arm64 import unwind
from heaphound.runtime.stacks.unwind_codes_arm64 import scope_instructions
from heaphound.runtime.stacks.unwind_data_arm64 import UnwindData, piece_size, read_unwind_data
from tests.lab.runtimes import framework_directory

GC_INFO_VERSIONS = {"9.0": 3, "10.0": 4}  # 2 from 3.0 to 8.0 (src/coreclr/inc/gcinfo.h)
_STACK, _CALLER, _CODE = 0x7FFC_0000_0000, 0x7F00_1234_5678, 0x7F80_0000_0000
_SP, _LR, _MASK = 31, 30, (1 << 64) - 1
_NAMES = (*(f"x{number}" for number in range(29)), "fp", "lr", "sp")
_RETURN, _NOP = 0xD65F03C0, 0xD503201F


class NotCarriedOut(Exception):
    """An instruction that this small processor does not know."""


@dataclass
class Processor:
    """Registers by number and the words of the stack that were written."""

    registers: list[int]
    stack: dict[int, int] = field(default_factory=dict)

    def carry_out(self, word: int) -> None:
        """One instruction that prologues and epilogues consist of. Raises NotCarriedOut."""
        if word in (_NOP, _RETURN) or word & 0xFFFFFC1F == 0xD61F0000 or word >> 26 == 0b000101:
            return
        if word & 0xFFE00C1F == 0xB860081F:  # a load into nothing, which touches a page of the stack
            return
        if not (self._pair(word) or self._single(word) or self._arithmetic(word)):
            raise NotCarriedOut(f"{word:08x}")

    def _pair(self, word: int) -> bool:
        kind = {0xA8: (8, True), 0x6C: (8, False), 0xAC: (16, False)}.get(word >> 24 & 0xFE)
        if kind is None or word >> 5 & 31 != _SP:
            return False
        unit, integer = kind
        offset = _signed(word >> 15 & 0x7F, 7) * unit
        self._access(word, offset, (word & 31, word >> 10 & 31) if integer else (), word >> 23 & 3)
        return True

    def _single(self, word: int) -> bool:
        integer = {0xF9: True, 0xFD: False, 0xF8: True, 0xFC: False}.get(word >> 24)
        if integer is None or word >> 5 & 31 != _SP:
            return False
        registers = (word & 31,) if integer else ()
        if word >> 24 & 1:
            self._access(word, 8 * (word >> 10 & 0xFFF), registers, 2)
            return True
        form = {0b01: 1, 0b11: 3}.get(word >> 10 & 3)
        if form is None or word >> 21 & 1:
            return False
        self._access(word, _signed(word >> 12 & 0x1FF, 9), registers, form)
        return True

    def _access(self, word: int, offset: int, registers: tuple[int, ...], form: int) -> None:
        """Load (bit 22) or store; `form` 1 moves sp afterwards, 3 before, 2 and 0 not."""
        sp = self.registers[_SP]
        address = sp if form == 1 else sp + offset
        for place, register in enumerate(registers):
            if word >> 22 & 1:
                self.registers[register] = self.stack[address + 8 * place]
            else:
                self.stack[address + 8 * place] = self.registers[register]
        if form in (1, 3):
            self.registers[_SP] = sp + offset

    def _arithmetic(self, word: int) -> bool:
        to, of = word & 31, word >> 5 & 31
        if word >> 24 in (0x91, 0xD1):  # add, sub with a number
            value = (word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0)
            self.registers[to] = self.registers[of] + (value if word >> 24 == 0x91 else -value) & _MASK
        elif word & 0xFFE0FC00 in (0xCB206000, 0x8B206000):  # the same with a register
            value = self.registers[word >> 16 & 31]
            self.registers[to] = self.registers[of] + (value if word >> 30 == 2 else -value) & _MASK
        elif word >> 23 in (0x1A5, 0x125, 0x1E5):  # movz, movn, movk
            shift, value = 16 * (word >> 21 & 3), word >> 5 & 0xFFFF
            kept = self.registers[to] & ~(0xFFFF << shift) if word >> 23 == 0x1E5 else 0
            self.registers[to] = (~(value << shift) if word >> 23 == 0x125 else kept | value << shift) & _MASK
        else:
            return False
        return True


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass
class Outcome:
    """What a run over images found: counts, and a line for each position that was unwound wrongly."""

    functions: int = 0
    prologue_positions: int = 0
    epilogue_positions: int = 0
    methods: int = 0
    call_sites: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        positions = f"{self.prologue_positions} positions in prologues, {self.epilogue_positions} in epilogues"
        told = f"GcInfo of {self.methods} methods with {self.call_sites} call sites"
        return f"{self.functions} functions, {positions}; {told}; {sum(self.left_out.values())} left out, {len(self.wrong)} wrong"


class Functions:
    """The functions of one image, run one after the other."""

    def __init__(self, image: PEImage, outcome: Outcome) -> None:
        self._image = image
        self._outcome = outcome

    def check(self, begin: int, unwind_data: int) -> None:
        """Run the prologue and each epilogue of one function, and unwind before each instruction."""
        memory: Any = SimpleNamespace(bytes=lambda address, size: self._image.read(address - _CODE, size))
        data = read_unwind_data(memory, _CODE, _CODE + unwind_data)
        code = self._image.read(begin, 4 * data.words)
        words = [int.from_bytes(code[at : at + 4], "little") for at in range(0, len(code), 4)]
        self._outcome.functions += 1
        body = self._prologue(data, begin, unwind_data, words)
        if body is None:
            return
        for start, index in _epilogues(data):
            end = start + scope_instructions(data.codes, index)
            processor = Processor([*body.registers], {**body.stack})
            for number in (*range(19, 29), _LR):
                if processor.registers[number] in body.stack.values():  # saved, so that the body could use it
                    processor.registers[number] = 0xBAD0 + number
            for position in range(start, end + 1):
                self._outcome.epilogue_positions += 1
                if not self._step(processor, begin, unwind_data, position, words, "epilogue"):
                    break

    def _prologue(self, data: UnwindData, begin: int, unwind_data: int, words: list[int]) -> Processor | None:
        """The processor behind the prologue; None where an instruction in it is not known."""
        processor = Processor([*range(0x1000, 0x1000 + _LR), _CALLER, _STACK])
        end = scope_instructions(data.codes, 0)
        for position in range(end):
            self._outcome.prologue_positions += 1
            if not self._step(processor, begin, unwind_data, position, words, "prologue"):
                return None
        return processor if self._unwound(processor, begin, unwind_data, end, "body") else None

    def _step(self, processor: Processor, begin: int, unwind_data: int, position: int, words: list[int], where: str) -> bool:
        if not self._unwound(processor, begin, unwind_data, position, where):
            return False
        try:
            processor.carry_out(words[position])
        except NotCarriedOut as error:
            self._outcome.left_out[f"{where}: {error}"] += 1
            return False
        return True

    def _unwound(self, processor: Processor, begin: int, unwind_data: int, position: int, where: str) -> bool:
        at = begin + 4 * position
        values = dict(zip(_NAMES, processor.registers, strict=True)) | {"pc": _CODE + at}
        memory: Any = SimpleNamespace(
            bytes=lambda address, size: self._image.read(address - _CODE, size),
            pointer=lambda address: processor.stack.get(address, 0xDEAD),
        )
        try:
            found = unwind(memory, RegisterContext("arm64", values), _CODE, _CODE + begin, _CODE + unwind_data)
            kept = [found.value(name) for name in CALLEE_SAVED["arm64"] if name != "lr"]
            right = (found.ip, found.sp, kept) == (_CALLER, _STACK, [*range(0x1000 + 19, 0x1000 + _LR)])
            problem = f"to {found.ip:#x}, sp {found.sp - _STACK:+#x}, {kept}"
        except Malformed as error:
            right, problem = False, str(error)
        if not right:
            self._outcome.wrong.append(f"{begin:#x}+{4 * position} in the {where}: {problem}")
        return right


def _epilogues(data: UnwindData) -> Iterator[tuple[int, int]]:
    yield from data.epilogs
    if data.at_end is not None:
        yield data.words - 1 - scope_instructions(data.codes, data.at_end), data.at_end


def _check_gc_info(image: PEImage, begin: int, unwind_data: int, size_bytes: int, version: int, outcome: Outcome) -> None:
    """GcInfo of a method must tell the length of its code, and call sites that each follow a call."""
    memory: Any = SimpleNamespace(bytes=image.read)
    at = unwind_data + piece_size(memory, 0, unwind_data)

    def source(offset: int, size: int) -> bytes:
        section = next(section for section in image.headers.sections if section.rva <= at < section.rva + section.file_size)
        return image.read(at + offset, min(size, section.rva + section.file_size - at - offset))

    info = decode_gc_info(source, version, "arm64")
    outcome.methods += 1
    outcome.call_sites += len(info.safe_points)
    if info.header.code_length != size_bytes:
        outcome.wrong.append(f"{begin:#x}: GcInfo tells {info.header.code_length} bytes of {size_bytes}")
    for point in info.safe_points:
        word = int.from_bytes(image.read(begin + point - 4, 4), "little")
        if not (word >> 26 in (0b100101, 0b000101) or word & 0xFFDFFC1F == 0xD61F0000):  # bl, b, blr, br: a tail call counts too
            outcome.wrong.append(f"{begin:#x}+{point}: GcInfo has a call site behind {word:08x}")


def check_images(runtime: str, every: int = 1) -> Outcome:
    """Check each `every`-th function of all ready-to-run images of a runtime's framework."""
    outcome, number = Outcome(), 0
    version = GC_INFO_VERSIONS.get(".".join(runtime.split(".")[:2]), 2)
    for file in sorted(framework_directory(runtime).glob("*.dll")):
        try:
            image = PEImage.from_file(file)
            ready = ReadyToRunImage(image)
        except HeaphoundError:
            continue  # IL alone
        functions = Functions(image, outcome)
        for begin, unwind_data in ready.functions():
            number += 1
            if number % every:
                continue
            functions.check(begin, unwind_data)
            method = ready.method_at(image.base + begin)
            if method is not None and method.start == image.base + begin:
                _check_gc_info(image, begin, unwind_data, ready.method_size(method), version, outcome)
    return outcome


def main() -> int:
    """Run from the command line; the exit status says whether everything was unwound right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", default="8.0.31-arm64")
    parser.add_argument("--every", type=int, default=1, help="check each N-th function")
    arguments = parser.parse_args()
    outcome = check_images(arguments.runtime, arguments.every)
    print(outcome)
    for reason, count in outcome.left_out.most_common(12):
        print(f"   {count} {reason}")
    print("\n".join(outcome.wrong[:20]))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
