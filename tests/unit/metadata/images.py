"""The compiled programs under tests/programs as images and code, for tests that need real metadata."""

from functools import cache
from pathlib import Path

from heaphound.runtime.calls import CodeModule, CodeSearch
from heaphound.runtime.metadata import Metadata
from heaphound.runtime.pe import PEImage
from heaphound.runtime.symbols import SymbolStore

PROGRAMS = Path(__file__).resolve().parents[2] / "programs"
SHOP_CACHING = PROGRAMS / "RedisLeak/bin/Shop.Caching.dll"
REDIS = PROGRAMS / "RedisLeak/bin/StackExchange.Redis.dll"
ZOO = PROGRAMS / "Zoo/bin/Zoo.dll"
LEAKS = PROGRAMS / "Leaks/bin/Leaks.dll"


@cache
def image(path: Path) -> PEImage:
    """The image in a file."""
    return PEImage.from_file(path)


def metadata(path: Path) -> Metadata:
    """The metadata of the image in a file."""
    return image(path).metadata()


@cache
def code(*paths: Path) -> CodeSearch:
    """A search over the code of some images, with the PDBs beside them."""
    return CodeSearch([CodeModule(path.name, image(path), SymbolStore().find(image(path), str(path)).pdb) for path in paths])


def method_rid(path: Path, type_name: str, method: str) -> int:
    """Row id of the first method of that name of a type."""
    data = metadata(path)
    rid = data.find_type(type_name)
    assert rid is not None, type_name
    return next(row for row in data.typedef(rid).methods if data.method_name(row) == method)
