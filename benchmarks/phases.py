#!/usr/bin/env python3
"""The phases of heaphound's work on one core, timed inside one process: one line of JSON each.

python benchmarks/phases.py CORE [ADDRESS]

With an address, that of the object to which the first path is searched, the time of the slowest of five further paths is told too.
"""

import json
import sys
import time
from collections.abc import Callable

from heaphound.answers.path import path
from heaphound.session import Session

NEXT_PATHS = 5


def timed(phase: str, work: Callable[[], object]) -> None:
    begin = time.perf_counter()
    work()
    print(json.dumps({"phase": phase, "seconds": time.perf_counter() - begin}), flush=True)


def next_path(session: Session, first: int) -> None:
    """Search a path to one object, then to others spread over the heap; the slowest of these is what is told."""
    path(session, first)
    table, slowest = session.table, 0.0
    for number in range(1, NEXT_PATHS + 1):
        begin = time.perf_counter()
        path(session, int(table.address_of(table.object_count * number // (NEXT_PATHS + 1))))
        slowest = max(slowest, time.perf_counter() - begin)
    print(json.dumps({"phase": "next path", "seconds": slowest}), flush=True)


def main() -> None:
    session = Session(sys.argv[1])
    timed("runtime", lambda: session.gc_heap)
    timed("walk", lambda: session.table)
    timed("types", lambda: [session.types.type(int(table)).name for table in session.table.method_tables])
    timed("roots", lambda: session.roots)
    timed("references", lambda: session.graph)
    timed("dominators", lambda: session.graph.dominators)
    if len(sys.argv) > 2:
        next_path(session, int(sys.argv[2], 16))


if __name__ == "__main__":
    main()
