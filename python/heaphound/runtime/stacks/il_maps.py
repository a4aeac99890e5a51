"""IL offsets and source lines of frames, by debug information and the PDBs that were found."""

from heaphound.runtime.methods import Method
from heaphound.runtime.portable_pdb import PortablePdb, SourceLocation
from heaphound.runtime.stacks.debug_info import ILMap
from heaphound.runtime.stacks.debug_infos import DebugInfos
from heaphound.runtime.stacks.frame import FrameCode, ManagedFrame
from heaphound.runtime.symbols import SymbolStore
from heaphound.runtime.typesystem import TypeSystem


class ILMaps:
    """IL offsets, and the lines of source that they come from."""

    def __init__(self, debug_infos: DebugInfos, typesystem: TypeSystem, symbols: SymbolStore) -> None:
        self._debug_infos = debug_infos
        self._types = typesystem
        self._symbols = symbols

    def il_offset(self, frame: ManagedFrame) -> int | None:
        """IL offset of the instruction that a frame runs: for a return address that of the call. None where no map tells.

        Raises Unreadable, Malformed for debug information that is there and cannot be used.
        """
        return self._debug_infos.il_offset(frame)

    def offset_in(self, code: FrameCode, native_offset: int) -> int | None:
        """IL offset of the instruction at an offset from the method's start; None too for stubs, whose IL the runtime made up.

        Raises as `il_offset` does.
        """
        return self._debug_infos.offset_in(code, native_offset)

    def map_of(self, code: FrameCode) -> ILMap | None:
        """The IL map of a method's code; None where it has none. Raises Unreadable, Malformed."""
        return self._debug_infos.map_of(code)

    def place(self, method: Method | None, il_offset: int) -> SourceLocation | None:
        """File and line of an IL offset of a method; None without metadata, module or PDB. Raises Malformed for a broken PDB."""
        pdb = self.pdb_of(method)
        return None if pdb is None or method is None else pdb.location(method.rid, il_offset)

    def pdb_of(self, method: Method | None) -> PortablePdb | None:
        """The PDB of a method's module; None without metadata, module or PDB."""
        module = None if method is None or not method.rid else self._types.module_at(method.module)
        if module is None or module.pe is None:
            return None
        return self._symbols.find(module.pe, module.path).pdb
