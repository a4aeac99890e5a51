"""Names of native functions: by the dynamic symbols that lie in memory, and the full symbol table of the same file where it is at hand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from struct import iter_unpack, unpack_from

from heaphound._core import demangle
from heaphound.dump.disk_file import DiskFile, FileFinder, NotUsable
from heaphound.dump.elf_modules import ElfModule
from heaphound.errors import HeaphoundError, LimitExceeded, Malformed
from heaphound.limits import LIMITS

_SYMBOL_BYTES = 24
_SECTION_BYTES = 64
_SYMTAB = 2  # SHT_SYMTAB
_FUNCTIONS = (0, 2, 10)  # STT_NOTYPE (hand-written code), STT_FUNC, STT_GNU_IFUNC
_LOCAL = 0  # STB_LOCAL
_MOST_NAMES = 256  # of one address that are compared; aliases in libraries are some dozens


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function's name as its authors wrote it, and the offset in it in bytes."""

    name: str
    offset: int


class NativeSymbols:
    """Names addresses of one core's images. A module's tables are read at the first question about it."""

    def __init__(self, files: FileFinder) -> None:
        """`files` finds those of images, as for `attach_binaries`."""
        self._finder = files
        self._tables: dict[int, _Table] = {}

    def find(self, module: ElfModule, ip: int, active: bool) -> Symbol | None:
        """The function that `ip` lies in (unless `active`: that the call before it lies in); None where no table names one."""
        table = self._tables.get(module.base)
        if table is None:
            table = self._tables[module.base] = _read_table(module, self._finder)
        found = table.at(ip - (not active))
        if found is None:
            return None
        name, start = found
        text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # a broken image has names that are no UTF-8
        return Symbol(demangle(text) or text, ip - start)


class _Table:
    """Functions by address. `name` reads the name that begins at an offset."""

    def __init__(self, rows: Sequence[tuple[int, int, int, int]], name: Callable[[int], str]) -> None:
        """`rows`: (start, size, rank, offset of the name); of several at one address that of the lowest rank counts."""
        self._rows = sorted(rows)
        self._starts = [row[0] for row in self._rows]
        self._name = name

    def at(self, address: int) -> tuple[str, int] | None:
        """(name, start)"""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start = self._starts[index]
        first = index
        while first > max(0, index - _MOST_NAMES) and self._starts[first - 1] == start:
            first -= 1
        for start, size, _, name in sorted(self._rows[first : index + 1], key=lambda row: row[2]):
            if address < start + size:
                return self._name(name), start
        return None


def _read_table(module: ElfModule, finder: FileFinder) -> _Table:
    """The larger table that there is: of the file, else of memory."""
    if module.build_id is not None:
        for candidate in finder.candidates(module.path):
            try:
                with DiskFile(candidate) as file:
                    table = _of_file(module, file)
            except (NotUsable, HeaphoundError):
                continue
            if table is not None:
                return table
    try:
        return _of_memory(module)
    except HeaphoundError:
        return _Table([], str)


def _of_file(module: ElfModule, file: DiskFile) -> _Table | None:
    """The table .symtab of the module's own file (the build-ids are equal); None where it is another file or was stripped."""
    headers = file.headers()
    if headers is None or file.build_id(headers) != module.build_id:
        return None
    head = file.read(0, 64)
    (table,) = unpack_from("<Q", head, 40)
    entry_size, count = unpack_from("<HH", head, 58)
    if entry_size != _SECTION_BYTES:
        return None
    sections = list(iter_unpack("<IIQQQQIIQQ", file.read(table, _SECTION_BYTES * count)))
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind == _SYMTAB and link < count:
            _check_count(size // _SYMBOL_BYTES)
            names = file.read(sections[link][4], min(sections[link][5], LIMITS.symbol_names_bytes))
            rows = list(_functions(file.read(offset, size // _SYMBOL_BYTES * _SYMBOL_BYTES), module.bias))
            return _Table(rows, partial(_text, names))
    return None


def _of_memory(module: ElfModule) -> _Table:
    symbols = module.symbols()
    if symbols is None:
        return _Table([], str)
    count = symbols.count()
    _check_count(count)
    rows = list(_functions(module.memory.bytes(symbols.symbols, _SYMBOL_BYTES * count), module.bias))
    return _Table(rows, partial(_name_in_memory, module, symbols.names))


def _name_in_memory(module: ElfModule, names: int, at: int) -> str:
    try:
        return module.memory.cstring(names + at)
    except HeaphoundError:
        return "?"


def _functions(data: bytes, bias: int) -> Iterator[tuple[int, int, int, int]]:
    """Rows of a table: defined functions, global names before local ones. What has no size may end anywhere, and names nothing."""
    for name, info, _, section, value, size in iter_unpack("<IBBHQQ", data):
        if section and value and size and name and info & 15 in _FUNCTIONS:
            yield bias + value, size, 2 * (info >> 4 == _LOCAL) + (info & 15 == 0), name


def _text(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at : end if end >= 0 else len(names)][: LIMITS.symbol_name_bytes].decode("utf-8", "replace")


def _check_count(count: int) -> None:
    if count < 0:
        raise Malformed(f"a symbol table claims {count} symbols")
    if count > LIMITS.dynamic_symbols:
        raise LimitExceeded(f"a symbol table has {count} symbols, at most {LIMITS.dynamic_symbols} are read")
