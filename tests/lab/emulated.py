"""Processes of arm64 under qemu-user, and their cores.

createdump stops a process by ptrace, which qemu-user does not carry out, so the core is written here as createdump (full) would: qemu's gdb
server tells the registers of each thread, the process's own /proc/self/maps (which qemu answers for the emulated process) the mappings, and
/proc/PID/mem of the emulator the bytes, as the emulated memory lies in the emulator's at the same addresses (`-B 0`).
"""

import os
import re
import shutil
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from heaphound.dump.ranges import Ranges
from tests.lab.gdb_remote import GdbRemote
from tests.lab.native_core import NT_AUXV, NT_FILE, NT_PRPSINFO, PAGE, file_note, note
from tests.lab.runtimes import LabError

SYSROOT = Path("/usr/aarch64-linux-gnu")  # Debian: libc6-arm64-cross, libstdc++6-arm64-cross
NT_PRSTATUS, NT_FPREGSET = 1, 2
EM_AARCH64 = 183
# The runtime suspends threads by sending many a signal at once, and qemu's gdb server mixes up the answers to two that come together
# (clrconfignames.h, INTERNAL_ThreadSuspendInjection; COMPlus_ before .NET 6).
WITHOUT_ACTIVATION = {f"{prefix}_INTERNAL_ThreadSuspendInjection": "0" for prefix in ("DOTNET", "COMPlus")}
SECONDS_TO_SETTLE = 1.5  # until the runtime's own threads sleep too; a thread that compiles methods again ends after 4 s without work
_OPENAT, _READ, _AT_FDCWD = 56, 63, (1 << 64) - 100
_SVC = bytes.fromhex("010000d4")
_MAPS_CHUNK = 1 << 14
_STOP, _STOP_NUMBER = signal.SIGSYS, "0c"  # the runtime has no use for it; and its number in gdb's protocol (include/gdb/signals.def)


@dataclass(frozen=True)
class Mapping:
    """One line of /proc/PID/maps."""

    start: int
    end: int
    permissions: str
    file_offset: int
    path: str

    @property
    def flags(self) -> int:
        """The flags of a program header: 4 readable, 2 writable, 1 executable."""
        return sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in self.permissions)


def emulator() -> str | None:
    """qemu-aarch64, or None where it or the arm64 libraries are not installed."""
    program = shutil.which("qemu-aarch64")
    return program if program and all((SYSROOT / "lib" / name).exists() for name in ("libc.so.6", "libstdc++.so.6")) else None


def emulated(command: list[str], gdb_port: int | None = None) -> list[str]:
    """The command line that runs `command`, a program of arm64, here. Raises LabError without an emulator."""
    program = emulator()
    if program is None:
        raise LabError("qemu-user or the arm64 libraries are not installed; a test that needs them should not have been selected")
    server = [] if gdb_port is None else ["-g", str(gdb_port)]
    return [program, "-L", str(SYSROOT), "-B", "0", *server, *command]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def passing_signals(gdb: GdbRemote, process_id: int) -> Iterator[Callable[[], str]]:
    """Let the process run, with its signals (hardware exceptions among them); what is yielded stops it and returns the thread stopped.

    The gdb server sees each signal first and waits to be told what to do with it.
    """
    gdb.resume()
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(gdb.pass_signals_until, _STOP_NUMBER)

        def stop() -> str:
            os.kill(process_id, _STOP)
            return stopped.result()

        try:
            yield stop
        finally:
            gdb.close()


def write_emulated_core(gdb: GdbRemote, stop: Callable[[], str], process_id: int, path: Path) -> None:
    """Write the core of an emulated process that runs under `gdb`; afterwards it is good for nothing but to be killed. Raises LabError."""
    time.sleep(SECONDS_TO_SETTLE)
    stopped_thread = stop()
    threads = {int(thread, 16): found for thread in gdb.threads() if (found := gdb.registers(thread))}
    registers = gdb.registers(stopped_thread)
    if registers is None:
        raise LabError(f"the stopped thread {stopped_thread} has ended")
    auxiliary = gdb.auxiliary_vector()
    with open(f"/proc/{process_id}/mem", "rb") as memory:
        mappings = _mappings(gdb, process_id, memory.fileno(), registers[0][31])
        notes = _process_note(process_id) + note(NT_AUXV, auxiliary) + note(NT_FILE, file_note(_files(mappings)))
        for thread_id, (values, state) in sorted(threads.items()):
            notes += _thread_notes(thread_id, process_id, values, state)
        os.kill(process_id, signal.SIGSTOP)  # the other threads ran on until here
        present = _present(process_id, [mapping for mapping in mappings if mapping.flags & 4])
        readable = [_readable_part(memory.fileno(), mapping) for mapping in present]
        _write(path, notes, [mapping for mapping in readable if mapping.end > mapping.start], memory.fileno())


def _mappings(gdb: GdbRemote, process_id: int, memory: int, stack_pointer: int) -> list[Mapping]:
    """What the stopped thread reads from its /proc/self/maps, by way of the unused end of its stack, which is restored."""
    buffer = stack_pointer - 4 * _MAPS_CHUNK & -16
    kept = os.pread(memory, 2 * _MAPS_CHUNK, buffer)
    name = b"/proc/self/maps\0"
    call = _system_call_instruction(process_id, memory)
    with open(f"/proc/{process_id}/mem", "r+b", buffering=0) as writable:
        os.pwrite(writable.fileno(), name, buffer)
        descriptor = gdb.system_call(call, _OPENAT, _AT_FDCWD, buffer, 0, 0)
        text = b""
        while (size := gdb.system_call(call, _READ, descriptor, buffer, _MAPS_CHUNK)) > 0:
            text += os.pread(memory, size, buffer)
        os.pwrite(writable.fileno(), kept, buffer)
    if descriptor < 0 or size < 0:
        raise LabError(f"the emulated process could not read its mappings: {descriptor}, {size}")
    return [_mapping(line) for line in text.decode().splitlines()]


def _mapping(line: str) -> Mapping:
    found = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+\s*(.*)$", line)
    if found is None:
        raise LabError(f"not a line of /proc/self/maps: {line!r}")
    return Mapping(int(found[1], 16), int(found[2], 16), found[3], int(found[4], 16), found[5])


def _system_call_instruction(process_id: int, memory: int) -> int:
    """The address of an `svc #0` in the emulated libc."""
    for line in Path(f"/proc/{process_id}/maps").read_text().splitlines():
        mapping = _mapping(line)
        if mapping.path.startswith(str(SYSROOT)) and "libc." in mapping.path and "r" in mapping.permissions:
            contents = os.pread(memory, mapping.end - mapping.start, mapping.start)
            at = contents.find(_SVC)
            while at >= 0 and at % 4:
                at = contents.find(_SVC, at + 1)
            if at >= 0:
                return mapping.start + at
    raise LabError("no system call instruction was found in the emulated libc")


def _present(process_id: int, mappings: list[Mapping]) -> list[Mapping]:
    """The parts of the mappings that are there now that all threads stand still."""
    lines = Path(f"/proc/{process_id}/maps").read_text().splitlines()
    now = Ranges((mapping.start, mapping.end) for mapping in map(_mapping, lines))
    parts = [(mapping, part) for mapping in mappings for part in now.within(mapping.start, mapping.end)]
    return [
        replace(mapping, start=start, end=end, file_offset=mapping.file_offset + start - mapping.start) for mapping, (start, end) in parts
    ]


def _readable_part(memory: int, mapping: Mapping) -> Mapping:
    """The mapping without its pages behind the end of the mapped file, which nobody can read."""
    end = mapping.end
    while end > mapping.start and not _is_readable(memory, end - PAGE):
        end -= PAGE
    return replace(mapping, end=end)


def _is_readable(memory: int, address: int) -> bool:
    try:
        return len(os.pread(memory, PAGE, address)) == PAGE
    except OSError:
        return False


def _files(mappings: list[Mapping]) -> list[tuple[int, int, int, str]]:
    return [(m.start, m.end, m.file_offset // PAGE, m.path) for m in mappings if m.path.startswith("/")]


def _process_note(process_id: int) -> bytes:
    """`struct elf_prpsinfo`. The emulator's own command line begins with the emulator's: the program's follows `-g PORT`."""
    arguments = Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
    own = arguments[arguments.index(b"-g") + 2 :]
    command = os.path.basename(own[0])
    ids = struct.pack("<IIiiii", 0, 0, process_id, 1, process_id, process_id)
    return note(NT_PRPSINFO, bytes(16) + ids + command[:15].ljust(16, b"\0") + b" ".join(own)[:79].ljust(80, b"\0"))


def _thread_notes(thread_id: int, process_id: int, registers: list[int], state: int) -> bytes:
    """`struct elf_prstatus` with its 34 registers, and floating point registers as zeros: nothing reads them."""
    head = bytes(32) + struct.pack("<iiii", thread_id, 1, process_id, process_id) + bytes(64)
    status = head + struct.pack("<34Q", *registers, state) + bytes(8)
    return note(NT_PRSTATUS, status) + note(NT_FPREGSET, bytes(528))


def _write(path: Path, notes: bytes, mappings: list[Mapping], memory: int) -> None:
    """The file; pages of zeros become holes."""
    count = len(mappings) + 1
    data_offset = -(-(64 + 56 * count + len(notes)) // PAGE) * PAGE
    headers = struct.pack("<IIQQQQQQ", 4, 0, 64 + 56 * count, 0, 0, len(notes), 0, 4)
    offset = data_offset
    for mapping in mappings:
        size = mapping.end - mapping.start
        headers += struct.pack("<IIQQQQQQ", 1, mapping.flags, offset, mapping.start, 0, size, size, PAGE)
        offset += size
    identity = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 4, EM_AARCH64, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    with open(path, "wb") as core:
        core.write(header + headers + notes)
        core.truncate(offset)
        offset = data_offset
        for mapping in mappings:
            _copy(memory, mapping, core.fileno(), offset)
            offset += mapping.end - mapping.start


def _copy(memory: int, mapping: Mapping, core: int, offset: int) -> None:
    chunk = 1 << 20
    for start in range(mapping.start, mapping.end, chunk):
        contents = os.pread(memory, min(chunk, mapping.end - start), start)
        if len(contents) != min(chunk, mapping.end - start):
            raise LabError(f"the emulated memory at {start:#x} cannot be read")
        for at in range(0, len(contents), PAGE):
            page = contents[at : at + PAGE]
            if page.count(0) != len(page):
                os.pwrite(core, page, offset + start - mapping.start + at)
