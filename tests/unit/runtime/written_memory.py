"""A process's memory written by a test: a few stretches of bytes, and nothing between them."""

from struct import pack

import numpy as np
from numpy.typing import NDArray

from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable


class WrittenImage:
    """Stands for the address space of a core; reads what was written, raises Unreadable elsewhere."""

    def __init__(self) -> None:
        self._stretches: dict[int, bytearray] = {}

    def write(self, address: int, data: bytes) -> None:
        """Put bytes at an address; over a stretch that is there, they must fit into it."""
        for start, stretch in self._stretches.items():
            if start <= address < start + len(stretch):
                offset = address - start
                assert offset + len(data) <= len(stretch), f"{address:#x}: {len(data)} bytes do not fit"
                stretch[offset : offset + len(data)] = data
                return
        self._stretches[address] = bytearray(data)

    def words(self, address: int, *values: int) -> int:
        """Put 64-bit words at an address, which is returned."""
        self.write(address, pack(f"<{len(values)}Q", *values))
        return address

    def read(self, address: int, size: int) -> bytes:
        """As Image.read."""
        for start, stretch in self._stretches.items():
            if start <= address and address + size <= start + len(stretch):
                return bytes(stretch[address - start : address - start + size])
        raise Unreadable(address, size)

    def readable_bytes(self, address: int, limit: int) -> int:
        """As Image.readable_bytes."""
        for start, stretch in self._stretches.items():
            if start <= address < start + len(stretch):
                return min(limit, start + len(stretch) - address)
        return 0

    def u8(self, address: int) -> int:
        """As Image.u8."""
        return self._integer(address, 1)

    def u16(self, address: int) -> int:
        """As Image.u16."""
        return self._integer(address, 2)

    def u32(self, address: int) -> int:
        """As Image.u32."""
        return self._integer(address, 4)

    def u64(self, address: int) -> int:
        """As Image.u64."""
        return self._integer(address, 8)

    def i32(self, address: int) -> int:
        """As Image.i32."""
        return int.from_bytes(self.read(address, 4), "little", signed=True)

    def gather_u64(self, addresses: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """As Image.gather_u64."""
        present = [self.readable_bytes(address, 8) == 8 for address in addresses.tolist()]
        values = [self.u64(address) if there else 0 for address, there in zip(addresses.tolist(), present, strict=True)]
        return np.array(values, np.uint64), np.array(present, np.bool_)

    def _integer(self, address: int, size: int) -> int:
        return int.from_bytes(self.read(address, size), "little")


def written_memory() -> tuple[WrittenImage, Memory]:
    """An empty image and the reader of it."""
    image = WrittenImage()
    return image, Memory(image)  # type: ignore[arg-type]  # the methods that Memory calls are there
