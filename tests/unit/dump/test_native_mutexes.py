"""Who holds the pthread mutex that a thread is blocked in, by what glibc and musl write into it."""

from dataclasses import replace

import pytest

from heaphound.dump.native_mutexes import mutex_holder
from heaphound.dump.registers import ThreadRegisters
from tests.unit.runtime.written_memory import written_memory

CODE, MUTEX = 0x7F1100000000, 0x7F2200000000
FUTEX_WAIT_PRIVATE, FUTEX_WAIT_BITSET = 0x80, 0x189
X64 = {"rip": CODE + 2, "orig_rax": 202, "rdi": MUTEX, "rsi": FUTEX_WAIT_PRIVATE, "rdx": 2}
ARM64 = {"pc": CODE + 4, "x8": 98, "x0": MUTEX, "x1": FUTEX_WAIT_PRIVATE, "x2": 2}
HERE, HOLDER = 41, 42
GLIBC = 2 | 1 << 32, HOLDER  # __lock and __count, then __owner and __nusers


@pytest.mark.parametrize(
    ("changed", "words", "found"),
    [
        ({}, GLIBC, (MUTEX, HOLDER)),
        ({}, (2 | 1 << 32, HERE), None),  # by itself: it would not have been called a contended mutex
        ({}, (2 | 1 << 32, 77), None),  # no thread of the process
        ({}, (0, HOLDER), None),  # released just now
        ({"rsi": FUTEX_WAIT_BITSET}, GLIBC, None),  # a condition variable
        ({"rdx": 0x80000000 | HOLDER}, (0x80000000 | HOLDER, 0), (MUTEX, HOLDER)),  # musl
        ({"rdx": 0x80000010}, (0x80000010, 0), None),  # musl, of the kind that does not know its holder
        ({"rdi": MUTEX + 4096}, GLIBC, None),  # not in the dump
        ({"orig_rax": 230}, GLIBC, None),
    ],
)
def test_the_holder_is_in_the_mutex(changed: dict[str, int], words: tuple[int, int], found: tuple[int, int] | None) -> None:
    image, memory = written_memory()
    image.words(CODE, 0x050F)
    image.words(MUTEX, *words)
    thread = ThreadRegisters(HERE, "x64", 0, {**X64, **changed})
    assert mutex_holder(memory, thread, {HERE, HOLDER}) == found


def test_arm64_has_other_registers() -> None:
    image, memory = written_memory()
    image.words(CODE, 0xD4000001)
    image.words(MUTEX, *GLIBC)
    thread = ThreadRegisters(HERE, "arm64", 0, ARM64)
    assert mutex_holder(memory, thread, {HERE, HOLDER}) == (MUTEX, HOLDER)
    assert mutex_holder(memory, replace(thread, registers={**ARM64, "x1": FUTEX_WAIT_BITSET}), {HERE, HOLDER}) is None
