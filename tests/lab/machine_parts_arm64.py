"""What an arm64 machine is made of: Debian's kernel, the file system that it starts with, and the tree of its root.

The packages are fetched through apt with a state and a cache of their own, as of a machine of that kind, and unpacked: nothing is installed
here. They are of Debian's present release, not pinned; no answer depends on them.
"""

import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.runtimes import LabError

KERNEL = "linux-image-cloud-arm64"
PACKAGES = (
    *("busybox-static", "libc6", "libstdc++6", "libgcc-s1", "zlib1g"),
    # redis-server and what it is linked with
    *("redis-server", "redis-tools", "libjemalloc2", "liblua5.1-0", "liblzf1", "libatomic1", "libssl3", "libsystemd0", "lua-cjson"),
    *("lua-bitop", "libhiredis0.14", "libcap2", "libgcrypt20", "libgpg-error0", "liblz4-1", "liblzma5", "libzstd1"),
)
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")  # in the order of loading
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
RECIPE = 1  # raise it when what is unpacked changes
READY, END = "MACHINE READY", "MACHINE DONE "
_FIRST_PROGRAM = f"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {" ".join(MODULES)}; do /bin/busybox insmod /modules/$module.ko; done
while [ ! -e /dev/vdb ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /init
"""
# Scripts come as lines of base64, so that they may hold anything.
_SECOND_PROGRAM = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/sbin LANG=C.UTF-8
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs -o size=3g tmp /tmp
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm; ifconfig lo 127.0.0.1
stty -echo -onlcr < /dev/ttyAMA0
echo {READY}
while read -r line; do
  echo "$line" | base64 -d > /tmp/script; sh /tmp/script < /dev/null 2>&1; status=$?; echo; echo {END}$status
done
"""


def machine_program() -> str | None:
    """qemu-system-aarch64, or None where it is not installed, or not what makes its disks."""
    program = shutil.which("qemu-system-aarch64")
    return program if program and all(shutil.which(name) for name in ("mke2fs", "apt-get", "dpkg-deb")) else None


def machine_parts() -> Path:
    """The folder with `kernel`, `initrd` and the folder `tree`, made on first use. Raises LabError."""
    directory = cache_directory() / "runtimes" / f"machine-arm64-{RECIPE}"
    if not directory.exists():
        with locked("machine-arm64"), tempfile.TemporaryDirectory(dir=cache_directory()) as temporary:
            if not directory.exists():
                _make(Path(temporary)).rename(directory)
    return directory


def _make(temporary: Path) -> Path:
    made, kernel, downloads = (temporary / name for name in ("made", "kernel", "downloads"))
    tree = made / "tree"
    for folder in (made, kernel, downloads, tree):
        folder.mkdir()
    _download(temporary / "apt", downloads)
    for file in downloads.iterdir():
        _checked(["dpkg-deb", "-x", str(file), str(kernel if file.name.startswith("linux-image") else tree)])
    for name in ("proc", "sys", "dev", "tmp", "root"):
        (tree / name).mkdir(exist_ok=True)
    (tree / "bin" / "sh").symlink_to("busybox")
    _write_program(tree / "init", _SECOND_PROGRAM)
    (built,) = (kernel / "boot").glob("vmlinuz-*")
    shutil.copy(built, made / "kernel")
    first = temporary / "first"
    for name in ("bin", "dev", "modules", "root"):
        (first / name).mkdir(parents=True)
    shutil.copy(tree / "bin" / "busybox", first / "bin")
    for name in MODULES:
        (module,) = kernel.rglob(f"{name}.ko")
        shutil.copy(module, first / "modules")
    _write_program(first / "init", _FIRST_PROGRAM)
    (made / "initrd").write_bytes(b"".join(_archive(first)))
    return made


def _download(state: Path, into: Path) -> None:
    """The kernel's package and PACKAGES, of arm64."""
    sources = next((file for file in SOURCES if file.exists()), None)
    if sources is None:
        raise LabError("apt has no list of Debian's packages here")
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    told = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
    }
    options = [part for name, value in told.items() for part in ("-o", f"{name}={value}")]
    _checked(["apt-get", *options, "update"])
    depends = _checked(["apt-cache", *options, "depends", KERNEL])
    image = next((line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line), None)
    if image is None:
        raise LabError(f"{KERNEL} names no kernel: {depends!r}")
    _checked(["apt-get", *options, "download", image, *PACKAGES], into)


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _archive(folder: Path) -> Iterator[bytes]:
    """The folder as a kernel's initial file system ("newc": Documentation/driver-api/early-userspace/buffer-format.rst)."""
    for number, path in enumerate(sorted(folder.rglob("*")), 1):
        mode = path.stat().st_mode
        yield _entry(str(path.relative_to(folder)), mode, path.read_bytes() if stat.S_ISREG(mode) else b"", number)
    yield _entry("TRAILER!!!", 0, b"", 0)


def _entry(name: str, mode: int, contents: bytes, number: int) -> bytes:
    numbers = (number, mode, 0, 0, 1, 0, len(contents), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % value for value in numbers) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + contents + bytes(-len(contents) % 4)


def _checked(command: list[str], directory: Path | None = None) -> str:
    done = subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise LabError(f"{command[0]} {command[-1]} exited {done.returncode}: {done.stderr[-800:]}")
    return done.stdout
