"""Bytes that registers hold, readable as memory is: so that one reader of values serves both."""

from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable

REGISTERS_START = 0xFFFF_F000_0000_0000
"""Where the bytes appear to lie: an address that no process has (it belongs to no half of the address space)."""
_REACH = 1 << 32


class RegisterMemory(Memory):
    """The dump's memory, with some bytes at REGISTERS_START."""

    __slots__ = ("_data",)

    def __init__(self, memory: Memory, data: bytes) -> None:
        super().__init__(memory.image)
        self._data = data

    def u8(self, address: int) -> int:
        """As of Memory."""
        return self._number(address, 1) if _here(address) else super().u8(address)

    def u16(self, address: int) -> int:
        """As of Memory."""
        return self._number(address, 2) if _here(address) else super().u16(address)

    def u32(self, address: int) -> int:
        """As of Memory."""
        return self._number(address, 4) if _here(address) else super().u32(address)

    def u64(self, address: int) -> int:
        """As of Memory."""
        return self._number(address, 8) if _here(address) else super().u64(address)

    def i32(self, address: int) -> int:
        """As of Memory."""
        return int.from_bytes(self.bytes(address, 4), "little", signed=True) if _here(address) else super().i32(address)

    def bytes(self, address: int, size_bytes: int) -> bytes:
        """As of Memory; Unreadable behind the registers' bytes."""
        if not _here(address):
            return super().bytes(address, size_bytes)
        start = address - REGISTERS_START
        if start + size_bytes > len(self._data):
            raise Unreadable(address, size_bytes, "the registers hold only a part of it")
        return self._data[start : start + size_bytes]

    def _number(self, address: int, size_bytes: int) -> int:
        return int.from_bytes(self.bytes(address, size_bytes), "little")


def _here(address: int) -> bool:
    return REGISTERS_START <= address < REGISTERS_START + _REACH
