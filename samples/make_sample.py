#!/usr/bin/env python3
"""Make samples/redis-leak.core.zst again: a real dump of tests/programs/RedisLeak that names no machine.

    sudo python3 samples/make_sample.py

The program runs on .NET 8.0.4 in namespaces of its own: the runtime lies at /opt/dotnet, the program at /srv/shop, the host is called
`shop`, there is no network but loopback, and no control groups are to be seen. What cannot be hidden from a process (the kernel's release)
is overwritten in the core, byte for byte. The core is then searched for this machine's names and refused if one is left. Needs root,
util-linux's `unshare`, redis-server and zstd; leaves nothing behind.
"""

import fcntl
import getpass
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from tests.lab.dumps import record_dump, redis_leak  # noqa: E402  (the repository's root is no installed package)
from tests.lab.runtimes import runtime_root  # noqa: E402

RUNTIME = "8.0.4"
CALLS = 20_000
SAMPLE = REPOSITORY / "samples" / "redis-leak.core.zst"
SYMBOLS = REPOSITORY / "samples" / "symbols"
MOST_BYTES = 12_000_000
ROOT, APP = Path("/opt/dotnet"), Path("/srv/shop")
NEUTRAL_RELEASE = "6.1.0-generic-kernel-release-of-no-machine"


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("make_sample.py needs root: it makes mount, network and host name namespaces for the program")
    if sys.argv[1:2] == ["--inside"]:
        record_inside(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    missing = [tool for tool in ("unshare", "redis-server", "zstd") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"make_sample.py needs {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as temporary:
        core = Path(temporary) / "redis-leak.core"
        made = [directory for directory in (ROOT, APP) if not directory.exists()]
        try:
            for directory in (ROOT, APP):
                directory.mkdir(parents=True, exist_ok=True)
            namespaces = ["unshare", "--mount", "--uts", "--net", "--ipc", "--pid", "--cgroup", "--fork", "--mount-proc"]
            subprocess.run([*namespaces, sys.executable, __file__, "--inside", str(core), str(runtime_root(RUNTIME))], check=True)
        finally:
            for directory in made:
                directory.rmdir()
        forget_kernel(core)
        refuse_if_it_names_the_machine(core)
        compress(core)
    SYMBOLS.mkdir(exist_ok=True)
    for name in ("Shop.Caching.pdb", "RedisLeak.pdb"):
        shutil.copy(REPOSITORY / "tests" / "programs" / "RedisLeak" / "bin" / name, SYMBOLS)


def record_inside(core: Path, runtime: Path) -> None:
    """In the namespaces: put runtime and program at their neutral places, run, dump."""
    socket.sethostname("shop")
    loopback_up()
    for directory in (ROOT, APP):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(directory)], check=True)
    subprocess.run(["umount", "--recursive", "--lazy", "/sys"], check=True)
    shutil.copytree(runtime, ROOT, dirs_exist_ok=True)
    facts = record_dump(redis_leak(RUNTIME, CALLS, "withheap"), core, APP, ROOT)
    print(f"recorded: {facts}")


def loopback_up() -> None:
    """Set IFF_UP on `lo`, which a new network namespace has switched off (SIOCSIFFLAGS, linux/sockios.h; struct ifreq)."""
    with socket.socket() as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x1))


def encodings(text: str) -> tuple[bytes, bytes]:
    """How a string lies in a .NET process: as bytes in native memory, as UTF-16 on the heap."""
    return text.encode(), text.encode("utf-16-le")


def forget_kernel(core: Path) -> None:
    """Overwrite the kernel's release, which redis tells its clients, by text of the same length."""
    content = core.read_bytes()
    release = platform.release()
    neutral = NEUTRAL_RELEASE[: len(release)].ljust(len(release), "x")
    for old, new in zip(encodings(release), encodings(neutral), strict=True):
        content = content.replace(old, new)
    core.write_bytes(content)


def refuse_if_it_names_the_machine(core: Path) -> None:
    """End the script when the core holds this machine's host name, paths, user or control group."""
    content = core.read_bytes()
    groups = {line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()} - {"/", ""}
    names = {str(REPOSITORY), str(Path.home()), "/home/", os.getcwd(), tempfile.gettempdir() + "/tmp", platform.release(), *groups}
    names |= {name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4}  # shorter ones occur in any binary
    found = sorted(name for name in names - {"/"} if any(form in content for form in encodings(name)))
    if found:
        sys.exit(f"the core names this machine: {found}")


def compress(core: Path) -> None:
    """Write the sample; as strong as a window of 8 MiB allows, which every zstd reader accepts."""
    subprocess.run(["zstd", "-q", "-f", "-19", str(core), "-o", str(SAMPLE)], check=True)
    size = SAMPLE.stat().st_size
    print(f"{SAMPLE.relative_to(REPOSITORY)}: {size / 1e6:.1f} MB of {core.stat().st_size / 1e6:.0f} MB")
    if size > MOST_BYTES:
        sys.exit(f"that is more than the {MOST_BYTES / 1e6:.0f} MB that a clone should carry")


if __name__ == "__main__":
    main()
