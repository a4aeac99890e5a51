"""A whole arm64 machine under qemu-system, with Debian's kernel: createdump works there, and ptrace stops all threads wherever they are.

qemu-user (`tests.lab.emulated`) needs no half minute to start, but stops one thread at a time and hijacks no returns. Here a collection
suspends a process as on real hardware. Needs qemu-system-aarch64 (Debian: qemu-system-arm), mke2fs and apt.

The machine has two disks: its root, and one without a file system through which it hands out files. Scripts go in over its serial line, and
what they print comes back the same way.
"""

import base64
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tests.lab.machine_parts_arm64 import END, READY, machine_parts, machine_program
from tests.lab.runtimes import LabError

MEMORY = "5G"
_LONGEST_LINE = 4000  # that the serial line hands over at once


class Machine:
    """A running machine. `files`: folders and files of this host that lie at the same place, or at the place named, in the machine."""

    def __init__(self, files: dict[Path, str], directory: Path) -> None:
        program = machine_program()
        if program is None:
            raise LabError("qemu-system-aarch64, apt or mke2fs is not installed")
        parts = machine_parts()
        root, self._handed_out = directory / "root.img", directory / "handed-out.img"
        _make_root(parts / "tree", files, root)
        with open(self._handed_out, "wb") as empty:
            empty.truncate(1 << 32)
        drives = [
            part
            for name, image in (("root", root), ("out", self._handed_out))
            for part in ("-drive", f"file={image},format=raw,if=none,id={name},cache=unsafe", "-device", f"virtio-blk-pci,drive={name}")
        ]
        console = ["-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot"]
        kernel = ["-kernel", str(parts / "kernel"), "-initrd", str(parts / "initrd"), "-append", "console=ttyAMA0 quiet"]
        processor = ["-M", "virt", "-cpu", "max,pauth-impdef=on", "-accel", "tcg,thread=multi", "-smp", "2", "-m", MEMORY]
        self._process = subprocess.Popen(
            [program, *processor, *console, *kernel, *drives],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._received = b""
        try:
            self._until(READY, 180)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def run(self, script: str, seconds: float = 120) -> str:
        """What a script of the shell prints. Raises LabError where it fails or takes too long."""
        line = base64.b64encode(script.encode())
        if len(line) > _LONGEST_LINE:
            raise LabError(f"a script of {len(script)} characters is too long for the machine's serial line")
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()
        printed, status = self._until(END, seconds)
        if status != "0":
            raise LabError(f"in the arm64 machine a script exited {status}: {script[:200]!r}: {printed[-800:]}")
        return printed

    def take(self, inside: str, path: Path) -> None:
        """Copy a file of the machine to `path`; pages of zeros become holes."""
        size = int(self.run(f"stat -c %s {inside} && dd if={inside} of=/dev/vdb bs=4M conv=sync oflag=direct 2>/dev/null", 300).split()[0])
        command = ["dd", f"if={self._handed_out}", f"of={path}", "bs=64K", f"count={size}", "iflag=count_bytes", "conv=sparse"]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        os.truncate(path, size)

    def _until(self, mark: str, seconds: float) -> tuple[str, str]:
        """What comes before the line that begins with `mark`, and the rest of that line."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        wanted = mark.encode()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while (start := self._received.find(wanted)) < 0 or (end := self._received.find(b"\n", start)) < 0:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise LabError(f"the arm64 machine was silent for {seconds:.0f} s: {self._received[-500:]!r}")
                more = os.read(self._process.stdout.fileno(), 1 << 16)
                if not more:
                    raise LabError(f"the arm64 machine has ended: {self._received[-800:]!r}")
                self._received += more
        printed, rest = self._received[:start], self._received[start + len(wanted) : end]
        self._received = self._received[end + 1 :]
        return printed.decode(errors="replace").strip(), rest.decode().strip()


@contextmanager
def machine(files: dict[Path, str], directory: Path | None = None) -> Iterator[Machine]:
    """A machine in a folder of its own that is gone afterwards; its disks take some 500 MB. Raises LabError."""
    with tempfile.TemporaryDirectory(dir=directory) as temporary, Machine(files, Path(temporary)) as running:
        yield running


def _make_root(tree: Path, files: dict[Path, str], image: Path) -> None:
    """The root's disk. Only the machine writes to it, and it is thrown away."""
    with tempfile.TemporaryDirectory(dir=image.parent) as temporary:
        root = Path(temporary) / "root"
        shutil.copytree(tree, root, symlinks=True)
        for source, place in files.items():
            target = root / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        with open(image, "wb") as empty:
            empty.truncate(2 << 30)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, image], check=True, capture_output=True, timeout=300
        )
