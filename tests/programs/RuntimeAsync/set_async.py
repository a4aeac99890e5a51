"""Set MethodImplOptions.Async in the metadata of methods: set_async.py RuntimeAsync.dll, or AsyncCalls.dll and the names of its methods."""

import sys
from collections.abc import Sequence
from pathlib import Path

ASYNC = 0x2000  # MethodImplOptions.Async; MethodImplAttributes has the same bit
METHODS = ("Outer", "Middle", "Inner", "Deep")


def main(path: Path, methods: Sequence[str]) -> None:
    """Change the file in place."""
    from heaphound.runtime.metadata.reader import Metadata
    from heaphound.runtime.metadata.schema import Table

    data = bytearray(path.read_bytes())
    start = data.index(b"BSJB")
    metadata = Metadata(bytes(data[start:]))
    for rid in range(1, metadata.tables.count(Table.METHOD_DEF) + 1):
        method = metadata.methoddef(rid)
        if method.name in methods:
            row = method.rva.to_bytes(4, "little") + method.impl_flags.to_bytes(2, "little") + method.flags.to_bytes(2, "little")
            at = data.index(row, start)
            data[at + 4 : at + 6] = (method.impl_flags | ASYNC).to_bytes(2, "little")
            print(method.name, hex(method.impl_flags), "->", hex(method.impl_flags | ASYNC))
    path.write_bytes(data)


main(Path(sys.argv[1]), sys.argv[2:] or METHODS)
