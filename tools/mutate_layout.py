#!/usr/bin/env python3
"""Change each number of a layout file in turn and say which changes no self-check sees.

    tools/mutate_layout.py CORE...            # a line for each number whose change is not noticed on any of the cores
    tools/mutate_layout.py --table CORE...    # docs/layout-coverage.md: which numbers are asked for

A number is a field's offset, a structure's size, a constant, or a place in g_dacTable. It is *guarded* when each change of it that is
tried takes away an ability by name, or has the dump refused. Checks that do not ask for a number cannot see it, so only those that do are
run on the changed layout. The dump's own descriptor is left aside: it would mend what is changed.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from heaphound.dump.core import Core, open_core
from heaphound.errors import HeaphoundError
from heaphound.layouts.load import LayoutFile, layout_file
from heaphound.layouts.schema import Field, Layout, TypeLayout
from heaphound.runtime.check_subject import CheckSubject
from heaphound.runtime.locate import FoundRuntime, find_coreclr
from heaphound.runtime.runtime import Runtime, bind_runtime
from heaphound.runtime.self_checks import CHECKS, Check
from tools.unguarded_numbers import UNGUARDED

Kind = Literal["offset", "size", "constant", "global"]
BINDING = "binding"  # what is read before there is a runtime to check
OFFSET_DELTAS = (8, -8, 4, -4)
SIZE_DELTAS = (8, -8)


@dataclass(frozen=True, order=True)
class Number:
    """One number of a layout file. `name` is Type.Field, the type, the constant or the global."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return self.name if self.kind == "offset" else f"{self.kind} of {self.name}" if self.kind == "size" else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class RecordingLayout(Layout):
    """A layout that notes which of its numbers are asked for."""

    asked: set[Number] = dataclass_field(default_factory=set)

    def _field(self, type_name: str, field_name: str) -> Field:
        self.asked.add(Number("offset", f"{type_name}.{field_name}"))
        return super()._field(type_name, field_name)

    def size(self, type_name: str) -> int:
        self.asked.add(Number("size", type_name))
        return super().size(type_name)

    def constant(self, name: str) -> int:
        self.asked.add(Number("constant", name))
        return super().constant(name)

    def global_address(self, name: str) -> int:
        self.asked.add(Number("global", name))
        return super().global_address(name)


def numbers(source: LayoutFile) -> list[Number]:
    """Every number of the file."""
    found = [Number("constant", name) for name in source.layout.constants]
    found += [Number("global", name) for name in source.dac_table.globals]
    for name, layout in source.layout.types.items():
        found += [Number("offset", f"{name}.{field}") for field in layout.fields]
        found += [Number("size", name)] if layout.size_bytes is not None else []
    return sorted(found)


def changes(source: LayoutFile, number: Number) -> Iterator[tuple[str, LayoutFile]]:
    """The file with the number changed, in each way that is tried, and what the change is."""
    if number.kind == "global":
        yield from _global_changes(source, number.name)
        return
    if number.kind == "constant":
        yield from _constant_changes(source, number.name)
        return
    type_name, _, field = number.name.partition(".")
    known = source.layout.types[type_name]
    if number.kind == "size":
        for delta in SIZE_DELTAS:
            if (known.size_bytes or 0) + delta > 0:
                yield f"{delta:+}", _with_type(source, type_name, replace(known, size_bytes=(known.size_bytes or 0) + delta))
        return
    offset = known.fields[field].offset
    for delta in OFFSET_DELTAS if offset % 4 == 0 else (4, -4, 1):
        if offset + delta >= 0 and not (abs(delta) == 4 and offset % 8 == 0 and known.fields[field].offset > 64):
            moved = {**known.fields, field: replace(known.fields[field], offset=offset + delta)}
            yield f"{delta:+}", _with_type(source, type_name, replace(known, fields=moved))


def _with_type(source: LayoutFile, name: str, layout: TypeLayout) -> LayoutFile:
    return replace(source, layout=replace(source.layout, types={**source.layout.types, name: layout}))


def _global_changes(source: LayoutFile, name: str) -> Iterator[tuple[str, LayoutFile]]:
    index, added = source.dac_table.globals[name]
    for delta in (1, -1):
        if 0 <= index + delta < source.dac_table.entry_count:
            changed = {**source.dac_table.globals, name: (index + delta, added)}
            yield f"index {delta:+}", replace(source, dac_table=replace(source.dac_table, globals=changed))
    if added:
        changed = {**source.dac_table.globals, name: (index, added + 8)}
        yield "+8 in it", replace(source, dac_table=replace(source.dac_table, globals=changed))


def _constant_changes(source: LayoutFile, name: str) -> Iterator[tuple[str, LayoutFile]]:
    """Flags move by one bit, masks lose their lowest bit or gain the next, small counts change by one."""
    value = source.layout.constants[name]
    for word, changed in (("doubled", value * 2), ("halved", value // 2)) if value > 64 else (("+1", value + 1), ("-1", value - 1)):
        if changed >= 0 and changed != value:
            yield word, replace(source, layout=replace(source.layout, constants={**source.layout.constants, name: changed}))


class Mutation:
    """One core and the file that reads it; which checks ask for which numbers is found out once."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.found: FoundRuntime = replace(find_coreclr(core), descriptor=None)
        self.source = layout_file(self.found.version, core.machine, None)
        bound = set[Number]()
        self._bind(_recording(self.source, bound))
        self.bound = bound
        self.asked = [self._asked_by(check) for check in CHECKS]

    def _bind(self, source: LayoutFile) -> Runtime:
        return bind_runtime(self.core, self.found, source)

    def _asked_by(self, check: Check) -> set[Number]:
        asked = set[Number]()
        check.run(CheckSubject(self._bind(_recording(self.source, asked))))
        return asked

    def seen_by(self, number: Number, changed: LayoutFile) -> str | None:
        """The ability that the change takes away, "binding" where the dump is refused; None where nothing is noticed."""
        try:
            runtime = self._bind(changed)
        except HeaphoundError:
            return BINDING
        subject = CheckSubject(runtime)
        for check, asked in zip(CHECKS, self.asked, strict=True):
            if number not in asked:
                continue
            try:
                check.run(subject)
            except HeaphoundError:
                return check.ability
        return None

    def asking(self, number: Number) -> list[str]:
        """The checks that ask for the number."""
        return [check.name for check, asked in zip(CHECKS, self.asked, strict=True) if number in asked]

    def not_asked(self) -> list[Number]:
        """Numbers that neither the binding nor a check asks for."""
        return [number for number in numbers(self.source) if number not in self.bound and not self.asking(number)]

    def unseen(self, number: Number) -> list[str]:
        """The changes of the number that nothing notices; all of them where nothing asks for it."""
        every = [(what, changed) for what, changed in changes(self.source, number)]
        if number not in self.bound and not self.asking(number):
            return [what for what, _ in every]
        return [what for what, changed in every if self.seen_by(number, changed) is None]


def _recording(source: LayoutFile, asked: set[Number]) -> LayoutFile:
    layout = source.layout
    given = {field.name: getattr(layout, field.name) for field in fields(Layout)}
    return replace(source, layout=RecordingLayout(**given, asked=asked))


def table(mutations: list[Mutation]) -> str:
    """docs/layout-coverage.md: how many numbers each version has, and which no check asks for, by the structure they belong to."""
    lines = [
        "# What guards the numbers of the layout files",
        "",
        "Written by `tools/mutate_layout.py --table` from a dump of Zoo on each version. What no check asks for, none can find wrong;",
        "`tests/dumps/test_layout_numbers.py` holds this list complete. Asking is not noticing: without `--table` the tool changes",
        "each number and names the changes that nothing notices.",
        "",
        "| version | numbers | asked for by a check | not asked for |",
        "|---|--:|--:|--:|",
    ]
    for mutation in mutations:
        every, left = numbers(mutation.source), mutation.not_asked()
        lines.append(f"| {mutation.source.layout.version} | {len(every)} | {len(every) - len(left)} | {len(left)} |")
    lines += ["", "## Not asked for", ""]
    names = sorted({number for mutation in mutations for number in mutation.not_asked()})
    for number in names:
        versions = [mutation.source.layout.version for mutation in mutations if number in mutation.not_asked()]
        reasons = (why for why, patterns in UNGUARDED.items() if any(fnmatchcase(str(number), pattern) for pattern in patterns))
        lines.append(f"- `{number}` ({', '.join(versions)}): {next(reasons, 'not listed')}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cores", nargs="+", help="full cores, one of each version")
    parser.add_argument("--table", action="store_true", help="only which numbers are asked for, as docs/layout-coverage.md")
    arguments = parser.parse_args()
    mutations = [Mutation(open_core(path)) for path in arguments.cores]
    if arguments.table:
        print(table(mutations), end="")
        return
    for mutation in mutations:
        for number in numbers(mutation.source):
            unseen = mutation.unseen(number)
            if unseen:
                print(f"{mutation.source.layout.version} {number}: {', '.join(unseen)} not noticed", flush=True)


if __name__ == "__main__":
    main()
