"""Cores of an emulated process that works: its one working thread is stopped at whatever instruction it happens to be.

qemu-user's gdb server stops only the thread that a signal is for, and mixes up what two stopped threads are told. So one thread works, the
signal is for it, and the others sleep anyway.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import emulated
from tests.lab.emulated import Mapping
from tests.lab.gdb_remote import GdbRemote
from tests.lab.native_core import NT_AUXV, NT_FILE, file_note, note
from tests.lab.runtimes import LabError

# qemu's variable for an option: a signal then finds a thread at any instruction, not only between blocks of them.
BY_INSTRUCTION = {"QEMU_SINGLESTEP": "1"}
_TGKILL = 234  # the system call's number on x64, where the emulator runs
_STOP_GIVEN, _FAULT = f"T{emulated._STOP_NUMBER}".encode(), b"T0b"


class WorkingProcess:
    """An emulated process under a gdb server; `name` begins the name of its working thread."""

    def __init__(self, gdb: GdbRemote, process_id: int, name: str) -> None:
        self._gdb = gdb
        self._process_id = process_id
        self._name = name

    def run(self, seconds: float) -> None:
        """Let it work for a while: each fault of its code is handed on to it. Raises LabError."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            stopped = self._gdb.reply_within(left)
            if stopped is not None:
                self._go_on(stopped)

    def stop_and_dump(self, path: Path) -> None:
        """Stop the working thread, write the core, and let it work on. Raises LabError, also where another thread faults meanwhile."""
        stopped = self._stop(self._worker())
        notes = emulated._process_note(self._process_id) + note(NT_AUXV, self._gdb.auxiliary_vector())
        for thread in self._gdb.threads():
            found = self._gdb.registers(thread)
            if found is not None:
                notes += emulated._thread_notes(int(thread, 16), self._process_id, *found)
        with self._frozen(), open(f"/proc/{self._process_id}/mem", "rb") as memory:
            parts = [emulated._readable_part(memory.fileno(), mapping) for mapping in _mappings(self._process_id)]
            present = [part for part in parts if part.end > part.start]
            notes += note(NT_FILE, file_note(emulated._files(present)))
            emulated._write(path, notes, present, memory.fileno())
        self._go_on(stopped)

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """The whole process, as a thread that compiles methods again may work too; the gdb server does not answer meanwhile."""
        os.kill(self._process_id, signal.SIGSTOP)
        stat = Path(f"/proc/{self._process_id}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)
        try:
            yield
        finally:
            os.kill(self._process_id, signal.SIGCONT)

    def _worker(self) -> int:
        tasks = Path(f"/proc/{self._process_id}/task")
        found = [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().startswith(self._name)]
        if len(found) != 1:
            raise LabError(f"{len(found)} threads of the emulated process are named {self._name}, not one")
        return found[0]

    def _stop(self, thread_id: int) -> bytes:
        """Signal a thread; the reply when it has stopped, which may be before the handler of a fault of its own: the signal comes later."""
        if ctypes.CDLL(None, use_errno=True).syscall(_TGKILL, self._process_id, thread_id, emulated._STOP) != 0:
            raise LabError(f"thread {thread_id} cannot be stopped: {os.strerror(ctypes.get_errno())}")
        stopped = self._gdb.reply()
        if not stopped.startswith((_STOP_GIVEN, _FAULT)):
            raise LabError(f"the emulated process does not stop: {stopped!r}")
        return stopped

    def _go_on(self, stopped: bytes) -> None:
        if not stopped.startswith(b"T"):
            raise LabError(f"the emulated process does not run on: {stopped!r}")
        self._gdb.send("c" if stopped.startswith(_STOP_GIVEN) else f"C{stopped[1:3].decode()}")


def _mappings(process_id: int) -> list[Mapping]:
    """The emulated memory as the emulator's /proc/PID/maps has it, without what the emulator itself executes, and its own images and heap.

    The emulator's buffers for its own use remain in it; they hold nothing that anybody asks for.
    """
    found = [emulated._mapping(line) for line in Path(f"/proc/{process_id}/maps").read_text().splitlines()]
    own = {mapping.path for mapping in found if mapping.flags & 1}
    return [
        mapping for mapping in found if mapping.flags & 5 == 4 and (not mapping.path or mapping.path not in own) and mapping.path[:1] != "["
    ]
