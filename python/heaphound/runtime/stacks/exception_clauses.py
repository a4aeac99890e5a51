"""Which funclets of a method are filters (`when`): by the method's table of exception clauses.

JIT code: src/coreclr/vm/codeman.cpp (EE_ILEXCEPTION: the count in the word before, 8 bytes of head, then 32 bytes a clause). Ready-to-run:
section ExceptionInfo, a table of {method RVA, clauses RVA} with an end mark, 24 bytes a clause
(docs/design/coreclr/botr/readytorun-format.md). In both a clause begins with flags, and the filter's offset replaces the class.
"""

from bisect import bisect_left
from struct import unpack_from

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.stacks.frame import FrameCode

_FILTER = 1  # COR_ILEXCEPTION_CLAUSE_FILTER
_JIT_HEAD_BYTES, _JIT_CLAUSE_BYTES, _JIT_FILTER = 8, 32, 24
_IMAGE_SECTION, _IMAGE_CLAUSE_BYTES, _IMAGE_FILTER = 104, 24, 20


class ExceptionClauses:
    """Filters of methods, each method's read once."""

    def __init__(self, memory: Memory, layout: Layout, locator: CodeLocator) -> None:
        self._memory = memory
        self._layout = layout
        self._locator = locator
        self._known: dict[int, frozenset[int]] = {}
        self._tables: dict[int, tuple[int, ...]] = {}

    def is_filter(self, code: FrameCode) -> bool:
        """Whether a frame's fragment is a filter. Raises Unreadable, Malformed."""
        if not code.is_funclet:
            return False
        if code.start not in self._known:
            self._known[code.start] = self._jit(code) if code.kind == "jit" else self._image(code)
        return code.funclet_start - code.start in self._known[code.start]

    def _jit(self, code: FrameCode) -> frozenset[int]:
        memory = self._memory
        table = memory.pointer(memory.pointer(code.start - 8) + self._layout.offset("RealCodeHeader", "EHInfo"))
        if not table:
            return frozenset()
        count = memory.u64(table - 8)
        if count > LIMITS.exception_clauses:
            raise LimitExceeded(f"the method at {code.start:#x} claims {count} exception clauses")
        data = memory.bytes(table + _JIT_HEAD_BYTES, count * _JIT_CLAUSE_BYTES)
        return _filters(data, _JIT_CLAUSE_BYTES, _JIT_FILTER)

    def _image(self, code: FrameCode) -> frozenset[int]:
        table = self._table(code.image_base)
        method = code.start - code.image_base
        index = bisect_left(table[0::2], method)
        if 2 * index + 3 >= len(table) or table[2 * index] != method:
            return frozenset()
        start, end = table[2 * index + 1], table[2 * index + 3]
        if not 0 <= end - start <= LIMITS.exception_clauses * _IMAGE_CLAUSE_BYTES:
            raise LimitExceeded(f"the method at {code.start:#x} claims {end - start} bytes of exception clauses")
        return _filters(self._memory.bytes(code.image_base + start, end - start), _IMAGE_CLAUSE_BYTES, _IMAGE_FILTER)

    def _table(self, image_base: int) -> tuple[int, ...]:
        if image_base not in self._tables:
            owner = self._locator.section_at(image_base)
            image = None if owner is None else self._locator.image(owner)
            data = None if image is None or isinstance(image, str) else image.section(_IMAGE_SECTION)
            self._tables[image_base] = () if data is None else unpack_from(f"<{len(data) // 8 * 2}I", data)
        return self._tables[image_base]


def _filters(data: bytes, clause_bytes: int, filter_offset: int) -> frozenset[int]:
    starts = range(0, len(data) - clause_bytes + 1, clause_bytes)
    clauses = ((unpack_from("<I", data, start)[0], unpack_from("<I", data, start + filter_offset)[0]) for start in starts)
    return frozenset(offset for flags, offset in clauses if flags & _FILTER)
