"""Ready-to-run (ahead-of-time compiled) code of one image: from an address to the method whose code it is, from the file format alone.

Source: docs/design/coreclr/botr/readytorun-format.md, src/coreclr/inc/readytorun.h; the same from 3.0 to 10.0. The image names every method
that it has code for, also those that never ran.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import unpack, unpack_from

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.native_format import NativeReader, array_elements, entry_point, hashtable_entries
from heaphound.runtime.pe import PEImage
from heaphound.runtime.ready_to_run_signatures import skip_method_signature
from heaphound.runtime.runtime_functions import FUNCTION_BYTES, piece_bytes

_SIGNATURE = b"RTR\0"
_RUNTIME_FUNCTIONS = 102
_METHODDEF_ENTRY_POINTS = 103
_DELAY_LOAD_THUNKS = 106
_INSTANCE_ENTRY_POINTS = 109
_GC_INFO_SINCE = (((11, 0), 4), ((9, 2), 3))
_FIRST_GC_INFO = 2  # of all images since 2.0 of the format


@dataclass(frozen=True, slots=True)
class CompiledMethod:
    """Code of a method in an image. Exactly one of `rid` (its MethodDef row) and `signature` (an instantiation, encoded) is not None."""

    start: int
    """Address of its first instruction."""
    rid: int | None
    signature: bytes | None


class ReadyToRunImage:
    """The ready-to-run part of one image. Tables are decoded at the first question and kept."""

    def __init__(self, image: PEImage) -> None:
        self._image = image
        self.base = image.base
        self.version, self.sections = _read_header(image)
        self._begins: tuple[int, ...] | None = None
        self._ends: tuple[int, ...] | None = None
        self._unwind_data: tuple[int, ...] = ()
        self._entries: dict[int, int | bytes] | None = None
        self._entry_indices: list[int] = []

    def method_at(self, address: int) -> CompiledMethod | None:
        """The method whose code (funclets too) holds `address`; None outside of code. Raises Malformed, Unreadable."""
        begins = self._functions()
        index = bisect_right(begins, address - self._image.base) - 1
        if index < 0 or address - self._image.base >= self._end(index):
            return None
        entries = self._entry_points()
        at = bisect_right(self._entry_indices, index) - 1
        if at < 0:
            return None
        first = self._entry_indices[at]
        named = entries[first]
        start = self._image.base + begins[first]
        return CompiledMethod(start, named, None) if isinstance(named, int) else CompiledMethod(start, None, named)

    def method_size(self, method: CompiledMethod) -> int:
        """Bytes from the method's start to the end of its last funclet, alignment left out."""
        begins = self._functions()
        self._entry_points()
        first = bisect_right(begins, method.start - self._image.base) - 1
        following = bisect_right(self._entry_indices, first)
        behind = self._entry_indices[following] if following < len(self._entry_indices) else len(begins)
        return self._end(behind - 1) - begins[first]

    def method_count(self) -> int:
        """How many methods and instantiations the image has code for."""
        return len(self._entry_points())

    def section(self, kind: int) -> bytes | None:
        """Bytes of the section of a kind (ReadyToRunSectionType); None where the image has none. Raises Unreadable."""
        place = self.sections.get(kind)
        return None if place is None else self._image.read(*place)

    @property
    def gc_info_version(self) -> int:
        """Version of the GcInfo of its code. An image of the runtime's own is compiled by the same JIT as what is compiled at run time.

        GCInfoToken::ReadyToRunVersionToGcInfoVersion of src/coreclr/inc/gcinfo.h, the history in src/coreclr/inc/readytorun.h (to 10.0).
        """
        return next((gc_info for since, gc_info in _GC_INFO_SINCE if self.version >= since), _FIRST_GC_INFO)

    @property
    def function_table(self) -> tuple[int, int]:
        """Address and count of the image's RUNTIME_FUNCTIONs; (its base, 0) where it has none."""
        rva, size = self.sections.get(_RUNTIME_FUNCTIONS, (0, 0))
        return self._image.base + rva, size // FUNCTION_BYTES["arm64" if self._image.is_arm64 else "x64"]

    def function_index(self, address: int) -> int | None:
        """Index of the RUNTIME_FUNCTION that begins at or last before an address; None before the first. Raises Malformed, Unreadable."""
        index = bisect_right(self._functions(), address - self._image.base) - 1
        return index if index >= 0 else None

    def functions(self) -> Iterator[tuple[int, int]]:
        """(begin, unwind data) of every RUNTIME_FUNCTION, ascending, as the image has them: relative to its base."""
        begins = self._functions()
        return zip(begins, self._unwind_data, strict=True)

    def is_delay_load_thunk(self, address: int) -> bool:
        """Whether the address lies among the thunks through which code calls methods that may not be prepared yet."""
        rva, size = self.sections.get(_DELAY_LOAD_THUNKS, (0, 0))
        return rva <= address - self._image.base < rva + size

    def _functions(self) -> tuple[int, ...]:
        if self._begins is None:
            rva, size = self.sections.get(_RUNTIME_FUNCTIONS, (0, 0))
            size_each = FUNCTION_BYTES["arm64" if self._image.is_arm64 else "x64"]
            count, width = size // size_each, size_each // 4
            words = unpack(f"<{width * count}I", self._image.read(rva, size_each * count)) if count else ()
            begins = words[0::width]
            if any(second < first for first, second in pairwise(begins)):
                raise Malformed(f"the code ranges of the image at {self._image.base:#x} are not in ascending order")
            self._ends, self._unwind_data, self._begins = None if width == 2 else words[1::width], words[width - 1 :: width], begins
        return self._begins

    def _end(self, index: int) -> int:
        if self._ends is not None:
            return self._ends[index]
        return self._functions()[index] + piece_bytes(self._unwind_data[index], self._image.read)

    def _entry_points(self) -> dict[int, int | bytes]:
        """Index of a first RUNTIME_FUNCTION to MethodDef row or encoded instantiation."""
        if self._entries is None:
            entries: dict[int, int | bytes] = {}
            if _METHODDEF_ENTRY_POINTS in self.sections:
                reader = NativeReader(self._image.read(*self.sections[_METHODDEF_ENTRY_POINTS]))
                for index, payload in array_elements(reader):
                    entries[entry_point(reader, payload)] = index + 1
            if _INSTANCE_ENTRY_POINTS in self.sections:
                reader = NativeReader(self._image.read(*self.sections[_INSTANCE_ENTRY_POINTS]))
                for payload in hashtable_entries(reader):
                    signature_end = skip_method_signature(reader.data, payload)
                    entries[entry_point(reader, signature_end)] = reader.data[payload:signature_end]
            self._entries = entries
            self._entry_indices = sorted(entries)
        return self._entries


def _read_header(image: PEImage) -> tuple[tuple[int, int], dict[int, tuple[int, int]]]:
    """(major, minor) of the format, and section kind to (RVA, size in bytes), out of the READYTORUN_HEADER. Malformed without one."""
    directory = image.managed_native_header
    if directory is None:
        raise Malformed(f"the image at {image.base:#x} has no ready-to-run header")
    header = image.read(directory[0], 16)
    major, minor, _, count = unpack_from("<HHII", header, 4)
    if header[:4] != _SIGNATURE:
        raise Malformed(f"the native header of the image at {image.base:#x} is {header[:4].hex()}, not ready-to-run")
    if count > LIMITS.image_sections:
        raise LimitExceeded(f"the image at {image.base:#x} claims {count} ready-to-run sections")
    raw = image.read(directory[0] + 16, 12 * count)
    return (major, minor), {kind: (rva, size) for kind, rva, size in (unpack_from("<III", raw, 12 * index) for index in range(count))}
