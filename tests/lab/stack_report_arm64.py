"""Tables of docs/stack-agreement-arm64.md, made of what `tests.lab.stacks_arm64` wrote.

    python -m tests.lab.stack_report_arm64 FILE...

replaces what lies between the marks `<!-- corpus: begin -->`, `<!-- suspended: begin -->` and `<!-- sweep: begin -->` and their ends.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from tests.lab.stack_report import PAGE as PAGE_OF_X64
from tests.lab.stack_report import Row, replaced, rest
from tests.lab.stack_sweep import KINDS_OF_CODE, read_results
from tests.lab.stacks_arm64 import RUNTIMES, sweep

PAGE = PAGE_OF_X64.with_name("stack-agreement-arm64.md")
COLUMNS = "threads | frames that agree | roots that agree | misplaced by the oracle | untold registers, arguments | scanned frames"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    rows = [row for file in parser.parse_args().results for row in read_results(file)]
    text = PAGE.read_text()
    for name in ("corpus", "suspended"):
        text = replaced(text, name, "\n".join(tables(rows, name)))
    text = replaced(text, "sweep", "\n".join(sweep_tables(rows)))
    PAGE.write_text(text)
    return 0


def sweep_tables(rows: list[Row]) -> Iterator[str]:
    """A row a runtime and kind of code, then what was not plain agreement."""
    mine = [row for row in rows if row["of"] == "sweep"]
    yield f"| runtime | kind of code | dumps (of all combinations) | {COLUMNS} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for runtime in RUNTIMES:
        for code in KINDS_OF_CODE:
            part = [row for row in mine if (row["runtime"], row["code"]) == (runtime, code)]
            possible = sum(work.code == code for work in sweep(runtime))
            if part:
                yield _line([runtime, code, f"{len(part)} of {possible}"], part)
    yield _line(["all", "", str(len(mine))], mine)
    yield ""
    yield from _rest(mine)


def tables(rows: list[Row], of: str) -> Iterator[str]:
    """A row a runtime, then what was not plain agreement."""
    mine = [row for row in rows if row["of"] == of]
    yield f"| runtime | cores | {COLUMNS} |"
    yield "|---|---|---|---|---|---|---|---|"
    for runtime in (*RUNTIMES, "all"):
        part = [row for row in mine if runtime in (row["runtime"], "all")]
        if part:
            yield _line([runtime, str(len(part))], part)
    yield ""
    yield from _rest(mine)


def _rest(rows: list[Row]) -> Iterator[str]:
    """As of x64, without what no machine of this kind has, HelperMethodFrames unwound twice, and without what only later rows tell: the
    classes of Frames."""
    left_out = ("HelperMethodFrames", "Frames of the runtime, by class")
    lines = list(rest(rows))
    dropped = {at for index, line in enumerate(lines) if line.startswith(left_out) for at in (index, index + 1)}
    yield from (line for index, line in enumerate(lines) if index not in dropped)


def _line(head: list[str], rows: list[Row]) -> str:
    names = ("threads", "agreed_frames", "frames", "agreed_roots", "scanned_roots", "roots", "misplaced_roots", "untold_roots")
    threads, agreed_frames, frames, agreed, scanned, roots, misplaced, untold = (sum(row[name] for row in rows) for name in names)
    arguments = sum(row["untold_arguments"] for row in rows)
    words = sum(sum(row["scanned_frames"].values()) for row in rows)
    found = f"{agreed + scanned} of {roots}" + (f" ({scanned} found by scan)" if scanned else "")
    figures = [str(threads), f"{agreed_frames} of {frames}", found, str(misplaced), f"{untold}, {arguments}", str(words)]
    return f"| {' | '.join([*head, *figures])} |"


if __name__ == "__main__":
    raise SystemExit(main())
