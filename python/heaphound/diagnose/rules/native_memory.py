"""Native memory that is far more than the managed heap.

What it finds
    malloc and other native memory that make up most of what the process uses; which sizes of blocks it consists of, and which managed
    objects point to them.
Why it is a leak
    What native code or Marshal.AllocHGlobal took is freed by code alone, never by the collector. It may also be a library's own cache:
    hence a waste, no leak.
Evidence
    The breakdown of `heaphound memory`; the headers of glibc's blocks; fields of pointers, exact; the code that allocates.
What it cannot see
    Who took a block that no managed object points to. Blocks of the arenas of other threads and of other allocators are not told by size.
"""

from collections.abc import Iterator, Mapping, Sequence

from heaphound.address import Address
from heaphound.diagnose.callbacks import rows_of
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import finding_root, held_by
from heaphound.diagnose.native_pointers import PointingField, pointing_fields
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, FindingRoot, Holder
from heaphound.results.memory import MemoryResult
from heaphound.runtime.framework import is_framework

ID = "native-memory"
NATIVE = "native-"
NOT_USED = ("stacks-untouched", "gc-committed", "inaccessible")
IMAGES = ("images", "file-maps")
MINIMUM_BYTES = 64 << 20
SHARE = 0.5
SIZES_LISTED = 3
MANY_BLOCKS = 100
FIELDS_LISTED = 3
MARSHAL = "System.Runtime.InteropServices.Marshal"
NATIVE_MEMORY = "System.Runtime.InteropServices.NativeMemory"
ALLOCATES = {
    MARSHAL: ("AllocHGlobal", "AllocCoTaskMem", "StringToHGlobalAnsi", "StringToHGlobalUni", "StringToCoTaskMemUTF8"),
    NATIVE_MEMORY: ("Alloc", "AllocZeroed", "AlignedAlloc", "Realloc"),
}


def find(subject: Subject) -> Iterator[Finding]:
    """One finding if native memory is most of what the process uses itself."""
    if subject.observed is None:
        return
    memory = subject.observed.memory()
    sizes = {part.kind: part.size_bytes for part in memory.parts}
    native = sum(size for kind, size in sizes.items() if kind.startswith(NATIVE))
    used = sum(size for kind, size in sizes.items() if kind not in (*NOT_USED, *IMAGES))
    if native >= MINIMUM_BYTES and native >= SHARE * used:
        yield _finding(subject, memory, native, native / used)


def _finding(subject: Subject, memory: MemoryResult, native: int, share: float) -> Finding:
    ranges = sorted((one for one in memory.ranges if one.kind.startswith(NATIVE)), key=lambda one: one.start)
    fields = [one for one in pointing_fields(subject, ranges) if one.size_bytes is None or one.size_bytes >= native / 100]
    blocks = {} if subject.observed is None else subject.observed.malloc_blocks()
    first = fields[0] if fields else None
    held = None if first is None else held_by(subject, int(subject.instances(first.type.method_table)[0]))
    sites = [
        site
        for owner, names in ALLOCATES.items()
        for name in names
        for site in subject.search.calls((owner,), name)
        if not is_framework(site.declaring_type)
    ]
    return Finding(
        rule=ID,
        title=f"native memory is {share:.0%} of what the process uses: about {native:,} bytes, {_times(native, subject.heap_bytes)}",
        severity="waste",
        confidence=0.6 if fields else 0.5,
        retained_bytes=0,
        object_count=0 if first is None else first.count,
        fingerprint=fingerprint(ID, [None if first is None else f"{first.type.name}.{first.field}"]),
        type="native memory" if first is None else first.type.name,
        method_table=None if first is None else Address(first.type.method_table),
        holder=Holder("native memory") if first is None else Holder(first.type.name, first.field),
        root=FindingRoot("none") if held is None else finding_root(subject.threads, held.root),
        path=() if held is None else subject.steps(held.path),
        code=rows_of(sites, "allocates", "takes native memory"),
        advice="free what is taken (FreeHGlobal, NativeMemory.Free, Dispose of what owns it); where no code is named, look at "
        "native libraries",
        evidence=tuple(_evidence(fields, blocks)),
        caveats=("whether it grows one dump cannot tell; how much of it is in use is an estimate",),
    )


def _times(native: int, managed: int) -> str:
    return (
        f"{native / managed:,.0f} times the managed objects" if managed and native >= 2 * managed else f"managed objects {managed:,} bytes"
    )


def _evidence(fields: Sequence[PointingField], blocks: Mapping[int, int]) -> Iterator[str]:
    for one in fields[:FIELDS_LISTED]:
        together = "" if one.size_bytes is None else f", together {one.size_bytes:,} bytes"
        yield f"{one.count:,} {one.type.name} point with the field {one.field} to a block of native memory each{together}"
    if not fields:
        yield "no type of which the heap has many objects points there"
    many = [(size, count) for size, count in blocks.items() if count >= MANY_BLOCKS]
    for size, count in sorted(many, key=lambda entry: -entry[0] * entry[1])[:SIZES_LISTED]:
        yield f"{count:,} blocks of {size:,} bytes are in use in malloc's main heap: {size * count:,} bytes"


RULE = Rule(ID, find)
