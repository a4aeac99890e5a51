"""What the file as a whole lacks, by name, and how to get it: said beside every answer that rests on the heap."""

from heaphound.dump.elf_modules import elf_modules, has_code
from heaphound.errors import HeaphoundError
from heaphound.runtime.ability import Ability
from heaphound.session import Session

NAMES_SHOWN = 3
TAKE_ANOTHER = "take the dump with createdump --withheap or --full (DOTNET_DbgMiniDumpType=2 or 4)"
_MINI = (
    "createdump wrote only stacks and what they need (normal or triage): threads, stack, modules and exceptions that threads hold are "
    f"answered; the heap is not in this file: for all other questions {TAKE_ANOTHER}"
)


def lacking(session: Session, *, only_types: bool = False) -> tuple[str, ...]:
    """One sentence for each thing that keeps answers from being whole; empty for a dump that has all. Reads the list of modules.

    `only_types`: for an answer that rests on the table of objects and their types alone.
    """
    found = [_MINI] if session.core.writer.mode == "mini" else []
    found += _layout(session)
    found += _disagreements(session, session.heap_abilities if only_types else session.abilities)
    found += _modules(session)
    return tuple(found)


def lacking_for_stacks(session: Session) -> tuple[str, ...]:
    """A sentence where the code of the runtime itself is not there: a walk over a stack has to go through it."""
    module = session.runtime.module
    if has_code(module, session.core.memory) or session.core.writer.mode == "mini":  # createdump writes what walks need
        return ()
    return (
        f"the code of {module.path} (build-id {module.build_id or 'unknown'}) is neither in the dump nor at that path here: "
        "stacks cannot be followed through it, nor through the code of assemblies that are lacking too; "
        "give the directory of the files with --binaries, or the file system of the container with --sysroot",
    )


def _disagreements(session: Session, abilities: tuple[Ability, ...]) -> list[str]:
    """A sentence where self-checks find the layout wrong for this dump in what an answer rests on: then the answer may be."""
    failed = [ability for ability in abilities if ability.disagrees]
    if not failed:
        return []
    names = ", ".join(ability.name for ability in failed)
    return [
        f"self-checks of {names} fail on this dump, the first: {failed[0].failed}; answers that rest on them may be wrong: "
        f"this build of .NET {session.runtime.version} differs from the layout {session.runtime.layout_name}, or the process was damaged"
    ]


def other_runtimes(session: Session) -> tuple[str, ...]:
    """A sentence where the process has more than one CoreCLR loaded: every answer is about one."""
    taken = session.runtime.module
    others = [module.path for module in elf_modules(session.core) if module.name == "libcoreclr.so" and module.base != taken.base]
    return (f"the process has another runtime loaded, {', '.join(others)}: all answers are about {taken.path}",) if others else ()


def _layout(session: Session) -> list[str]:
    runtime = session.runtime
    if not runtime.layout_status:
        return []
    searched = f"; {len(runtime.found_by_search)} of its numbers were found by search in this dump" if runtime.found_by_search else ""
    return [f"the layout of .NET {runtime.layout.version} was written {runtime.layout_status}: self-checks alone stand for it{searched}"]


def _modules(session: Session) -> list[str]:
    """The loaded assemblies without metadata. A list of modules that cannot be read is the business of those who need it."""
    try:
        listed = session.module_list
    except HeaphoundError as error:
        return [f"the list of loaded assemblies cannot be read, so types have no names: {error}"]
    found = []
    if listed.gaps:
        found.append(f"{len(listed.gaps)} loaded assemblies cannot be read, the first: {listed.gaps[0].reason}")
    emitted = [module for module in listed.modules if module.metadata is None and module.path is None]
    if emitted:
        reason = emitted[0].metadata_missing
        found.append(f"the metadata of {len(emitted)} assemblies made or loaded in memory cannot be read: {reason}")
    without = [module for module in listed.modules if module.metadata is None and module.path is not None]
    if without and session.runtime.single_file:
        found.append(
            f"the metadata of {len(without)} of {len(listed.modules)} assemblies is not in the dump: types and fields have no names; "
            f"give the directory of {session.runtime.module.path}, which holds them, with --binaries"
        )
    elif without:
        found.append(_absent_files([str(module.path) for module in without], len(listed.modules)))
    return found


def _absent_files(paths: list[str], assemblies: int) -> str:
    more = f" and {len(paths) - NAMES_SHOWN} more" if len(paths) > NAMES_SHOWN else ""
    return (
        f"the metadata of {len(paths)} of {assemblies} assemblies is neither in the dump nor at their paths here "
        f"({', '.join(paths[:NAMES_SHOWN])}{more}): their types and fields have no names; "
        "give the directory of the files with --binaries, or the file system of the container with --sysroot"
    )
