"""Another tool's answers about the same dump: ClrMD on the runtime's own data access library, run outside the package.

The tool is not part of this repository. Where it lies beside it (`../shared/oracle/clrmd`, or the folder that `$HEAPHOUND_ORACLE` names),
it is asked about every dump and its answers are kept in the cache. Where it does not, only the answers recorded for the sample dump, in
`tests/oracle`, are compared.
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.cache import cache_directory, file_digest, locked
from tests.lab.emulated import EM_AARCH64, emulated
from tests.lab.musl import install_starter, is_musl, musl_environment
from tests.lab.runtimes import LabError, runtime_root

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
RECORDED = REPOSITORY / "tests" / "oracle"
# Run the tool itself; any runtime from 8 on does, whatever runtime the dump is of. The data access library of an arm64 runtime is a
# library of arm64, so there the whole tool runs under the emulator.
HOST_RUNTIME, HOST_RUNTIME_ARM64 = "9.0.11", "8.0.31-arm64"

# The emulator keeps books of all reserved memory, for which 256 GB take a second of the four that a question lasts.
_SMALL_HEAP = {"DOTNET_GCHeapHardLimit": "0x180000000"}

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


def ask(dump: Path, verb: str, *operands: str, dac: Path | None = None, host: str = HOST_RUNTIME) -> list[Row]:
    """The rows that the tool prints for `verb` on `dump`, from the cache when it was asked before.

    `dac`: the data access library, when it does not lie where the dump says; `host`: the runtime that the tool runs on, of the C library
    that the data access library is built for. Raises LabError when the tool is absent or fails.
    """
    directory = cache_directory() / "oracle" / file_digest(dump)
    asked = "-".join(operands)
    name = verb + ("-" + (asked if len(asked) < 100 else hashlib.sha256(asked.encode()).hexdigest()[:16]) if asked else "")
    answer = directory / f"{name.replace('/', '_')}.jsonl.gz"
    if not answer.exists():
        with locked("oracle"):
            directory.mkdir(parents=True, exist_ok=True)
            written = answer.with_suffix(".part")
            written.write_bytes(gzip.compress(_run(dump, verb, operands, dac, host), compresslevel=1))
            written.rename(answer)
    return [json.loads(line) for line in gzip.decompress(answer.read_bytes()).splitlines()]


def run_oracle(dump: Path, verb: str, *operands: str, dac: Path | None = None, host: str = HOST_RUNTIME) -> list[Row]:
    """The rows for `verb`, asked now and not kept: for dumps that are thrown away. Arguments and LabError as `ask`."""
    return [json.loads(line) for line in _run(dump, verb, operands, dac, host).splitlines()]


def recorded(name: str, verb: str) -> list[Row]:
    """The answer for `verb` that lies in the repository for the dump `name`."""
    return [json.loads(line) for line in gzip.decompress((RECORDED / f"{name}.{verb}.jsonl.gz").read_bytes()).splitlines()]


def first_of_each_type(objects: list[Row]) -> list[str]:
    """Of the rows for `objects`, the address of the first of each type, ascending: a sample for comparing objects field by field."""
    first: dict[str, str] = {}
    for row in objects:
        if row["type"] != "Free":
            first.setdefault(row["mt"], row["address"])
    return sorted(first.values())


def _run(dump: Path, verb: str, operands: tuple[str, ...], dac: Path | None, host: str) -> bytes:
    program = oracle_program()
    if program is None:
        raise LabError("the oracle is not on this machine; a test that needs it should not have been selected")
    library = ["--dac", str(dac)] if dac else []
    environment = {"PATH": "/usr/bin:/bin", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    if _is_arm64(dump):
        environment |= _SMALL_HEAP
        start = emulated([str(runtime_root(HOST_RUNTIME_ARM64) / "dotnet"), str(program)])
    elif is_musl(host):
        start = [str(_musl_program(program, host))]
        environment |= {"DOTNET_ROOT": str(runtime_root(host)), "DOTNET_ROLL_FORWARD": "Major", **musl_environment()}
    else:
        start = [str(runtime_root(host) / "dotnet"), str(program)]
    command = [*_at_fixed_addresses(), *start, verb, str(dump), *operands, *library]
    done = subprocess.run(command, check=False, capture_output=True, env=environment, timeout=900)
    if done.returncode != 0:
        raise LabError(f"the oracle's {verb} of {dump.name} exited {done.returncode}: {done.stderr.decode(errors='replace')[-1000:]}")
    return done.stdout


@cache
def _at_fixed_addresses() -> tuple[str, ...]:
    """What starts a program without address space layout randomisation, so that the tool's own memory lies above a dumped process's stacks.

    The walk of 9.0's library asks whether a stack pointer is beyond an exception's ExInfo, and compares it with where its own copy of that
    lies (`SP > (SIZE_T)pExInfo` in StackFrameIterator::Filter, src/coreclr/vm/stackwalk.cpp, where pExInfo is a host pointer in the
    library): else chance decides whether it leaves out all frames up to the handler's. Nothing where a machine does not allow it.
    """
    program = shutil.which("setarch")
    command = () if program is None else (program, "--addr-no-randomize")
    allowed = command and subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
    return command if allowed else ()


def _is_arm64(core: Path) -> bool:
    with open(core, "rb") as file:
        return int.from_bytes(file.read(20)[18:], "little") == EM_AARCH64


def _musl_program(program: Path, host: str) -> Path:
    """A copy of the tool with a launcher for musl beside it, in the cache."""
    directory = cache_directory() / "oracle" / f"program-{host}-{file_digest(program)[:16]}"
    if not directory.exists():
        with locked("oracle-musl"):
            if not directory.exists():
                part = directory.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(program.parent, part)
                install_starter(host, part / program.name)
                part.rename(directory)
    return directory / program.stem
