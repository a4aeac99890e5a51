"""How a runtime for musl is started on a machine whose own C library is glibc.

Debian's package `musl` has the loader and the C library. libstdc++ and libgcc for musl come from a Python wheel that carries them; they
are of GCC 10 and lack one function that .NET 10 names, which a library of one function adds. There is no `dotnet` launcher: the package's
own program is one that starts the assembly whose name is written in it.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.runtimes import PACKAGES, LabError, Package, fetch_package, runtime_root, unpack_package

LOADER = Path("/lib/ld-musl-x86_64.so.1")
LIBRARIES_OF_GCC = Package(
    "pip",
    "greenlet==3.2.3",
    "751261fc5ad7b6705f5f76726567375bb2104a059454e0226e1eef6c756748ba",
    platform="musllinux_1_1_x86_64",
    python="3.11",
)
# GCC 11 and later; thrown where the size of an array overflows.
ADDED_FUNCTION = "extern void abort(void); void _ZSt28__throw_bad_array_new_lengthv(void) { abort(); }\n"
ADDED = "libadded.so"


def is_musl(runtime: str) -> bool:
    """Whether `runtime` is built for musl."""
    return bool(PACKAGES[runtime].starter)


def musl_loader() -> Path | None:
    """musl's loader, or None where it is not installed."""
    return LOADER if LOADER.exists() else None


def musl_environment() -> dict[str, str]:
    """What finds the libraries for musl. Only for programs for musl: those of glibc would take the wrong ones."""
    directory = _libraries()
    return {"LD_LIBRARY_PATH": str(directory), "LD_PRELOAD": str(directory / ADDED)}


def install_starter(runtime: str, assembly: Path) -> Path:
    """A program beside `assembly` that starts it."""
    name = f"{PACKAGES[runtime].starter}.dll\0".encode()
    content = (runtime_root(runtime) / "dotnet").read_bytes()
    if content.count(name) != 1 or len(assembly.name) >= len(name):
        raise LabError(f"the launcher of {runtime} cannot be made to start {assembly.name}")
    program = assembly.with_suffix("")
    program.write_bytes(content.replace(name, assembly.name.encode().ljust(len(name), b"\0")))
    program.chmod(0o755)
    return program


def _libraries() -> Path:
    """The folder with libstdc++, libgcc and the added function, made on first use."""
    directory = cache_directory() / "runtimes" / "libraries-musl"
    if not directory.exists():
        with locked("libraries-musl"), tempfile.TemporaryDirectory(dir=cache_directory()) as temporary:
            if not directory.exists():
                _make_libraries(Path(temporary)).rename(directory)
    return directory


def _make_libraries(temporary: Path) -> Path:
    unpack_package(fetch_package(LIBRARIES_OF_GCC, temporary), temporary / "wheel")
    made = temporary / "libraries"
    made.mkdir()
    for prefix, name in (("libstdc++-", "libstdc++.so.6"), ("libgcc_s-", "libgcc_s.so.1")):
        (found,) = (temporary / "wheel").rglob(f"{prefix}*.so*")
        shutil.copy(found, made)
        (made / name).symlink_to(found.name)
    source = temporary / "added.c"
    source.write_text(ADDED_FUNCTION)
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-nostdlib", "-fPIC", "-fno-builtin", "-o", str(made / ADDED), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)} exited {done.returncode}: {done.stderr[-600:]}")
    return made
