"""Where the part of a stack that was never used ends."""

import pytest

from heaphound.dump.memory import Memory
from heaphound.dump.ranges import Ranges
from heaphound.dump.stacks import ThreadStack, untouched_end

PAGE = 4096
START = 0x7F0000000000
PAGES = 600  # more than are looked at together


class Bytes:
    """Stands in for the memory of a dump that has just this stack."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def bytes(self, address: int, size_bytes: int) -> bytes:
        return self._data[address - START : address - START + size_bytes]


def end_of(data: bytes) -> int:
    end = START + len(data)
    memory: Memory = Bytes(data)  # type: ignore[assignment]
    return untouched_end(memory, ThreadStack(1, START, end, end - 8, exact=True), Ranges([(START, end)])) - START


@pytest.mark.parametrize("offset", [0, 1, PAGE - 1, PAGE, 3 * PAGE + 7, 255 * PAGE, 256 * PAGE - 1, 256 * PAGE, 300 * PAGE, 600 * PAGE - 1])
@pytest.mark.parametrize("pages", [PAGES, PAGES + 1])
def test_it_ends_at_the_first_page_that_holds_anything(offset: int, pages: int) -> None:
    data = bytearray(pages * PAGE)
    data[offset] = 1
    data[-1] = 1
    assert end_of(bytes(data)) == offset // PAGE * PAGE


def test_a_stack_of_zeros_was_never_used() -> None:
    assert end_of(bytes(3 * PAGE)) == 3 * PAGE
