"""Finds the portable PDB of a module and refuses one that belongs to another build."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from heaphound.dump.system_root import path_below
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.metadata.debug_directory import CodeView, code_view, embedded_pdb
from heaphound.runtime.pe import PEImage
from heaphound.runtime.portable_pdb import PortablePdb

_MAXIMUM_PDB_BYTES = 1 << 28  # the largest portable PDBs reach some 50 MB
_MAXIMUM_SUBDIRECTORIES = 10_000  # of one --symbols directory


@dataclass(frozen=True, slots=True)
class Symbols:
    """Outcome of a search. `pdb` None: none found; `origin` "embedded" or the file's path; `refused` says why candidates were not used."""

    pdb: PortablePdb | None
    origin: str | None
    refused: tuple[str, ...]


class SymbolStore:
    """Looks for PDBs: inside the image, at the path that the compiler recorded, beside the module's file, in given directories.

    `directories` are searched by file name, directly, one level down, and as a symbol server's layout. `allow_original_paths` False keeps
    to those and the image itself: paths from a dump then touch no file of this host. `system_roots` hold the file system of the process:
    PDBs that lay beside their modules there are found below them.
    """

    def __init__(
        self,
        directories: Sequence[str | Path] = (),
        allow_original_paths: bool = True,
        system_roots: Sequence[str | Path] = (),
    ) -> None:
        self._system_roots = tuple(Path(root) for root in system_roots)
        self._directories = tuple(Path(directory) for directory in directories)
        self._allow_original_paths = allow_original_paths
        self._found: dict[bytes, Symbols] = {}

    def find(self, image: PEImage, module_path: str | None = None) -> Symbols:
        """The PDB of an image; the answer is kept per PDB id. Absence and every refusal are in the result, nothing is raised for them."""
        try:
            view = code_view(image)
        except (Unreadable, Malformed) as error:
            return Symbols(None, None, (f"the image's debug directory cannot be used: {error}",))
        if view is None:
            return Symbols(None, None, ("the image names no PDB",))
        known = self._found.get(view.pdb_id)
        if known is None:
            known = self._found[view.pdb_id] = self._search(image, view, module_path)
        return known

    def _search(self, image: PEImage, view: CodeView, module_path: str | None) -> Symbols:
        refused: list[str] = []
        if not view.is_portable:
            return Symbols(None, None, (f"{view.path} is a Windows PDB; only portable PDBs are read",))
        try:
            inside = embedded_pdb(image)
            if inside is not None:
                return Symbols(_checked(PortablePdb(inside), view), "embedded", ())
        except (Unreadable, Malformed) as error:
            refused.append(f"embedded PDB: {error}")
        for path in self._candidates(view, module_path):
            try:
                pdb = _checked(_load(path), view)
            except (OSError, Malformed) as error:
                refused.append(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
                continue
            return Symbols(pdb, str(path), tuple(refused))
        return Symbols(None, None, tuple(refused))

    def _candidates(self, view: CodeView, module_path: str | None) -> Iterator[Path]:
        """Existing files that may be the PDB, each once."""
        seen: set[Path] = set()
        for path in self._places(view, module_path):
            if path not in seen and _is_file(path):
                seen.add(path)
                yield path

    def _places(self, view: CodeView, module_path: str | None) -> Iterator[Path]:
        name = PureWindowsPath(view.path).name  # splits at both separators: the PDB may have been written on Windows
        names = [name] if name else []
        if module_path:
            names.append(PureWindowsPath(module_path).stem + ".pdb")
        if module_path and module_path.startswith("/"):
            beside = [str(PurePosixPath(module_path).parent / item) for item in names]
            below = (path_below(root, path) for root in self._system_roots for path in beside)
            yield from (path for path in below if path is not None)
        if self._allow_original_paths:
            if view.path.startswith("/"):
                yield Path(view.path)
            if module_path and module_path.startswith("/"):
                yield from (Path(module_path).parent / item for item in names)
        key = view.guid.hex + "ffffffff"
        for directory in self._directories:
            for item in names:
                yield directory / item
                yield directory / item.lower() / key / item.lower()
                yield directory / item / key.upper() / item
            for child in _subdirectories(directory):
                yield from (child / item for item in names)


def _load(path: Path) -> PortablePdb:
    size = path.stat().st_size
    if size > _MAXIMUM_PDB_BYTES:
        raise Malformed(f"{size} bytes are more than a PDB has")
    return PortablePdb(path.read_bytes())


def _checked(pdb: PortablePdb, view: CodeView) -> PortablePdb:
    if pdb.pdb_id != view.pdb_id:
        raise Malformed(f"it belongs to another build (PDB id {pdb.pdb_id.hex()}, the image wants {view.pdb_id.hex()})")
    return pdb


def _is_file(path: Path) -> bool:
    """Whether a file is there; False too for a path that the host cannot look at (forged: zero bytes, too long, no permission)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _subdirectories(directory: Path) -> list[Path]:
    try:
        children = sorted(child for child in directory.iterdir() if child.is_dir())
    except OSError:
        return []
    return children[:_MAXIMUM_SUBDIRECTORIES]
