"""Encoded tables of methods compiled ahead of time, out of the core library of a runtime: they need no process, nor its machine."""

from collections.abc import Iterator
from struct import iter_unpack
from types import SimpleNamespace
from typing import Any

from heaphound.dump.registers import Machine
from heaphound.runtime.arguments.gc_ref_map import find_map
from heaphound.runtime.native_format import NativeReader, array_element
from heaphound.runtime.pe import PEImage
from heaphound.runtime.ready_to_run import ReadyToRunImage
from heaphound.runtime.stacks.debug_info import BoundsKind
from heaphound.runtime.stacks.unwinding import gc_info_address
from tests.lab.blobs import BYTES, CODE_BYTES, Blob, Kind, chosen
from tests.lab.runtimes import framework_directory

CORE_LIBRARY = "System.Private.CoreLib.dll"
_IMPORT_SECTIONS, _DEBUG_INFO = 101, 105  # ReadyToRunSectionType, src/coreclr/inc/readytorun.h
_PACKED_SINCE_GC_INFO = 4  # 10.0 brought both
_PACKED = 3  # of unwind data of arm64: then it is no address


def framework_blobs(runtime: str, methods: int) -> list[Blob]:
    """Tables of up to `methods` methods of the core library of a runtime, and as many maps of arguments."""
    library = _Library(runtime)
    functions = chosen(list(library.ready.functions()), methods)
    cells = chosen(list(library.cells()), methods)
    found = [blob for begin, unwind_data in functions for blob in library.of_function(begin, unwind_data)]
    return found + [blob for cell in cells for blob in library.of_cell(cell)]


class _Library:
    """One image, whose addresses are what its tables have: relative to its base."""

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._image = PEImage.from_file(framework_directory(runtime) / CORE_LIBRARY)
        self.ready = ReadyToRunImage(self._image)
        self._machine: Machine = "arm64" if self._image.is_arm64 else "x64"
        self._memory: Any = SimpleNamespace(bytes=self._image.read, u8=lambda rva: self._image.read(rva, 1)[0])
        self._debug_info = NativeReader(self.ready.section(_DEBUG_INFO) or b"\0")

    def of_function(self, begin: int, unwind_data: int) -> Iterator[Blob]:
        """Those of one RUNTIME_FUNCTION; GcInfo and debug information where a method begins with it."""
        where = f"{self._runtime} {begin:#x}"
        packed = self._machine == "arm64" and bool(unwind_data & _PACKED)
        method = self.ready.method_at(self.ready.base + begin)
        size = CODE_BYTES if method is None else min(CODE_BYTES, self.ready.method_size(method))
        data = b"" if packed else self._read(unwind_data, "unwind data")
        yield Blob("unwind data", where, self._machine, data, code=self._image.read(begin, size), unwind_data=unwind_data)
        if method is None or method.start != self.ready.base + begin or packed:
            return
        at = gc_info_address(self._memory, self._machine, 0, unwind_data)
        yield Blob("GcInfo", where, self._machine, self._read(at, "GcInfo"), self.ready.gc_info_version)
        payload = array_element(self._debug_info, self.ready.function_index(method.start) or 0)
        if payload is not None:
            back, behind = self._debug_info.unsigned(payload)
            start = payload - back if back else behind
            bounds: BoundsKind = "packed" if self.ready.gc_info_version >= _PACKED_SINCE_GC_INFO else "nibbles"
            data = self._debug_info.data[start : start + BYTES["debug information"]]
            yield Blob("debug information", where, self._machine, data, bounds=bounds)

    def cells(self) -> Iterator[int]:
        """Cells of imports whose calls have a map."""
        data = self.ready.section(_IMPORT_SECTIONS) or b""
        for start, size, _, _, entry_bytes, _, auxiliary in iter_unpack("<IIHBBII", data):
            if auxiliary:
                yield from range(start, start + size, entry_bytes or 8)

    def of_cell(self, cell: int) -> Iterator[Blob]:
        """The map of one cell."""
        at = find_map(self._memory, self.ready, self.ready.base + cell)
        if at is not None:
            yield Blob("GCRefMap", f"{self._runtime} {cell:#x}", self._machine, self._read(at, "GCRefMap"))

    def _read(self, rva: int, kind: Kind) -> bytes:
        section = next(section for section in self._image.headers.sections if section.rva <= rva < section.rva + section.file_size)
        return self._image.read(rva, min(BYTES[kind], section.rva + section.file_size - rva))
