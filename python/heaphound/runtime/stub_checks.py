"""Self-checks on stubs: a precode in a page of its own data stands for a method, and is of the kind that its method is."""

from collections.abc import Iterator

from heaphound.errors import HeaphoundError
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.loader_heaps import read_loader_heaps
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.methods import Method
from heaphound.runtime.precode import read_stub_precode

SAMPLE_STUBS = 256
STUB_ALIGNMENT = 8
LARGEST_SAMPLE_BYTES = 1 << 16
HEAPS = ("NewStubPrecodeHeap",)


def check_stub_precodes(subject: CheckSubject) -> None:
    """Each StubPrecode whose data name a method is of a kind that stands for methods, that of imports for none but imported ones.

    Of 8.0 and later: before, a stub has its data in its instructions.
    """
    if not subject.layout.has("StubPrecodeData", "Type"):
        return
    imported = subject.layout.constant("StubPrecodeType.PInvokeImport")
    plain = subject.layout.constant("StubPrecodeType.Stub")
    seen = {plain: 0, imported: 0}
    for address, kind, target in _stubs(subject):
        method = _method(subject, target)
        if method is None:
            continue
        right = kind == plain or (kind == imported and method.kind == "p/invoke")
        expect(right, f"StubPrecodeType: the precode at {address:#x} of {method.full_name}, which is {method.kind}, is of kind {kind}")
        seen[kind] += 1
    for kind, name in ((plain, "Stub"), (imported, "PInvokeImport")):
        if not seen[kind]:
            subject.not_exercised(f"StubPrecodeType.{name}")


def _stubs(subject: CheckSubject) -> Iterator[tuple[int, int, int]]:
    """(address, kind, first word of its data) of StubPrecodes of the core library's loader."""
    found = 0
    for heap in read_loader_heaps(subject.runtime, subject.modules.modules).heaps:
        if heap.kind not in HEAPS or heap.collectible:
            continue
        for start, end in heap.blocks:
            for address in range(start, min(end, start + LARGEST_SAMPLE_BYTES), STUB_ALIGNMENT):
                stub = read_stub_precode(subject.memory, subject.layout, address)
                if stub is None:
                    continue
                yield address, *stub
                found += 1
                if found >= SAMPLE_STUBS:
                    return


def _method(subject: CheckSubject, method_desc: int) -> Method | None:
    """None for what is no MethodDesc."""
    try:
        found = subject.code.methods.method(method_desc)
        if found.method_table is not None:
            MethodTables(subject.memory, subject.layout).eeclass(found.method_table)
    except HeaphoundError:
        return None
    return found
