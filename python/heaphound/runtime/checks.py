"""A named check of the layout against the dump, and what the outcomes of some say of what can be done with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heaphound.errors import HeaphoundError, Malformed
from heaphound.runtime.ability import Ability
from heaphound.runtime.check_subject import ABSENT, CheckSubject, Disagreement
from heaphound.runtime.modules import ModuleList
from heaphound.runtime.runtime import Runtime

SELF_CHECKED = "self-checked"
Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Check:
    """A named check: `run` raises HeaphoundError when the dump does not agree with the layout. `rests_on` are the fields it vouches for."""

    ability: str
    name: str
    rests_on: Fields
    run: Callable[[CheckSubject], None]


def run_checks(runtime: Runtime, checks: Sequence[Check], modules: Callable[[], ModuleList] | None = None) -> tuple[Ability, ...]:
    """The abilities that `checks` are about, each with the outcome: available when none finds a wrong number, else the first's sentence.

    In a dump that was meant to hold little, or was cut, a check that meets memory which is not there is not exercised. `modules` as for
    CheckSubject.

    All checks together read some ten thousand words of the dump and walk a few small segments: a tenth of a second whatever the size of
    the heap. What is sampled (types, methods, threads, objects) is the first of each kind, so that the outcome is the same each time.
    """
    subject = CheckSubject(runtime, modules)
    failed: dict[str, str | None] = {}
    unchecked: dict[str, str] = {}
    lacking: dict[str, list[str]] = {}
    disagreeing = set[str]()
    for check in checks:
        if failed.get(check.ability) is not None:
            continue
        before = len(subject.lacking)
        try:
            check.run(subject)
        except HeaphoundError as error:
            if subject.lacks(error):
                failed.setdefault(check.ability, None)
                unchecked.setdefault(check.ability, f"{check.name}: {error}")
                subject.not_exercised(f"{check.name}: {ABSENT}")
            else:
                failed[check.ability] = f"{check.name}: {error}"
                if isinstance(error, Disagreement | Malformed) and ABSENT not in str(error) and not subject.small:
                    disagreeing.add(check.ability)
        else:
            failed[check.ability] = None
        lacking.setdefault(check.ability, []).extend(subject.lacking[before:])
    return tuple(
        _ability(runtime, checks, name, reason, lacking[name], name in disagreeing, unchecked.get(name)) for name, reason in failed.items()
    )


def _ability(
    runtime: Runtime, checks: Sequence[Check], name: str, failed: str | None, lacking: list[str], disagrees: bool, unchecked: str | None
) -> Ability:
    fields = tuple(field for check in checks if check.ability == name for field in check.rests_on)
    origin = "" if failed else origin_of(runtime, fields)
    if unchecked is not None:
        origin = origin.replace(SELF_CHECKED, f"{SELF_CHECKED} in part")
    return Ability(name, failed is None, origin, failed, tuple(dict.fromkeys(lacking)), disagrees, unchecked)


def origin_of(runtime: Runtime, fields: Fields) -> str:
    """Where these fields' offsets come from, in the words that `info` shows; those that this runtime does not have are left out."""
    layout = runtime.layout
    origins = {layout.origin(type_name, field) for type_name, field in fields if layout.has(type_name, field)}
    words = {"descriptor": "descriptor", "layout file": file_in_words(runtime), "found by search": "found by search"}
    return " + ".join(words[origin] for origin in sorted(origins))


def file_in_words(runtime: Runtime) -> str:
    """What numbers of the layout file are worth, in the words that `info` shows."""
    status = f" ({runtime.layout_status})" if runtime.layout_status else ""
    return f"layout file{status}, {SELF_CHECKED}"
