"""Many objects that each have a root of their own: handles that are never freed, and finalizers that never run.

What it finds
    Thousands of objects of one type held by strong or pinned handles, or waiting in the finalizer queue.
Why it is a leak
    A GC handle holds its object until the program frees it; a pinned one also stops the GC from moving what lies around it. An object whose
    finalizer waits stays alive, with all that it refers to, until the one finalizer thread has run it.
Evidence
    The handle table and the finalizer queue, exact; the code that makes handles; the finalizer itself.
What it cannot see
    Handles made by native code (interop, libraries): then no code is shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.diagnose.blocked_threads import waits_words
from heaphound.diagnose.code_places import code_row, file_name
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.subject import Subject
from heaphound.graph.object_graph import NO_OBJECT
from heaphound.results.analyze import CodeSite, Finding, FindingRoot, Holder, Severity
from heaphound.runtime.calls import CodeSite as Site
from heaphound.runtime.il_values import Literal, options
from heaphound.runtime.roots import FINALIZER, KINDS, PINNED_HANDLE, STRONG_HANDLE
from heaphound.runtime.types import Type

ID = "rooted-objects"
MINIMUM_COUNT = 1000
MINIMUM_BYTES = 1 << 20
NOTE_SHARE = 0.02
LEAK_SHARE = 0.1
SITES_LISTED = 5
FINALIZER_STATE = "finalizer"
HANDLE_TYPE_NUMBERS = {STRONG_HANDLE: 2, PINNED_HANDLE: 3}  # System.Runtime.InteropServices.GCHandleType
HANDLE_TYPE = "System.Runtime.InteropServices.GCHandle"


@dataclass(frozen=True, slots=True)
class Group:
    """Objects of one type with roots of one kind. `retained_bytes` counts what each alone keeps alive, none twice."""

    kind: int
    type: Type
    indices: NDArray[np.uint32]
    retained_bytes: int


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each kind of root and type that has very many."""
    for kind in (STRONG_HANDLE, PINNED_HANDLE, FINALIZER):
        for group in _groups(subject, kind):
            share = group.retained_bytes / subject.heap_bytes if subject.heap_bytes else 0.0
            if group.retained_bytes >= MINIMUM_BYTES or share >= NOTE_SHARE:
                yield _finding(subject, group, share)


def _groups(subject: Subject, kind: int) -> Iterator[Group]:
    table = subject.graph.table
    indices = table.indices_of(np.unique(subject.roots.objects[subject.roots.kinds == kind]))
    indices = indices[indices != NO_OBJECT]
    of_type = table.types_of(indices)
    for type_index, count in zip(*np.unique(of_type, return_counts=True), strict=True):
        if count >= MINIMUM_COUNT:
            members = indices[of_type == type_index]
            found = subject.types.type(int(table.method_tables[type_index]))
            yield Group(kind, found, members, int(subject.graph.dominators.retained_of_many(members).sum()))


def _finding(subject: Subject, group: Group, share: float) -> Finding:
    count, finalizer = len(group.indices), group.kind == FINALIZER
    words = "wait for their finalizer" if finalizer else f"are held by {KINDS[group.kind].replace('-', ' ')}s"
    severity: Severity = "leak" if share >= LEAK_SHARE else "note"
    code = tuple(_finalizer_code(subject, group.type) if finalizer else _handle_code(subject, group.kind))
    return Finding(
        rule=ID,
        title=f"{count:,} {group.type.name} {words}: {share:.0%} of the heap",
        severity=severity,
        confidence=0.85 if finalizer else 0.75,
        retained_bytes=group.retained_bytes,
        object_count=count,
        fingerprint=fingerprint(ID, [KINDS[group.kind], group.type.name]),
        type=group.type.name,
        method_table=Address(group.type.method_table),
        holder=Holder("finalizer queue" if finalizer else "GC handle table"),
        root=FindingRoot(KINDS[group.kind]),
        path=subject.steps([int(group.indices[0])]),
        code=code,
        advice=_advice(group),
        evidence=(
            f"each has a root of its own; together they keep {group.retained_bytes:,} bytes alive",
            *(_finalizer_thread(subject) if finalizer else ()),
        ),
        caveats=() if code else ("no code that does this was found in the loaded assemblies: it may be native",),
    )


def _advice(group: Group) -> str:
    if group.kind == FINALIZER:
        return "the finalizer thread does not get through: see what it waits for; never block in a finalizer, and call Dispose instead"
    if group.kind == PINNED_HANDLE:
        return "free each pinned handle when the native call is over (GCHandle.Free, fixed, MemoryHandle.Dispose), or pin one pooled buffer"
    return "free each handle when its owner is done (GCHandle.Free), or use a weak one"


def _finalizer_thread(subject: Subject) -> Iterator[str]:
    """What the one thread that runs finalizers waits for."""
    threads = () if subject.observed is None else subject.observed.threads()
    for thread in threads:
        if FINALIZER_STATE in thread.state:
            yield f"the finalizer thread: {waits_words(thread, threads)}"


def _handle_code(subject: Subject, kind: int) -> Iterator[CodeSite]:
    """Where the loaded code makes handles of a kind; also where the kind is no constant."""
    sites = [site for site in subject.search.calls((HANDLE_TYPE,), "Alloc") if site.module.name != subject.types.core_library.name]
    made = [site for site in sites if HANDLE_TYPE_NUMBERS[kind] in _kinds_made(site)]
    for site in made[:SITES_LISTED]:
        yield code_row(site, "allocates", f"makes {KINDS[kind].replace('-', ' ')}s")


def _kinds_made(site: Site) -> set[int]:
    """GCHandleType of a call of Alloc: the one with one argument makes a strong handle; all kinds where it is no constant."""
    if len(site.operation.arguments) < 2:
        return {HANDLE_TYPE_NUMBERS[STRONG_HANDLE]}
    found = list(options(site.operation.arguments[1]))
    numbers = {option.value for option in found if isinstance(option, Literal) and isinstance(option.value, int)}
    return numbers if len(numbers) == len(found) else set(HANDLE_TYPE_NUMBERS.values())


def _finalizer_code(subject: Subject, owner: Type) -> Iterator[CodeSite]:
    defined = subject.search.defining_module(owner.definition_name)
    if defined is None:
        return
    module, row = defined
    for rid in module.metadata.typedef(row).methods:
        if module.metadata.method_name(rid) == "Finalize":
            location = module.location(rid, 0)
            yield CodeSite(
                role="blocks",
                method=f"{owner.name}.Finalize()",
                declaring_type=owner.name,
                module=module.name,
                file=None if location is None else file_name(location.file),
                line=None if location is None else location.start_line,
                il_offset=0,
                evidence="the finalizer of these objects",
            )


RULE = Rule(ID, find)
