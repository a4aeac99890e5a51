"""The dumps on which layouts are mutated: together they have as many kinds of structures as the lab's programs can make."""

from dataclasses import dataclass
from pathlib import Path

from tests.lab.dumps import Recipe, make_dump, zoo
from tests.lab.emulated import emulator
from tests.lab.kinds import kernel_writes_cores_here, make_crash
from tests.lab.runtimes import SINCE_NET_6, VERSIONS

ARM64 = ("3.1.2-arm64", "8.0.31-arm64", "10.0.11-arm64")
# A layout that no build has confirmed, and a dump of a neighbour: what the dump settles is the neighbour's, the rest is the file's own.
FROM_SOURCE = {"5.0.0": "6.0.6", "7.0.0": "8.0.4", "11.0.0": "10.0.11"}


@dataclass(frozen=True)
class MutationDump:
    """A dump, named by its program and what is special about its run, such as stacks-busy; the name is unique in its version.

    `file` is the version whose layout file reads it, where that is not its own.
    """

    name: str
    path: Path
    file: str | None = None


def mutation_dumps(versions: list[str]) -> list[MutationDump]:
    """Those of the named versions, all where none is named: Zoo, then what Zoo on the workstation GC has not."""
    found = []
    for version in versions or (*VERSIONS, *(ARM64 if emulator() else ()), *FROM_SOURCE):
        if version in FROM_SOURCE:
            neighbour = FROM_SOURCE[version]
            # a process of the server GC, one with threads that handle exceptions
            recipes = [zoo(neighbour), zoo(neighbour, server_gc=True), Recipe("Stacks", neighbour, ("blocked",))]
            found += [MutationDump(f"{_name(recipe)}-{neighbour}", make_dump(recipe).path, version) for recipe in recipes]
            continue
        recipes = [zoo(version)]
        if version in VERSIONS:
            recipes += [zoo(version, server_gc=True), Recipe("Calls", version), Recipe("Protected", version, ("calls", "12"))]
        if version in SINCE_NET_6:  # Stacks and Callables are compiled for net6.0
            recipes += [Recipe("Stacks", version, ("blocked",)), Recipe("Stacks", version, ("busy", "1")), Recipe("Callables", version)]
        found += [MutationDump(_name(recipe), make_dump(recipe).path) for recipe in recipes]
        if version in SINCE_NET_6 and kernel_writes_cores_here():
            crash = Recipe("Extremes", version, ("segfault",))
            found.append(MutationDump(_name(crash), make_crash(crash)))
    return found


def _name(recipe: Recipe) -> str:
    return "-".join([recipe.program.lower(), *(["server"] if recipe.server_gc else []), *recipe.arguments[:1]])
