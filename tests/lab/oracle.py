"""Another tool's answers about the same dump: ClrMD on the runtime's own data access library, run outside the package.

The tool is not part of this repository. Where it lies beside it (`../shared/oracle/clrmd`, or the folder that `$HEAPHOUND_ORACLE` names),
it is asked about every dump and its answers are kept in the cache. Where it does not, only the answers recorded for the sample dump, in
`tests/oracle`, are compared.
"""

import gzip
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.lab.cache import cache_directory, file_digest, locked
from tests.lab.emulated import EM_AARCH64, emulated
from tests.lab.runtimes import LabError, runtime_root

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
RECORDED = REPOSITORY / "tests" / "oracle"
# Run the tool itself; any runtime from 8 on does, whatever runtime the dump is of. The data access library of an arm64 runtime is a
# library of arm64, so there the whole tool runs under the emulator.
HOST_RUNTIME, HOST_RUNTIME_ARM64 = "9.0.11", "8.0.31-arm64"

Row = dict[str, Any]


def oracle_program() -> Path | None:
    """The tool's dll, or None when it is not on this machine."""
    chosen = os.environ.get("HEAPHOUND_ORACLE")
    program = (Path(chosen) if chosen else SHARED / "oracle" / "clrmd") / "bin" / "peer.dll"
    return program if program.is_file() else None


def golden_dump(name: str) -> Path | None:
    """The compressed dump `name` of the golden set (made by another machine's builds of .NET), or None when the set is not on this
    machine."""
    path = SHARED / "golden" / f"{name}.core.zst"
    return path if path.is_file() else None


def ask(dump: Path, verb: str, *operands: str, dac: Path | None = None) -> list[Row]:
    """The rows that the tool prints for `verb` on `dump`, from the cache when it was asked before.

    `dac`: the data access library, when it does not lie where the dump says. Raises LabError when the tool is absent or fails.
    """
    directory = cache_directory() / "oracle" / file_digest(dump)
    asked = "-".join(operands)
    name = verb + ("-" + (asked if len(asked) < 100 else hashlib.sha256(asked.encode()).hexdigest()[:16]) if asked else "")
    answer = directory / f"{name.replace('/', '_')}.jsonl.gz"
    if not answer.exists():
        with locked("oracle"):
            directory.mkdir(parents=True, exist_ok=True)
            written = answer.with_suffix(".part")
            written.write_bytes(gzip.compress(_run(dump, verb, operands, dac), compresslevel=1))
            written.rename(answer)
    return [json.loads(line) for line in gzip.decompress(answer.read_bytes()).splitlines()]


def run_oracle(dump: Path, verb: str, *operands: str) -> list[Row]:
    """The rows for `verb`, asked now and not kept: for dumps that are thrown away. Raises LabError as `ask`."""
    return [json.loads(line) for line in _run(dump, verb, operands, None).splitlines()]


def recorded(name: str, verb: str) -> list[Row]:
    """The answer for `verb` that lies in the repository for the dump `name`."""
    return [json.loads(line) for line in gzip.decompress((RECORDED / f"{name}.{verb}.jsonl.gz").read_bytes()).splitlines()]


def first_of_each_type(dump: Path, dac: Path | None = None) -> list[str]:
    """Address of the first object of each type, in ascending order: a sample for comparing objects field by field."""
    first: dict[str, str] = {}
    for row in ask(dump, "objects", dac=dac):
        if row["type"] != "Free":
            first.setdefault(row["mt"], row["address"])
    return sorted(first.values())


def _run(dump: Path, verb: str, operands: tuple[str, ...], dac: Path | None) -> bytes:
    program = oracle_program()
    if program is None:
        raise LabError("the oracle is not on this machine; a test that needs it should not have been selected")
    library = ["--dac", str(dac)] if dac else []
    host = HOST_RUNTIME_ARM64 if _is_arm64(dump) else HOST_RUNTIME
    command = [str(runtime_root(host) / "dotnet"), str(program), verb, str(dump), *operands, *library]
    environment = {"PATH": "/usr/bin:/bin", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    done = subprocess.run(
        emulated(command) if host == HOST_RUNTIME_ARM64 else command, check=False, capture_output=True, env=environment, timeout=900
    )
    if done.returncode != 0:
        raise LabError(f"the oracle's {verb} of {dump.name} exited {done.returncode}: {done.stderr.decode(errors='replace')[-1000:]}")
    return done.stdout


def _is_arm64(core: Path) -> bool:
    with open(core, "rb") as file:
        return int.from_bytes(file.read(20)[18:], "little") == EM_AARCH64
