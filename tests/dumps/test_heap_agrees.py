"""The heap against the oracle: segments, objects, references, types, each to the last byte."""

from tests.dumps.conftest import Opened
from tests.dumps.known import Difference, Known, check, differences
from tests.lab.cases import GOLDEN_CASES, LIVE_CASES


def only(rows: list[dict[str, object]], **wanted: object) -> list[dict[str, object]]:
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def test_walk(opened: Opened) -> None:
    (oracle,) = opened.case.answers("walk")
    ours = opened.dump.verify().result
    assert {
        "objects": ours.objects,
        "aligned_bytes": ours.size_bytes,
        "free_objects": ours.free_objects,
        "free_bytes": ours.free_bytes,
        "checksum": hex(ours.walk_checksum),
    } == {key: oracle[key] for key in ("objects", "aligned_bytes", "free_objects", "free_bytes", "checksum")}
    assert ours.problems == ()


def test_every_byte_of_the_heap_is_accounted_for(opened: Opened) -> None:
    coverage = opened.dump.verify().coverage
    assert coverage.heap_bytes > 0
    assert coverage.walked_bytes == coverage.heap_bytes
    assert coverage.gaps == ()


def test_references(opened: Opened) -> None:
    (oracle,) = opened.case.answers("refs")
    ours = opened.dump.verify().result
    assert (ours.references, hex(ours.reference_checksum)) == (oracle["references"], oracle["checksum"])


def test_count_bytes_and_name_of_every_type(opened: Opened) -> None:
    oracle = {row["mt"]: (row["count"], row["aligned_bytes"], row["name"]) for row in only(opened.case.answers("stat"), row="type")}
    ours = {hex(row.method_table): (row.count, row.size_bytes, row.name) for row in opened.dump.types().result.types}
    check(opened.case.name, differences(ours, oracle), TYPE_NAMES)


ZOOS = frozenset(case.name for case in [*LIVE_CASES, *GOLDEN_CASES] if "zoo" in case.name)


def names(difference: Difference) -> tuple[str | None, str | None]:
    """Both names, where count and bytes agree; else nothing that a name could explain."""
    ours, oracle = difference.ours, difference.oracle
    return (ours[2], oracle[2]) if ours and oracle and ours[:2] == oracle[:2] else (None, "")


TYPE_NAMES = [
    Known(
        "An array of one dimension that does not begin at 0 is written T[*] by reflection and by the CLI standard (II.14.2); "
        "the oracle takes the [*] for generic arguments (its blind spot 10).",
        lambda difference: names(difference) == ("System.Int32[*]", "System.Int32<*>"),
        ZOOS,
    ),
    Known(
        "A type of a Reflection.Emit module on 6.0: that runtime serialises such a module's metadata only under a debugger "
        "(ReflectionModule::CaptureModuleMetaDataToMemory, ceeload.cpp), so the oracle has no name; ours is out of the tables that are "
        "being written, and is the name that Zoo gives it.",
        lambda difference: names(difference) == ("Emitted.Thing", None),
        frozenset({"zoo-6.0.6", "zoo-6.0.6-server"}),
        swept="-zoo-6",
    ),
    Known(
        "A type emitted into an assembly that can be collected, arrays of it and instantiations over it: the oracle's library does not "
        "find it by its handle, and writes T1 or nothing; ours is the name that the program gives it.",
        lambda difference: (
            "Emitted.Item" in (names(difference)[0] or "") and (names(difference)[1] is None or "<T1>" in (names(difference)[1] or ""))
        ),
        frozenset(),
        swept="-emitted-",
    ),
    Known(
        "Types of Reflection.Emit on 6.0, as Emitted.Thing of Zoo above.",
        lambda difference: (names(difference)[0] or "").startswith("Generated.Type") and names(difference)[1] is None,
        frozenset(),
        swept=r"-6\..*-types-",
    ),
]


def test_segments(opened: Opened) -> None:
    rows = opened.case.answers("segments")
    oracle = {row["start"]: (row["end"], row["committed_end"], row["kind"], row["heap"]) for row in only(rows, row="segment")}
    result = opened.dump.heap().result
    ours = {hex(row.start): (hex(row.end), hex(row.committed_end), row.kind, row.heap) for row in result.segments}
    check(opened.case.name, differences(ours, oracle), [])
    contexts = {(row["start"], row["end"]) for row in only(rows, row="allocation_context")}
    assert {(hex(row.start), hex(row.end)) for row in result.allocation_contexts} == contexts
