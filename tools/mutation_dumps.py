"""The dumps on which layouts are mutated: together they have as many kinds of structures as the lab's programs can make."""

from pathlib import Path

from tests.lab.dumps import Recipe, make_dump, zoo
from tests.lab.kinds import kernel_writes_cores_here, make_crash
from tests.lab.runtimes import SINCE_NET_6, VERSIONS


def mutation_dumps(versions: list[str]) -> list[tuple[str, Path]]:
    """(name, path) of each dump of the named versions, all where none is named: Zoo, then what Zoo on the workstation GC has not.

    A name is that of the program and what is special about its run, such as stacks-busy; it is unique in its version.
    """
    found = []
    for version in versions or VERSIONS:
        recipes = [zoo(version), zoo(version, server_gc=True)]
        if version in SINCE_NET_6:  # Stacks and Callables are compiled for net6.0
            recipes += [Recipe("Stacks", version, ("blocked",)), Recipe("Stacks", version, ("busy", "1")), Recipe("Callables", version)]
        found += [(_name(recipe), make_dump(recipe).path) for recipe in recipes]
        if version in SINCE_NET_6 and kernel_writes_cores_here():
            crash = Recipe("Extremes", version, ("segfault",))
            found.append((_name(crash), make_crash(crash)))
    return found


def _name(recipe: Recipe) -> str:
    return "-".join([recipe.program.lower(), *(["server"] if recipe.server_gc else []), *recipe.arguments[:1]])
