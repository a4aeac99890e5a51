"""Strings that were interned.

What it finds
    Very many strings that are alive only because arrays which the runtime keeps by handles refer to them.
Why it is a leak
    string.Intern keeps a string until the process ends. Interning what comes from outside (names, keys, parts of requests) grows for ever.
Evidence
    The arrays, their handles and the strings that nothing else keeps, exact; the code that interns. Literals of the program are kept in the
    same way, so that it is a leak only where code interns.
What it cannot see
    Which strings are literals and which were interned.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.diagnose.callbacks import rows_of
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import finding_root, held_by
from heaphound.diagnose.interned import ARRAY, interning_arrays
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, Holder

ID = "interned-strings"
STRING = "System.String"
MINIMUM_COUNT = 1000
MINIMUM_BYTES = 1 << 20
LEAK_SHARE = 0.1
INTERNS = (("System.String", "Intern"),)


def find(subject: Subject) -> Iterator[Finding]:
    """One finding over all arrays of interned strings."""
    arrays = interning_arrays(subject)
    if not len(arrays):
        return
    graph = subject.graph
    (string,) = (kind for kind in subject.types_named(STRING))
    strings = subject.instances(string.method_table)
    interned = strings[np.isin(graph.dominators.immediate[strings], arrays)]
    size_bytes = int(graph.table.sizes_of(interned).sum())
    if len(interned) >= MINIMUM_COUNT and size_bytes >= MINIMUM_BYTES:
        yield _finding(subject, string.method_table, interned, size_bytes)


def _finding(subject: Subject, method_table: int, interned: NDArray[np.uint32], size_bytes: int) -> Finding:
    share = size_bytes / subject.heap_bytes
    core = subject.types.core_library.name
    sites = [site for owner, name in INTERNS for site in subject.search.calls((owner,), name) if site.module.name != core]
    holders, counts = np.unique(subject.graph.dominators.immediate[interned], return_counts=True)
    largest = int(holders[np.argmax(counts)])
    held = held_by(subject, largest)
    return Finding(
        rule=ID,
        title=f"{len(interned):,} strings are kept by the runtime as interned ones: {share:.0%} of the heap",
        severity="leak" if sites and share >= LEAK_SHARE else "note",
        confidence=0.85 if sites else 0.6,
        retained_bytes=size_bytes,
        object_count=len(interned),
        fingerprint=fingerprint(ID, sorted(str(site.written_method) for site in sites)),
        type=STRING,
        method_table=Address(method_table),
        holder=Holder(ARRAY, None, Address(subject.address_of(largest))),
        root=finding_root(subject.threads, held.root),
        path=subject.steps(held.path),
        code=rows_of(sites, "adds", "interns a string"),
        advice="do not intern what comes from outside: an interned string is never freed; a dictionary of the program's own can be emptied",
        evidence=(f"only {len(holders):,} arrays that the runtime keeps by handles refer to them: literals and interned strings",),
        caveats=() if sites else ("no code of the loaded assemblies outside of .NET interns: they may be literals",),
    )


RULE = Rule(ID, find)
