"""The dumps on which answers are compared, each with where the oracle's answers come from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from tests.lab.cache import cache_directory, file_digest, locked
from tests.lab.dumps import make_dump, redis_leak, zoo
from tests.lab.oracle import HOST_RUNTIME, SHARED, Row, ask, golden_dump, recorded
from tests.lab.runtimes import SINCE_NET_6, VERSIONS, LabError, framework_directory
from tests.lab.sample import NAME, RUNTIME, sample_core


@dataclass(frozen=True)
class Case:
    """One dump. `core` makes it or finds it; `dac` is the oracle's library where the dump's own path to it does not exist here.

    `host`: the runtime that the oracle runs on.
    """

    name: str
    core: Callable[[], Path]
    dac: Callable[[], Path] | None = None
    recorded: bool = False
    host: str = HOST_RUNTIME

    def answers(self, verb: str, *operands: str) -> list[Row]:
        """The oracle's rows for `verb`: out of the repository for the sample, else asked now or taken from the cache."""
        if self.recorded:
            return recorded(NAME, verb)
        return ask(self.core(), verb, *operands, dac=self.dac() if self.dac else None, host=self.host)


def plain_golden(name: str) -> Path:
    """The golden dump `name`, decompressed into the cache, because the oracle reads only plain cores."""
    compressed = golden_dump(name)
    if compressed is None:
        raise LabError(f"the golden dump {name} is not on this machine")
    core = cache_directory() / "dumps" / f"golden-{name}-{file_digest(compressed)[:16]}.core"
    if not core.exists():
        with locked(f"golden-{name}"):
            core.parent.mkdir(exist_ok=True)
            part = core.with_suffix(".part")
            with open(compressed, "rb") as source, open(part, "wb") as plain:
                zstandard.ZstdDecompressor().copy_stream(source, plain)
            part.rename(core)
    return core


def _golden(name: str) -> Case:
    version = name.rpartition("-")[2]
    library = SHARED / "golden" / "dac" / version / "libmscordaccore.so"
    return Case(f"golden-{name}", lambda: plain_golden(name), lambda: library)


SAMPLE_CASE = Case("sample", sample_core, lambda: framework_directory(RUNTIME) / "libmscordaccore.so", recorded=True)
GOLDEN_CASES = [_golden(name) for name in ("zoo-8.0.0", "zoo-9.0.22", "redis-8.0.0")]
ZOO_CASES = [Case(f"zoo-{version}", lambda version=version: make_dump(zoo(version)).path) for version in VERSIONS]
SERVER_CASES = [
    Case(f"zoo-{version}-server", lambda version=version: make_dump(zoo(version, server_gc=True)).path)
    for version in ("3.1.2", "6.0.6", "9.0.11")
]
WITHHEAP_CASES = [
    Case(f"zoo-{version}-withheap", lambda version=version: make_dump(zoo(version, mode="withheap")).path)
    for version in ("8.0.4", "10.0.11")  # on 3.1 it leaves out the metadata of the program, and nothing has a name
]
REDIS_CASES = [Case(f"redis-{version}", lambda version=version: make_dump(redis_leak(version)).path) for version in SINCE_NET_6]
# What an arm64 runtime under qemu-user left; the oracle's answers take 5 to 20 s each there, so they are few.
ARM64_CASES = [
    Case("zoo-8.0.31-arm64", lambda: make_dump(zoo("8.0.31-arm64")).path),
    Case("zoo-10.0.11-arm64", lambda: make_dump(zoo("10.0.11-arm64")).path),
]
LIVE_CASES = [*ZOO_CASES, *SERVER_CASES, *WITHHEAP_CASES, *REDIS_CASES, *ARM64_CASES]


def all_cases() -> list[object]:
    """Every case as a pytest parameter: the sample always, the others marked by what they need."""
    return [
        pytest.param(SAMPLE_CASE, id=SAMPLE_CASE.name),
        *(pytest.param(case, id=case.name, marks=pytest.mark.oracle) for case in LIVE_CASES if case not in ARM64_CASES),
        *(pytest.param(case, id=case.name, marks=[pytest.mark.oracle, pytest.mark.arm64]) for case in ARM64_CASES),
        *(pytest.param(case, id=case.name, marks=[pytest.mark.oracle, pytest.mark.golden]) for case in GOLDEN_CASES),
    ]
