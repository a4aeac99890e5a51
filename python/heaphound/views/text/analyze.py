"""The diagnosis as text: the dump, its memory, its heap, then each finding with who, why, path and fix."""

import re
from collections.abc import Iterator

from heaphound.results.analyze import AnalyzeResult, CodeSite, Finding, HeapSummary
from heaphound.results.answer import Answer
from heaphound.results.memory import MemoryResult
from heaphound.views.describe import chain, coverage_blocks, headline, holder_words
from heaphound.views.page import Block, Fact, Line, Style
from heaphound.views.quantities import count, exact, share, size

PARTS_SHOWN = 6
CODE_SHOWN = 3
EVIDENCE_SHOWN = 6
TYPES_SHOWN = 5
SEVERITY_STYLES: dict[str, Style] = {"leak": "bad", "waste": "warn", "note": "strong"}
VERDICTS = {
    "leak": "a leak was found",
    "no-leak": "no leak was found; what the memory is stands above and in `heaphound types`",
    "unclear": "unclear: no rule recognised a leak, but not everything could be examined",
}
WASTEFUL = "unclear: what stands above wastes memory; whether it grows one dump cannot tell"


def page(answer: Answer[AnalyzeResult]) -> Iterator[Block]:
    """The answer in the order in which a reader needs it."""
    result = answer.result
    yield Line(headline(answer.dump), "strong")
    yield Fact("Memory", memory_words(result.memory))
    yield Fact("Heap", "nothing of it is in this file" if answer.coverage.without_heap else heap_words(result.heap))
    for finding in result.findings:
        yield from finding_blocks(finding)
    yield from _biggest_types(result)
    wasteful = result.verdict == "unclear" and any(
        finding.severity == "waste" and finding.rule != "deadlock" for finding in result.findings
    )
    words = WASTEFUL if wasteful else VERDICTS[result.verdict]
    yield Fact("Verdict", words, "bad" if result.verdict == "leak" else "good" if result.verdict == "no-leak" else "warn")
    yield from coverage_blocks(answer.dump, answer.coverage)
    for skipped in result.skipped_rules:
        if skipped not in answer.coverage.skipped_rules:
            yield Fact("Limits", f"skipped {skipped.rule}: {skipped.reason}", "warn")


def memory_words(memory: MemoryResult) -> str:
    """``3.86 GB resident: managed objects 3.57 GB, code 81.0 MB ...``, largest first; a guess is marked ``about``."""
    total = f"{size(memory.total_bytes)} in the dump" if memory.resident_bytes is None else f"{size(memory.resident_bytes)} resident"
    parts = _parts_by_short_name(memory)
    words = [f"{name} {'' if exactly else 'about '}{size(size_bytes)}" for name, size_bytes, exactly in parts[:PARTS_SHOWN]]
    if len(parts) > PARTS_SHOWN:
        words.append(f"the rest {size(sum(size_bytes for _, size_bytes, _ in parts[PARTS_SHOWN:]))}")
    return f"{total}: {', '.join(words)}"


def _parts_by_short_name(memory: MemoryResult) -> list[tuple[str, int, bool]]:
    """(name, bytes, whether exact), largest first; parts that differ only behind their short name are one."""
    sums: dict[str, tuple[int, bool]] = {}
    for part in memory.parts:
        size_bytes, exactly = sums.get(short_name(part.name), (0, True))
        sums[short_name(part.name)] = (size_bytes + part.size_bytes, exactly and part.exact)
    parts = [(name, size_bytes, exactly) for name, (size_bytes, exactly) in sums.items() if size_bytes]
    return sorted(parts, key=lambda part: -part[1])


def short_name(name: str) -> str:
    """A part's name up to its first comma, colon or parenthesis; `heaphound memory` prints the whole of it."""
    return re.split(r"[,:(]", name, maxsplit=1)[0].strip()


def heap_words(heap: HeapSummary) -> str:
    """``39,789,084 objects, 3.57 GB; free 12.0 MB; 2.51 GB (70 %) retained by ...``."""
    words = [f"{count(heap.object_count, 'object')}, {size(heap.size_bytes)}", f"free blocks {size(heap.free_bytes)}"]
    if heap.live_bytes is not None and heap.live_count is not None:
        words.append(f"reachable {count(heap.live_count, 'object')}, {size(heap.live_bytes)}")
    if heap.largest_owner is not None and heap.largest_owner_retained_bytes is not None:
        retained = heap.largest_owner_retained_bytes
        words.append(f"{size(retained)} ({share(retained, heap.size_bytes)}) retained by {heap.largest_owner}")
    return "; ".join(words)


def finding_blocks(finding: Finding) -> Iterator[Block]:
    """One finding."""
    yield Fact(finding.severity.upper(), finding.title, SEVERITY_STYLES[finding.severity])
    if finding.object_count:
        retaining = f", retaining {exact(finding.retained_bytes)}" if finding.retained_bytes else ""
        yield Fact("what", f"{count(finding.object_count)} x {finding.type}{retaining}", indent=2)
    yield Fact("holder", holder_words(finding.holder.type, finding.holder.field, finding.holder.address), indent=2)
    for site in finding.code[:CODE_SHOWN]:
        yield Fact("why", code_words(site), indent=2)
        # A method that does it in several places names each: one line a place.
        yield from (Fact("", place) for place in site.evidence.split("; ") if place)
    if len(finding.code) > CODE_SHOWN:
        yield Fact("", f"{count(len(finding.code) - CODE_SHOWN, 'further place')} in code: --json or --html list them", "dim")
    for sentence in finding.evidence[:EVIDENCE_SHOWN]:
        yield Fact("seen", sentence, indent=2)
    if len(finding.evidence) > EVIDENCE_SHOWN:
        yield Fact("", f"{count(len(finding.evidence) - EVIDENCE_SHOWN, 'further observation')}: --json or --html list them", "dim")
    yield Fact("path", chain(finding.root, finding.path), indent=2)
    if finding.advice:
        yield Fact("fix", finding.advice, "strong", indent=2)
    for caveat in finding.caveats:
        yield Fact("but", caveat, "dim", indent=2)
    yield Fact("sure", f"{100 * finding.confidence:.0f} %; rule {finding.rule}, fingerprint {finding.fingerprint}", "dim", indent=2)


def code_words(site: CodeSite) -> str:
    """``RedisHub.get_Instance() subscribes: RedisHub.cs:37``; without a PDB the module and the IL offset stand in."""
    where = site.module
    if site.file is not None:
        where = site.file if site.line is None else f"{site.file}:{site.line}"
    elif site.il_offset is not None:
        where = f"{site.module}, IL offset {site.il_offset:#06x} (no PDB found: --symbols DIR)"
    return f"{site.method} {site.role}: {where}"


def _biggest_types(result: AnalyzeResult) -> Iterator[Block]:
    for index, row in enumerate(result.top_types[:TYPES_SHOWN]):
        retained = "" if row.retained_bytes is None else f", retaining {size(row.retained_bytes)}"
        yield Fact("Types" if index == 0 else "", f"{count(row.count)} x {row.name}, {size(row.size_bytes)}{retained}")
