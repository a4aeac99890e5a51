"""Debug information of methods: IL maps and places of variables, of JIT and ready-to-run code; each method's is read once."""

from functools import cached_property

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.native_format import NativeReader, array_element
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.debug_info import BoundsKind, ILMap, Patchpoints, ReadBytes, read_il_map, read_variables_data
from heaphound.runtime.stacks.frame import FrameCode, ManagedFrame
from heaphound.runtime.stacks.native_variables import NativeVariable, decode_variables

_DEBUG_INFO_SECTION = 105  # ReadyToRunSectionType::DebugInfo, src/coreclr/inc/readytorun.h


class DebugInfos:
    """Debug information of one runtime's methods. Every method raises Unreadable, Malformed for what is there and cannot be used."""

    def __init__(self, runtime: Runtime, locator: CodeLocator) -> None:
        self._memory = locator.tables
        self._layout = runtime.layout
        self._locator = locator
        self._maps: dict[int, ILMap | None] = {}
        self._variables: dict[int, tuple[NativeVariable, ...] | None] = {}
        self._sections: dict[int, NativeReader | None] = {}

    def il_offset(self, frame: ManagedFrame) -> int | None:
        """IL offset of the instruction that a frame runs: for a return address that of the call. None where no map tells."""
        return self.offset_in(frame.code, frame.code_offset)

    def offset_in(self, code: FrameCode, native_offset: int) -> int | None:
        """IL offset of the instruction at an offset from the method's start; None too for stubs, whose IL the runtime made up."""
        if code.method is not None and code.method.kind not in ("managed", "dynamic"):
            return None
        found = self.map_of(code)
        return None if found is None else found.il_offset(native_offset)

    def map_of(self, code: FrameCode) -> ILMap | None:
        """The IL map of a method's code; None where it has none."""
        if code.start not in self._maps:
            found = self._source(code)
            self._maps[code.start] = None if found is None else read_il_map(found[0], self._kind, found[1])
        return self._maps[code.start]

    def variables_of(self, code: FrameCode) -> tuple[NativeVariable, ...] | None:
        """Where the variables of a method are; None where it has no debug information. Raises Unreadable, Malformed."""
        if code.start not in self._variables:
            found = self._source(code)
            data = None if found is None else read_variables_data(found[0], self._kind, found[1])
            self._variables[code.start] = None if data is None else decode_variables(data)
        return self._variables[code.start]

    @cached_property
    def _kind(self) -> BoundsKind:
        return "packed" if self._layout.contract("ILMap") == "packed" else "nibbles"

    @cached_property
    def _patchpoints(self) -> Patchpoints | None:
        """None before 5.0: there was no replacement on the stack."""
        if not self._layout.has("PatchpointInfo"):
            return None
        return Patchpoints(self._layout.size("PatchpointInfo"), self._layout.offset("PatchpointInfo", "NumberOfLocals"))

    def _source(self, code: FrameCode) -> tuple[ReadBytes, Patchpoints | None] | None:
        """What reads the debug information of a method, and what precedes it; None where it has none."""
        if code.kind == "jit":
            return None if code.debug_info is None else (_reader(self._memory, code.debug_info), self._patchpoints)
        section = self._debug_section(code.image_base)
        return None if section is None else self._ready_to_run(section, code)

    def _ready_to_run(self, section: NativeReader, code: FrameCode) -> tuple[ReadBytes, None] | None:
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
        return lambda offset, size: section.data[start + offset : start + offset + size], None

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
        return memory.bytes(place, max(1, min(size, memory.readable_bytes(place, size))))

    return read
