"""Header, code and exception clauses of an IL method body (ECMA-335 II.25.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from struct import iter_unpack, unpack

from heaphound.errors import Malformed

_MORE_SECTIONS = 0x08
_INIT_LOCALS = 0x10
_MAXIMUM_SECTIONS = 8  # compilers write one
_MAXIMUM_CODE_BYTES = 4 << 20  # the JIT itself gives up on far smaller methods; generated tables reach some hundred kilobytes


@dataclass(frozen=True, slots=True)
class ExceptionClause:
    """A protected range and its handler, in IL offsets. `token` is the class of a catch, else 0; `filter_offset` only for filters."""

    kind: str
    try_start: int
    try_end: int
    handler_start: int
    handler_end: int
    token: int
    filter_offset: int | None


@dataclass(frozen=True, slots=True)
class MethodBody:
    """One method's IL. `local_signature` is a StandAloneSig token or 0."""

    code: bytes
    max_stack: int
    init_locals: bool
    local_signature: int
    clauses: tuple[ExceptionClause, ...]


def read_method_body(read: Callable[[int, int], bytes], start: int) -> MethodBody:
    """The body at `start`, out of `read(position, size_bytes)`. Raises Malformed, and what `read` raises for absent bytes."""
    first = read(start, 1)[0]
    if first & 3 == 2:
        return MethodBody(read(start + 1, first >> 2), 8, False, 0, ())
    if first & 7 != 3:
        raise Malformed(f"method body at {start:#x} starts with {first:#x}, neither a tiny nor a fat header")
    flags, max_stack, size, local_signature = unpack("<HHII", read(start, 12))
    header = (flags >> 12) * 4
    if header < 12 or size > _MAXIMUM_CODE_BYTES:
        raise Malformed(f"method body at {start:#x} claims a header of {header} bytes and {size} bytes of code")
    code = read(start + header, size)
    clauses = _sections(read, start + header + size) if flags & _MORE_SECTIONS else ()
    return MethodBody(code, max_stack, bool(flags & _INIT_LOCALS), local_signature, clauses)


def _sections(read: Callable[[int, int], bytes], position: int) -> tuple[ExceptionClause, ...]:
    clauses: list[ExceptionClause] = []
    for _ in range(_MAXIMUM_SECTIONS):
        position = (position + 3) & ~3
        kind, size = unpack("<B3s", read(position, 4))
        fat = bool(kind & 0x40)
        size_bytes = int.from_bytes(size, "little") if fat else size[0]
        if size_bytes < 4:
            raise Malformed(f"method data section at {position:#x} claims {size_bytes} bytes")
        if kind & 0x3F == 1:
            clauses.extend(_clauses(read(position + 4, size_bytes - 4), fat))
        if not kind & 0x80:
            return tuple(clauses)
        position += size_bytes
    raise Malformed(f"method body has more than {_MAXIMUM_SECTIONS} data sections")


def _clauses(data: bytes, fat: bool) -> list[ExceptionClause]:
    layout, width = ("<IIIIII", 24) if fat else ("<HHBHBI", 12)
    clauses = []
    for flags, try_start, try_size, start, size, extra in iter_unpack(layout, data[: len(data) // width * width]):
        kind = {0: "catch", 1: "filter", 2: "finally", 4: "fault"}.get(flags & 7)
        if kind is None:
            raise Malformed(f"exception clause has the flags {flags:#x}")
        token = extra if kind == "catch" else 0
        filter_offset = extra if kind == "filter" else None
        clauses.append(ExceptionClause(kind, try_start, try_start + try_size, start, start + size, token, filter_offset))
    return clauses
