"""A client for the gdb remote protocol, as far as a core of a process under qemu-user needs it.

The protocol: "Remote Serial Protocol" in gdb's manual. qemu-user is its server when started with `-g PORT`.
"""

import select
import socket
import struct
import time
from contextlib import suppress
from types import TracebackType

from tests.lab.runtimes import LabError

# As qemu's `g` packet has them (gdb-xml/aarch64-core.xml): 33 registers of 8 bytes, then cpsr of 4.
REGISTER_COUNT = 33
_PROGRAM_COUNTER = 32
_SECONDS_TO_START = 60
_ACKNOWLEDGED = b"+"


class GdbRemote:
    """One connection; every reply is taken as it comes, so the threads asked about must stand still."""

    def __init__(self, port: int, seconds_to_answer: float = 300) -> None:
        self._socket = _connect(port, time.monotonic() + _SECONDS_TO_START)
        self._socket.settimeout(seconds_to_answer)
        self._received = b""

    def __enter__(self) -> "GdbRemote":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a reply that is waited for ends in LabError."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def ask(self, packet: str) -> bytes:
        """Send one packet, return the reply's contents. Raises LabError when the connection ends."""
        self.send(packet)
        return self.reply()

    def send(self, packet: str) -> None:
        data = packet.encode("latin-1")
        self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xFF))

    def reply(self) -> bytes:
        """The next packet's contents, unescaped."""
        while (start := self._received.find(b"$")) < 0 or (end := self._received.find(b"#", start)) < 0 or len(self._received) < end + 3:
            try:
                more = self._socket.recv(1 << 16)
            except TimeoutError as error:
                raise LabError("qemu's gdb server was silent for too long") from error
            except OSError as error:
                raise LabError(f"qemu's gdb server does not answer: {error}") from error
            if not more:
                raise LabError("qemu's gdb server closed the connection")
            self._received += more
        contents = self._received[start + 1 : end]
        self._received = self._received[end + 3 :]
        self._socket.sendall(_ACKNOWLEDGED)
        return _unescaped(contents)

    def reply_within(self, seconds: float) -> bytes | None:
        """The next packet's contents; None where none begins to arrive in time."""
        readable, _, _ = select.select([self._socket], [], [], seconds)
        return self.reply() if self._received or readable else None

    def resume(self) -> None:
        """Let a process that waits at its first instruction run; the next reply is due when it stops."""
        self.ask("?")
        self.send("c")

    def pass_signals_until(self, number: str) -> str:
        """Hand each signal on to the process until the one comes that the protocol numbers `number`; returns the thread that it stopped."""
        while True:
            stopped = self.reply().decode()
            if not stopped.startswith("T"):
                raise LabError(f"the emulated process did not stop but says {stopped!r}")
            if stopped[1:3] == number:
                return stopped.partition("thread:")[2].partition(";")[0]
            self.send(f"C{stopped[1:3]}")

    def threads(self) -> list[str]:
        """Ids of all threads, as `Hg` takes them."""
        found, reply = [], self.ask("qfThreadInfo")
        while reply.startswith(b"m"):
            found += reply[1:].decode().split(",")
            reply = self.ask("qsThreadInfo")
        return found

    def registers(self, thread: str) -> tuple[list[int], int] | None:
        """x0 to x30, sp and pc of `thread`, and its processor state; None when the thread has ended since it was listed."""
        if self.ask(f"Hg{thread}") != b"OK":
            return None
        raw = bytes.fromhex(self.ask("g").decode())
        *registers, state = struct.unpack_from(f"<{REGISTER_COUNT}QI", raw)
        return registers, state

    def system_call(self, instruction: int, number: int, *arguments: int) -> int:
        """Make the stopped thread carry out a system call at `instruction`, the address of an `svc #0`; its result, negative for an error.

        Its registers are lost.
        """
        registers = bytearray.fromhex(self.ask("g").decode())
        for register, value in [*enumerate(arguments), (8, number), (_PROGRAM_COUNTER, instruction)]:
            struct.pack_into("<Q", registers, 8 * register, value)
        if self.ask(f"G{registers.hex()}") != b"OK":
            raise LabError("qemu's gdb server did not set the registers")
        stopped = self.ask("s")
        if not stopped.startswith((b"T05", b"S05")):
            raise LabError(f"a system call under qemu ended in {stopped!r}")
        raw = bytes.fromhex(self.ask("g").decode())
        return int.from_bytes(raw[:8], "little", signed=True)

    def auxiliary_vector(self) -> bytes:
        """The process's auxiliary vector, as NT_AUXV holds it."""
        reply = self.ask("qXfer:auxv:read::0,1000")
        if not reply.startswith(b"l"):
            raise LabError(f"qemu's gdb server gave no auxiliary vector: {reply[:20]!r}")
        return reply[1:]


def _connect(port: int, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"qemu's gdb server on port {port} does not answer: {error}") from error
            time.sleep(0.05)


def _unescaped(contents: bytes) -> bytes:
    """`}` escapes the byte after it, which is xored with 0x20."""
    parts = contents.split(b"}")
    return parts[0] + b"".join(bytes([part[0] ^ 0x20]) + part[1:] for part in parts[1:])
