"""IL offsets and source lines of frames, by the debug information of JIT and ready-to-run code and the PDBs that were found."""

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.methods import Method
from heaphound.runtime.native_format import NativeReader, array_element
from heaphound.runtime.portable_pdb import SourceLocation
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.debug_info import BoundsKind, ILMap, Patchpoints, ReadBytes, read_il_map
from heaphound.runtime.stacks.frame import FrameCode, ManagedFrame
from heaphound.runtime.symbols import SymbolStore
from heaphound.runtime.typesystem import TypeSystem

_DEBUG_INFO_SECTION = 105  # ReadyToRunSectionType::DebugInfo, src/coreclr/inc/readytorun.h


class ILMaps:
    """IL maps of methods, each read once."""

    def __init__(self, runtime: Runtime, locator: CodeLocator, typesystem: TypeSystem, symbols: SymbolStore) -> None:
        self._memory = locator.tables
        self._kind: BoundsKind = "packed" if runtime.layout.contract("ILMap") == "packed" else "nibbles"
        layout = runtime.layout
        self._patchpoints: Patchpoints | None = None  # before 5.0 there was no replacement on the stack
        if layout.has("PatchpointInfo"):
            self._patchpoints = Patchpoints(layout.size("PatchpointInfo"), layout.offset("PatchpointInfo", "NumberOfLocals"))
        self._locator = locator
        self._types = typesystem
        self._symbols = symbols
        self._maps: dict[int, ILMap | None] = {}
        self._sections: dict[int, NativeReader | None] = {}

    def il_offset(self, frame: ManagedFrame) -> int | None:
        """IL offset of the instruction that a frame runs: for a return address that of the call. None where no map tells.

        Raises Unreadable, Malformed for debug information that is there and cannot be used.
        """
        return self.offset_in(frame.code, frame.native_offset - (0 if frame.active or frame.interrupted else 1))

    def offset_in(self, code: FrameCode, native_offset: int) -> int | None:
        """IL offset of the instruction at an offset from the method's start; None too for stubs, whose IL the runtime made up.

        Raises as `il_offset` does.
        """
        if code.method is not None and code.method.kind not in ("managed", "dynamic"):
            return None
        found = self.map_of(code)
        return None if found is None else found.il_offset(native_offset)

    def place(self, method: Method | None, il_offset: int) -> SourceLocation | None:
        """File and line of an IL offset of a method; None without metadata, module or PDB. Raises Malformed for a broken PDB."""
        module = None if method is None or not method.rid else self._types.module_at(method.module)
        if method is None or module is None or module.pe is None:
            return None
        pdb = self._symbols.find(module.pe, module.path).pdb
        return None if pdb is None else pdb.location(method.rid, il_offset)

    def map_of(self, code: FrameCode) -> ILMap | None:
        """The IL map of a method's code; None where it has none. Raises Unreadable, Malformed."""
        if code.start not in self._maps:
            self._maps[code.start] = self._read(code)
        return self._maps[code.start]

    def _read(self, code: FrameCode) -> ILMap | None:
        if code.kind == "jit":
            return None if code.debug_info is None else read_il_map(_reader(self._memory, code.debug_info), self._kind, self._patchpoints)
        section = self._debug_section(code.image_base)
        if section is None:
            return None
        return self._ready_to_run(section, code)

    def _ready_to_run(self, section: NativeReader, code: FrameCode) -> ILMap | None:
        """Ready-to-run: an array by index of the method's first RUNTIME_FUNCTION; an entry may refer back to an equal one."""
        owner = self._locator.section_at(code.start)
        image = None if owner is None else self._locator.image(owner)
        index = None if image is None or isinstance(image, str) else image.function_index(code.start)
        payload = None if index is None else array_element(section, index)
        if payload is None:
            return None
        back, behind = section.unsigned(payload)
        start = payload - back if back else behind
        if not 0 <= start < len(section.data):
            raise Malformed(f"the debug information of the method at {code.start:#x} lies outside of its section")
        return read_il_map(lambda offset, size: section.data[start + offset : start + offset + size], self._kind, None)

    def _debug_section(self, image_base: int) -> NativeReader | None:
        if image_base not in self._sections:
            owner = self._locator.section_at(image_base)
            image = None if owner is None else self._locator.image(owner)
            data = None if image is None or isinstance(image, str) else image.section(_DEBUG_INFO_SECTION)
            self._sections[image_base] = None if data is None else NativeReader(data)
        return self._sections[image_base]


def _reader(memory: Memory, address: int) -> ReadBytes:
    def read(offset: int, size: int) -> bytes:
        place = address + offset
        return memory.bytes(place, max(1, min(size, memory.image.readable_bytes(place, size))))

    return read


MAP_ERRORS = (Unreadable, Malformed, LayoutError)
