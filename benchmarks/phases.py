#!/usr/bin/env python3
"""The phases of heaphound's work on one core, timed inside one process: one line of JSON each.

python benchmarks/phases.py CORE
"""

import json
import sys
import time
from collections.abc import Callable

from heaphound.session import Session


def timed(phase: str, work: Callable[[], object]) -> None:
    begin = time.perf_counter()
    work()
    print(json.dumps({"phase": phase, "seconds": time.perf_counter() - begin}), flush=True)


def main() -> None:
    session = Session(sys.argv[1])
    timed("runtime", lambda: session.gc_heap)
    timed("walk", lambda: session.table)
    timed("types", lambda: [session.types.type(int(table)).name for table in session.table.method_tables])
    timed("roots", lambda: session.roots)
    timed("references", lambda: session.graph)
    timed("dominators", lambda: session.graph.dominators)


if __name__ == "__main__":
    main()
