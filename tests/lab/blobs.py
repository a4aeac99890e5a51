"""Encoded tables of real methods, out of a core: what `tests.lab.blob_runs` breaks. Those of images: `tests.lab.framework_blobs`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from heaphound.dump.memory import Memory
from heaphound.dump.registers import Machine
from heaphound.errors import HeaphoundError
from heaphound.layouts.schema import Layout
from heaphound.runtime.nibble_map import NibbleMap, NibbleMapKind
from heaphound.runtime.stacks.debug_info import BoundsKind, Patchpoints
from heaphound.session import Session

Kind = Literal["GcInfo", "unwind data", "debug information", "GCRefMap", "nibble map"]
BYTES: dict[Kind, int] = {"GcInfo": 512, "unwind data": 160, "debug information": 2048, "GCRefMap": 64, "nibble map": 4096}
"""How much of each is taken: more than all but a few methods have, and some of what follows."""
CODE_BYTES = 512
_T = TypeVar("_T")


@dataclass(frozen=True)
class Blob:
    """Bytes from where a table begins; nothing tells where it ends. Fields that its kind has no use for keep what they are."""

    kind: Kind
    source: str
    """Core or image, and the address of the method or table there."""
    machine: Machine
    data: bytes
    gc_info_version: int = 2
    code: bytes = b""
    """Of unwind data: instructions of the method, in which epilogues are looked for."""
    unwind_data: int = 0
    """Of unwind data: what the RUNTIME_FUNCTION has, which on arm64 may be packed data itself."""
    bounds: BoundsKind = "nibbles"
    patchpoints: Patchpoints | None = None
    nibbles: NibbleMapKind = "linear"


def chosen(values: Sequence[_T], count: int) -> Sequence[_T]:
    """Up to `count` of them, evenly."""
    return values[:: max(1, len(values) // count)][:count]


def core_blobs(core: Path, methods: int) -> list[Blob]:
    """Tables of up to `methods` methods that were compiled in the process, and the maps of its code heaps."""
    session = Session(core)
    layout, memory, machine = session.runtime.layout, session.code.tables, session.core.machine
    nibbles: NibbleMapKind = "constant-time" if layout.contract("NibbleMap") == "constant-time" else "linear"
    found: list[Blob] = []
    starts: list[int] = []
    for section in session.code.sections:
        if section.map_base is not None and section.nibble_map is not None:
            heap = NibbleMap(memory, section.map_base, section.nibble_map, nibbles)
            starts.extend(heap.method_starts(section.start + (section.used_bytes or 0)))
            data = _bytes(memory, section.nibble_map, "nibble map")
            found.append(Blob("nibble map", f"{core.name} {section.start:#x}", machine, data, nibbles=nibbles))
    for start in chosen(starts, methods):
        found.extend(_of_method(session, layout, start, f"{core.name} {start:#x}"))
    return found


def _of_method(session: Session, layout: Layout, start: int, where: str) -> list[Blob]:
    memory, machine = session.code.tables, session.core.machine
    try:
        code = session.stacks.codes.find(start)
    except HeaphoundError:
        return []  # the map names stubs too
    if code is None:
        return []
    instructions = memory.bytes(start, memory.readable_bytes(start, min(CODE_BYTES, code.fragment_end - start)))
    unwind_data, word = _bytes(memory, code.unwind_info, "unwind data"), code.unwind_info - code.image_base
    found = [
        Blob("GcInfo", where, machine, _bytes(memory, code.gc_info, "GcInfo"), layout.constant("GCInfoVersion")),
        Blob("unwind data", where, machine, unwind_data, code=instructions, unwind_data=word),
    ]
    if code.debug_info is not None:
        data, bounds = _bytes(memory, code.debug_info, "debug information"), _bounds(layout)
        found.append(Blob("debug information", where, machine, data, bounds=bounds, patchpoints=_patchpoints(layout)))
    return found


def _bounds(layout: Layout) -> BoundsKind:
    return "packed" if layout.contract("ILMap") == "packed" else "nibbles"


def _patchpoints(layout: Layout) -> Patchpoints | None:
    if not layout.has("PatchpointInfo"):
        return None
    return Patchpoints(layout.size("PatchpointInfo"), layout.offset("PatchpointInfo", "NumberOfLocals"))


def _bytes(memory: Memory, address: int, kind: Kind) -> bytes:
    return memory.bytes(address, max(1, memory.readable_bytes(address, BYTES[kind])))
