"""Words of a core that the commands about threads read, and what a hostile core could have there instead."""

import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from heaphound.dump.core import open_core
from heaphound.dump.memory import Memory

_WORD = 8
_LONGEST_READ = 1 << 16  # tables and images are read whole by the megabyte; lies about their bytes would be lies about nothing
_STACK_WORDS = 256
_ALL_ONES = (1 << 64) - 1
_BITS = (7, 8, 16, 31, 32, 47, 63, 64)
_ABSURD = (0, 1, 2, *(1 << bits for bits in _BITS[:-1]), *((1 << bits) - 1 for bits in _BITS), _ALL_ONES - 7, _ALL_ONES - 4095)


@dataclass(frozen=True)
class Lie:
    """Bytes that stand in a core at an address, and at a place of its file, instead of its own."""

    address: int
    offset: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.address:#x}={self.data.hex()}"


class ReadPlaces:
    """The words of one core that are read when questions are asked about its threads, those at their stack pointers too."""

    def __init__(self, core: Path, commands: Sequence[Sequence[str]], log: Path) -> None:
        self._segments = [(start, size, offset) for start, size, _, offset, _ in open_core(core).image.segments]
        addresses = set(_logged_reads(core, commands, log))
        for thread in open_core(core).threads:
            pointer = thread.stack_pointer & -_WORD
            addresses.update(range(pointer, pointer + _WORD * _STACK_WORDS, _WORD))
        self.places = [(address, offset) for address in sorted(addresses) if (offset := self._offset(address)) is not None]

    def _offset(self, address: int) -> int | None:
        for start, size, offset in self._segments:
            if start <= address and address + _WORD <= start + size:
                return offset + address - start
        return None

    def lies(self, chance: random.Random, count: int) -> list[Lie]:
        """`count` lies at random places, of every kind: absurd numbers, other places, the place itself, its neighbours, flipped bits."""
        return [self._lie(chance) for _ in range(count)]

    def _lie(self, chance: random.Random) -> Lie:
        address, offset = chance.choice(self.places)
        other, _ = chance.choice(self.places)
        value = chance.choice(
            (
                chance.choice(_ABSURD),
                other,
                address,
                address + _WORD * chance.randrange(-64, 64),
                other + chance.randrange(_WORD),
                chance.getrandbits(64),
                chance.getrandbits(32),
                chance.randrange(1 << 12),
            )
        )
        size = chance.choice((1, 2, 4, 8, 8, 8, 8))
        at = chance.randrange(_WORD - size + 1) if chance.random() < 0.1 else 0
        return Lie(address + at, offset + at, (value & _ALL_ONES).to_bytes(_WORD, "little")[:size])


def _logged_reads(core: Path, commands: Sequence[Sequence[str]], log: Path) -> Iterator[int]:
    """Addresses of all words that the commands read through `Memory`. A child tells: threads do not outlive a later fork."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            seen: set[int] = set()
            _log_reads(seen)
            from heaphound.cli.main import main

            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 1)
                os.dup2(nothing.fileno(), 2)
            for command in commands:
                main([command[0], str(core), *command[1:]])
            log.write_text(json.dumps(sorted(seen)))
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError(f"{core} could not be read")
    yield from json.loads(log.read_text())


def _log_reads(seen: set[int]) -> None:
    make = Memory.__init__

    def logging(memory: Memory, image: object) -> None:
        make(memory, image)  # type: ignore[arg-type]  # as Memory calls it
        for name, size in (("_read", 0), ("_u8", 1), ("_u16", 2), ("_u32", 4), ("_u64", 8), ("_i32", 4)):
            setattr(memory, name, _noting(getattr(memory, name), size, seen))

    Memory.__init__ = logging  # type: ignore[method-assign]


def _noting(read, size, seen):  # type: ignore[no-untyped-def]  # it stands for six methods
    def noted(address, *length):  # type: ignore[no-untyped-def]
        found = read(address, *length)
        asked = length[0] if length else size
        if asked <= _LONGEST_READ:
            seen.update(range(address & -_WORD, address + asked, _WORD))
        return found

    return noted


class LyingCore:
    """A copy of a core in which bytes can be changed for a while."""

    def __init__(self, core: Path, copy: Path) -> None:
        shutil.copyfile(core, copy)
        self.path = copy

    @contextmanager
    def telling(self, lies: Sequence[Lie]) -> Iterator[Path]:
        """The path of the core while it has these lies in it."""
        with open(self.path, "r+b") as file:
            before = []
            for lie in lies:
                file.seek(lie.offset)
                before.append(file.read(len(lie.data)))
                file.seek(lie.offset)
                file.write(lie.data)
            file.flush()
            try:
                yield self.path
            finally:
                for lie, data in zip(reversed(lies), reversed(before), strict=True):
                    file.seek(lie.offset)
                    file.write(data)
