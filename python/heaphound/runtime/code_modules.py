"""The loaded modules whose IL can be searched, with the symbols that were found for them."""

from collections.abc import Sequence

from heaphound.runtime.calls import CodeModule
from heaphound.runtime.modules import Module
from heaphound.runtime.symbols import SymbolStore


def code_modules(modules: Sequence[Module], symbols: SymbolStore) -> list[CodeModule]:
    """One CodeModule for each image whose metadata is in the dump; the same image loaded into several contexts counts once.

    Modules made in memory have no image and are left out.
    """
    found: list[CodeModule] = []
    seen: set[tuple[str, str]] = set()
    for module in modules:
        image, metadata = module.pe, module.metadata
        if image is None or metadata is None:
            continue
        identity = (module.name, str(metadata.module().mvid))
        if identity not in seen:
            seen.add(identity)
            found.append(CodeModule(module.name, image, symbols.find(image, module.path).pdb))
    return found
