"""Fixtures that every test may ask for, and what the test run says of itself at its head."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.lab.cache import cache_directory
from tests.lab.dumps import LabDump, Recipe, make_dump
from tests.lab.emulated import emulator
from tests.lab.gdb import gdb_program
from tests.lab.kinds import compiled_program, gcore_program, kernel_writes_cores_here
from tests.lab.musl import musl_loader
from tests.lab.oracle import golden_dump, oracle_program

GOLDEN_DUMP = "zoo-8.0.0"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="accept the present output as the golden one (tests/golden, docs/commands.md)")


def pytest_configure(config: pytest.Config) -> None:
    # Machines are noisy: how long one example takes says nothing of the code.
    settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("noisy")
    config.addinivalue_line("markers", "oracle: asks the oracle, a tool that is not part of this repository; selected where it is found")
    config.addinivalue_line("markers", "golden: needs the golden dumps, not part of this repository; selected where they are found")
    config.addinivalue_line("markers", "gcore: needs gdb's gcore; selected where it is installed")
    config.addinivalue_line("markers", "gdb: compares with gdb, which needs its Python; selected where it is installed")
    config.addinivalue_line("markers", "kernel_core: needs a kernel that writes cores into the working directory; selected where it does")
    config.addinivalue_line("markers", "arm64: runs programs of arm64 under qemu-user; selected where it and arm64 libraries are installed")
    config.addinivalue_line("markers", "musl: runs programs that are built for musl; selected where its loader is installed")
    config.addinivalue_line("markers", "single_file: needs compiled programs that are not part of this repository; selected where found")


def _absent() -> set[str]:
    """Markers whose tools are not on this machine."""
    found = {
        "oracle": oracle_program() is not None,
        "golden": golden_dump(GOLDEN_DUMP) is not None,
        "gcore": gcore_program() is not None,
        "gdb": gdb_program() is not None,
        "kernel_core": kernel_writes_cores_here(),
        "arm64": emulator() is not None,
        "musl": musl_loader() is not None,
        "single_file": compiled_program("single-file") is not None and gcore_program() is not None,
    }
    return {name for name, here in found.items() if not here}


def pytest_report_header() -> list[str]:
    oracle = (
        "live" if oracle_program() else "not found: tests marked `oracle` are left out, the answers recorded for the sample are compared"
    )
    golden = "found" if golden_dump(GOLDEN_DUMP) else "not found: the tests marked `golden` are left out"
    reasons = {
        "gcore": "gcore (gdb) is not installed",
        "gdb": "gdb with Python is not installed",
        "kernel_core": "crashes leave no core in the working directory (/proc/sys/kernel/core_pattern, ulimit -Hc)",
        "arm64": "qemu-aarch64 (Debian: qemu-user) or libstdc++6-arm64-cross is not installed",
        "musl": "/lib/ld-musl-x86_64.so.1 (Debian: musl) is not installed",
        "single_file": "the single-file and Native AOT programs, or gcore, are not here",
    }
    left_out = [f"left out: tests marked `{name}`: {reasons[name]}" for name in sorted(_absent() & reasons.keys())]
    return [f"test cache: {cache_directory()}", f"oracle: {oracle}", f"golden dumps: {golden}", *left_out]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what compares with tools that are not here; the head of the run says so, and the closing line counts them as deselected."""
    absent = _absent()
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in absent)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def dump_factory() -> Callable[[Recipe], LabDump]:
    """Makes the dump of a recipe, or takes it from the cache. A dump that cannot be made fails the test with the reason."""
    return make_dump
