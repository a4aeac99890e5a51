"""`handles`: the GC handle table."""

from collections import Counter, defaultdict

from heaphound.address import Address
from heaphound.answers.facts import dump_facts
from heaphound.answers.naming import Naming
from heaphound.errors import UsageError
from heaphound.results.answer import Answer, Coverage, Gap
from heaphound.results.handles import HandleKindRow, HandleRow, HandlesResult, HandleStatRow
from heaphound.runtime.handles import Handle
from heaphound.session import Session


def handles(session: Session, kind: str | None = None, statistics: bool = False, limit: int | None = None) -> Answer[HandlesResult]:
    """Handles of all kinds or of one (case does not matter), at most `limit` of them; counts are of all."""
    table, naming = session.handles, Naming(session)
    wanted = None if kind is None else kind.lower()
    if wanted is not None and wanted not in {name.lower() for name in table.kind_names}:
        raise UsageError(f"this runtime has no handles of the kind {kind}: it has {', '.join(sorted(set(table.kind_names)))}")
    found = [handle for handle in table.rows() if wanted is None or handle.kind.lower() == wanted]
    kinds = Counter(handle.kind for handle in found)
    result = HandlesResult(
        handles=() if statistics else tuple(_row(naming, handle) for handle in found[:limit]),
        kinds=tuple(HandleKindRow(name, count) for name, count in kinds.most_common()),
        statistics=_statistics(naming, found) if statistics else None,
        left_out=0 if statistics or limit is None else max(0, len(found) - limit),
    )
    gaps = tuple(Gap(Address(gap.address), Address(gap.address), gap.reason) for gap in table.gaps)
    incomplete = tuple(line for line in session.incomplete if line.startswith("handles:"))
    return Answer(dump_facts(session), Coverage(gaps=gaps, incomplete_roots=incomplete), result)


def _row(naming: Naming, handle: Handle) -> HandleRow:
    return HandleRow(
        address=Address(handle.address),
        kind=handle.kind,
        object=Address(handle.object),
        type=naming.type_of(handle.object),
        dependent=None if handle.secondary is None else Address(handle.secondary),
        size_bytes=naming.size_of(handle.object),
    )


def _statistics(naming: Naming, found: list[Handle]) -> tuple[HandleStatRow, ...]:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for handle in found:
        entry = sums[(handle.kind, naming.type_of(handle.object) or "<unknown>")]
        entry[0] += 1
        entry[1] += naming.size_of(handle.object) or 0
    rows = [HandleStatRow(kind, name, count, size) for (kind, name), (count, size) in sums.items()]
    return tuple(sorted(rows, key=lambda row: (-row.size_bytes, -row.count, row.kind, row.type)))
