"""Find the CoreCLR in a process: by what an image exports, not by its name, so that a single-file program is found too."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from heaphound.dump.core import Core
from heaphound.dump.elf_modules import ElfModule, elf_modules
from heaphound.errors import Malformed, RuntimeNotFound, Unreadable, UnsupportedRuntime
from heaphound.layouts.load import product_version

VERSION_MARK = b"@(#)Version "
VERSION = re.compile(rb"@\(#\)Version (\d+)\.(\d+)\.(\d+)\.\d+(?: @Commit: ([0-9a-f]{8,40}))?")
CORE_LIBRARY = "System.Private.CoreLib.dll"
INFORMATIONAL_VERSION = re.compile(rb"(\d{1,3}\.\d{1,3}\.\d{1,3})(?:-[0-9A-Za-z.-]+)?\+([0-9a-f]{40})\0")
NATIVE_AOT_EXPORTS = ("DotNetRuntimeDebugHeader", "RhpNewFast")
_HOST_LIBRARIES = ("libhostpolicy.so", "libhostfxr.so")
MAXIMUM_VERSION_MARKS = 64
MAXIMUM_VERSION_BYTES = 160


@dataclass(frozen=True)
class FoundRuntime:
    """An image that holds CoreCLR, and what it says of itself.

    `version` is the product's (9.0.11); `version_origin` tells what says so: the image, the core library or the path.
    `dac_table` and `descriptor` are addresses of the exported symbols, None where the image has no such export or the dump lacks the
    pages of its symbol table.
    """

    module: ElfModule
    version: str
    version_origin: str
    commit: str | None
    dac_table: int | None
    descriptor: int | None

    @property
    def single_file(self) -> bool:
        """Whether the runtime is linked into the program itself instead of lying in libcoreclr.so."""
        return PurePosixPath(self.module.path).name != "libcoreclr.so"


def find_coreclr(core: Core) -> FoundRuntime:
    """The CoreCLR of the process: of several images, the one that is loaded (a single-file program also maps its own file as data).

    RuntimeNotFound says what the process is instead; UnsupportedRuntime when its version cannot be told.
    """
    modules = elf_modules(core)
    named = [module for module in modules if PurePosixPath(module.path).name == "libcoreclr.so"]
    found = named or [module for module in modules if _exports_coreclr(module)]
    if found:
        module = max(found, key=lambda module: len(module.mappings))
        version, origin, commit = _version(core, module)
        table, descriptor = _symbol(module, "g_dacTable"), _symbol(module, "DotNetRuntimeContractDescriptor")
        return FoundRuntime(module, version, origin, commit, table, descriptor)
    raise RuntimeNotFound(_what_instead(core, modules))


def _exports_coreclr(module: ElfModule) -> bool:
    """A contract descriptor alone is no proof: Native AOT images export one too since .NET 10. The debugger's libraries are no runtime."""
    if PurePosixPath(module.path).name in ("libmscordaccore.so", "libmscordbi.so"):
        return False
    return _symbol(module, "g_dacTable") is not None or _symbol(module, "coreclr_execute_assembly") is not None


def _symbol(module: ElfModule, name: str) -> int | None:
    """Address of a dynamic symbol; None when the image lacks it, and also when the dump lacks the pages of its symbol table."""
    try:
        return module.symbol(name)
    except (Unreadable, Malformed):
        return None


def _what_instead(core: Core, modules: list[ElfModule]) -> str:
    for module in modules:
        if any(_symbol(module, name) is not None for name in NATIVE_AOT_EXPORTS):
            return (
                f"{core.path}: {module.path} is a Native AOT program: it has no CoreCLR, and its heap is laid out differently; "
                "only programs run by CoreCLR can be read"
            )
    if not core.files:
        qemu = core.writer.program == "qemu-user"
        why = ", as qemu-user writes it: let createdump or gcore dump the process on a machine of its own kind" if qemu else ""
        return f"{core.path}: the core does not list the process's mapped files (no NT_FILE note), by which a runtime is found{why}"
    what = f"pid {core.process.pid}" if core.process.command is None else f"{core.process.command} (pid {core.process.pid})"
    return f"{core.path}: no .NET runtime in {what}: none of its {len(modules)} images is libcoreclr.so or exports g_dacTable"


def _version(core: Core, module: ElfModule) -> tuple[str, str, str | None]:
    """Product version out of the image's version text (`@(#)Version 9.0.1125.51716 @Commit: ...`: patch and year in the third number).

    The linker puts the text into .data or .rodata, so all of the image is searched. A `--withheap` dump may lack those pages: then the
    core library's metadata says it (AssemblyInformationalVersion, `9.0.11+commit`), or the name of the shared framework's directory.
    """
    ranges = [(mapping.start, mapping.end) for mapping in module.mappings]
    for address in core.image.find_bytes(VERSION_MARK, ranges, MAXIMUM_VERSION_MARKS):
        start = int(address)
        present = core.image.readable_bytes(start, MAXIMUM_VERSION_BYTES)
        match = VERSION.match(core.memory.bytes(start, present))
        if match is not None:
            major, minor, third = (int(match.group(i)) for i in (1, 2, 3))
            commit = None if match.group(4) is None else match.group(4).decode("ascii")
            version = product_version(major, minor, third)
            return (*_core_version(core, module), commit) if version is None else (version, "image", commit)
    of_library = _core_library_version(core)
    if of_library is not None:
        return of_library[0], "core library", of_library[1]
    directory = PurePosixPath(module.path).parent.name
    if re.fullmatch(r"\d+\.\d+\.\d+(-.+)?", directory):
        return directory.split("-")[0], "path", None
    raise UnsupportedRuntime(
        f"{core.path}: the dump lacks the version text of {module.path} (build-id {module.build_id or 'unknown'}), "
        "and its directory does not name a version; give the image with --binaries"
    )


def _core_version(core: Core, module: ElfModule) -> tuple[str, str]:
    """(version, what says so) of .NET Core up to 3.1, whose CoreCLR has numbers of its own: 4.6 in 2.x, 4.700 in 3.0 and 3.1.

    The directory of a shared framework tells; else the host's library, whose version text is the product's (`3.100.220.x` is 3.1.2).
    Raises UnsupportedRuntime where neither does.
    """
    directory = PurePosixPath(module.path).parent.name
    if re.fullmatch(r"[23]\.\d+\.\d+(-.+)?", directory):
        return directory.split("-")[0], "path"
    for host in elf_modules(core):
        ranges = [(mapping.start, mapping.end) for mapping in host.mappings] if host.name in _HOST_LIBRARIES else []
        for address in core.image.find_bytes(VERSION_MARK, ranges, MAXIMUM_VERSION_MARKS):
            match = VERSION.match(core.memory.bytes(int(address), core.image.readable_bytes(int(address), MAXIMUM_VERSION_BYTES)))
            version = product_version(*(int(match.group(i)) for i in (1, 2, 3))) if match is not None else None
            if version is not None:
                return version, "host library"
    raise UnsupportedRuntime(
        f"{core.path}: {module.path} is CoreCLR of .NET Core 2 or 3, numbered apart from the product, and nothing in the dump says which: "
        "neither its directory nor libhostpolicy.so"
    )


def _core_library_version(core: Core) -> tuple[str, str] | None:
    """Version and commit out of System.Private.CoreLib's metadata, which is built and numbered together with CoreCLR; None if not there."""
    readable = core.image.readable_ranges
    for file in core.files:
        if PurePosixPath(file.path).name != CORE_LIBRARY:
            continue
        for start, end in readable:
            low, high = max(start, file.start), min(end, file.end)
            match = INFORMATIONAL_VERSION.search(core.memory.bytes(low, high - low)) if low < high else None
            if match is not None:
                return match.group(1).decode("ascii"), match.group(2).decode("ascii")
    return None


def read_dac_table(core: Core, address: int, entry_count: int, entry_bytes: int, image_base: int) -> list[int]:
    """Absolute addresses that g_dacTable holds, 0 where an entry is empty (a variable that this platform does not have).

    Raises Unreadable when the dump lacks the table.
    """
    raw = core.memory.bytes(address, entry_count * entry_bytes)
    values = np.frombuffer(raw, "<u4" if entry_bytes == 4 else "<u8").tolist()
    if entry_bytes == 4:
        return [image_base + value if value else 0 for value in values]
    return [int(value) for value in values]
