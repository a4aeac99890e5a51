"""Loaded assemblies."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One module of an assembly."""

    name: str
    path: str | None
    """None for a module made in memory."""
    image_base: Address | None
    module: Address
    """The runtime's own structure."""
    assembly: Address
    dynamic: bool
    load_context: str | None
    """Name of its AssemblyLoadContext; None for the default one."""
    version: str | None = None
    collectible: bool = False
    metadata: str = "present"
    """``present``, or why it cannot be read."""
    symbols: str | None = None
    """Where its PDB was found; None if nowhere."""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ModulesResult:
    """All modules in load order."""

    modules: tuple[ModuleRow, ...]
