"""Programs with the runtime in their own folder, as `dotnet publish --self-contained` makes them.

The launcher is that of a published program; which assembly it starts is written in it. That finds libhostfxr.so beside it, which finds
libhostpolicy.so there too, as the runtimeconfig.json names no framework to look for but those that are included (dotnet/runtime,
src/native/corehost/fxr and docs/design/features/host-startup.md).
"""

import json
import shutil
import tempfile
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.runtimes import (
    FRAMEWORK,
    PACKAGES,
    LabError,
    fetch_package,
    framework_directory,
    product_version,
    runtime_root,
    unpack_package,
)

LAUNCHER_OF, LAUNCHER = "9.0.11", "hookspy"  # a package, and the launcher in it; it starts runtimes older and newer than itself


def make_self_contained(runtime: str, assembly: Path) -> Path:
    """Put the runtime and a launcher beside the installed `assembly`, whose runtimeconfig.json is rewritten. Returns the launcher."""
    app = assembly.parent
    for file in framework_directory(runtime).iterdir():
        if not file.name.endswith(".deps.json"):
            shutil.copy(file, app)
    (host,) = (runtime_root(runtime) / "host" / "fxr").glob("*/libhostfxr.so")
    shutil.copy(host, app)
    settings = assembly.with_suffix(".runtimeconfig.json")
    options = json.loads(settings.read_text())["runtimeOptions"]
    options.pop("rollForward", None)
    options.pop("framework")
    options["includedFrameworks"] = [{"name": FRAMEWORK, "version": product_version(runtime)}]
    settings.write_text(json.dumps({"runtimeOptions": options}))
    content, name = _launcher().read_bytes(), f"{LAUNCHER}.dll\0".encode()
    if content.count(name) != 1 or len(assembly.name) >= len(name):
        raise LabError(f"the launcher {LAUNCHER} cannot be made to start {assembly.name}")
    program = assembly.with_suffix("")
    program.write_bytes(content.replace(name, assembly.name.encode().ljust(len(name), b"\0")))
    program.chmod(0o755)
    return program


def _launcher() -> Path:
    kept = cache_directory() / "runtimes" / f"launcher-{LAUNCHER}"
    if not kept.exists():
        with locked("launcher"), tempfile.TemporaryDirectory(dir=cache_directory()) as temporary:
            if not kept.exists():
                unpacked = Path(temporary) / "package"
                unpack_package(fetch_package(PACKAGES[LAUNCHER_OF], Path(temporary)), unpacked)
                (found,) = (file for file in unpacked.rglob(LAUNCHER) if file.is_file())
                found.rename(kept)
    return kept
