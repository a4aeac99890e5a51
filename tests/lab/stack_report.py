"""Tables of docs/stack-agreement.md, made of what `tests.lab.stack_sweep` and `tests.lab.corpus` wrote.

    python -m tests.lab.stack_report FILE...

replaces what lies between the marks `<!-- sweep: begin -->` and `<!-- corpus: begin -->` and their ends.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.lab.runtimes import VERSIONS
from tests.lab.stack_sweep import KINDS_OF_CODE, points, read_results

PAGE = Path(__file__).resolve().parents[2] / "docs" / "stack-agreement.md"
Row = dict[str, Any]
COLUMNS = "threads | frames that agree | roots that agree | untold registers | scanned frames"
SUMS = (
    "threads",
    "frames",
    "agreed_frames",
    "roots",
    "agreed_roots",
    "scanned_roots",
    "untold_roots",
    "unwound_helpers",
    "agreed_helpers",
)
OTHERS = (
    ("unwound_frames", "Frames that an exception in flight had unwound, without roots on either side"),
    (
        "interrupted_threads",
        "Threads in the handler of a signal in managed code, compared from where the oracle's walk begins",
    ),
    ("untold_arguments", "Roots of ours in arguments and returned structs that the oracle cannot tell, each predicted"),
    ("unset_roots", "Roots of the oracle in frames that were not set up where the thread was stopped, each predicted"),
    ("misplaced_roots", "Roots of either side in r8 or r9, which the oracle's library exchanges, each predicted"),
)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    rows = [row for file in parser.parse_args().results for row in read_results(file)]
    text = PAGE.read_text()
    for name, table in (("sweep", sweep_tables(rows)), ("corpus", corpus_tables(rows))):
        text = replaced(text, name, "\n".join(table))
    PAGE.write_text(text)
    return 0


def replaced(text: str, name: str, table: str) -> str:
    """The page with a new table between the two marks of that name. ValueError where it lacks them."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    start = text.index(begin) + len(begin)
    return text[:start] + table + "\n" + text[text.index(end, start) :]


def sweep_tables(rows: Iterable[Row]) -> Iterator[str]:
    """A row a runtime and kind of code, then what was not plain agreement."""
    mine = [row for row in rows if row["of"] == "sweep"]
    possible = Counter((point.runtime, point.code) for point in points())
    yield f"| runtime | kind of code | dumps (of all combinations) | {COLUMNS} |"
    yield "|---|---|---|---|---|---|---|---|"
    for runtime in VERSIONS:
        for code in KINDS_OF_CODE:
            part = [row for row in mine if (row["runtime"], row["code"]) == (runtime, code)]
            if possible[runtime, code]:
                yield _line([runtime, code, f"{len(part)} of {possible[runtime, code]}"], part)
    yield _line(["all", "", f"{len(mine)} of {possible.total()}"], mine)
    yield ""
    yield from rest(mine)


def corpus_tables(rows: Iterable[Row]) -> Iterator[str]:
    """A row a runtime, then what was not plain agreement."""
    mine = [row for row in rows if row["of"] == "corpus"]
    yield f"| runtime | cores | {COLUMNS} |"
    yield "|---|---|---|---|---|---|---|"
    for runtime in (*VERSIONS, "all"):
        part = [row for row in mine if runtime in (row["runtime"], "all")]
        yield _line([runtime, str(len(part))], part)
    yield ""
    yield from rest(mine)


def _line(head: list[str], rows: list[Row]) -> str:
    total: Counter[str] = Counter()
    for row in rows:
        total.update({name: row[name] for name in SUMS})
    scanned = sum(sum(row["scanned_frames"].values()) for row in rows)
    agreed = total["agreed_roots"] + total["scanned_roots"]
    roots = f"{agreed} of {total['roots']}" + (f" ({total['scanned_roots']} found by scan)" if total["scanned_roots"] else "")
    figures = [str(total["threads"]), f"{total['agreed_frames']} of {total['frames']}", roots, str(total["untold_roots"]), str(scanned)]
    return f"| {' | '.join([*head, *figures])} |"


def rest(rows: list[Row]) -> Iterator[str]:
    """Sums that are no column, then each kind of difference, reason to scan a frame, and thing left out, with its number."""
    helpers, agreed = (sum(row[name] for row in rows) for name in ("unwound_helpers", "agreed_helpers"))
    for name, words in OTHERS:  # rows of before have none
        count = sum(row.get(name, 0) for row in rows)
        if count:
            yield f"{words}: {count}."
            yield ""
    classes: Counter[str] = Counter()
    for row in rows:
        classes.update(row.get("explicit_frames", {}))
    if classes:
        yield f"Frames of the runtime, by class: {', '.join(f'{count} {name}' for name, count in classes.most_common())}."
        yield ""
    yield f"HelperMethodFrames that the runtime had unwound itself: {helpers}; unwound again by `.eh_frame`, same registers: {agreed}."
    differences: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for row in rows:
        for category, count in row["differences"].items():
            differences[f"{row['runtime']}: {category.split(': ')[0]}"] += count
        for reason, count in row["scanned_frames"].items():
            reasons[f"{row['runtime']}: {reason}"] += count
        left_out.update(f"{row['runtime']}: {reason.split(': ', 1)[1]}" for reason in row["left_out"])
    for title, counts in (("Differences", differences), ("Frames scanned", reasons), ("Left out", left_out)):
        yield ""
        yield f"{title}: " + ("none." if not counts else "")
        yield from (f"- {count} x {what}" for what, count in sorted(counts.items()))


if __name__ == "__main__":
    raise SystemExit(main())
