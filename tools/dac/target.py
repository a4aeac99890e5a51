"""The dumped process as the DAC asks for it: an ICLRDataTarget over a core, which notes what is read and can lie about a few bytes.

Interface and order of methods: src/coreclr/inc/clrdata.idl of dotnet/runtime.
"""

import ctypes
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from heaphound.dump.core import Core

E_FAIL, E_NOTIMPL, E_NOINTERFACE = -0x7FFFBFFB, -0x7FFFBFFF, -0x7FFFBFFE
MACHINES = {"x64": 0x8664, "arm64": 0xAA64}
POINTER_BYTES = 8
# IUnknown and ICLRDataTarget
OWN_INTERFACES = [uuid.UUID(text).bytes_le for text in ("00000000-0000-0000-c000-000000000046", "3e11ccee-d08b-43e5-af01-32717a64da03")]
_THIS, _OUT = ctypes.c_void_p, ctypes.c_void_p
_U32, _U64 = ctypes.c_uint32, ctypes.c_uint64


class Target:
    """`reads`, while it is a list, gets (address, size in bytes) of each read; `patch` are (address, bytes) laid over the dump's memory."""

    def __init__(self, core: Core, image_base: int) -> None:
        self._core = core
        self._image_base = image_base
        self.reads: list[tuple[int, int]] | None = None
        self.patch: Sequence[tuple[int, bytes]] = ()
        nothing = self._not_implemented
        methods = [
            (self._query, (_OUT, _OUT)),
            (self._count, ()),
            (self._count, ()),
            (self._machine, (_OUT,)),
            (self._pointer_size, (_OUT,)),
            (self._base, (_OUT, _OUT)),
            (self._read, (_U64, _OUT, _U32, _OUT)),
            (nothing, (_U64, _OUT, _U32, _OUT)),
            (nothing, (_U32, _U32, _OUT)),
            (nothing, (_U32, _U32, _U64)),
            (self._current_thread, (_OUT,)),
            (nothing, (_U32, _U32, _U32, _OUT)),
            (nothing, (_U32, _U32, _OUT)),
            (nothing, (_U32, _U32, _OUT, _U32, _OUT)),
        ]
        self._functions = [_callback(method, arguments) for method, arguments in methods]
        self._table = (ctypes.c_void_p * len(methods))(*[ctypes.cast(function, ctypes.c_void_p) for function in self._functions])
        self._object = (ctypes.c_void_p * 1)(ctypes.addressof(self._table))

    @property
    def pointer(self) -> int:
        """Address of the COM object in this process."""
        return ctypes.addressof(self._object)

    def memory(self, address: int, size: int) -> bytes:
        """Up to `size` bytes of the dump from `address` on, as many as it has; the patch is not in them."""
        present = self._core.image.readable_bytes(address, size)
        return self._core.memory.bytes(address, present) if present else b""

    def _query(self, this: int, interface: int, out: int) -> int:
        """What the DAC asks for besides (ICLRMetadataLocator and so on) is optional to it."""
        here = ctypes.string_at(interface, 16) in OWN_INTERFACES
        ctypes.c_void_p.from_address(out).value = this if here else None
        return 0 if here else E_NOINTERFACE

    def _count(self, _this: int) -> int:
        return 1

    def _machine(self, _this: int, out: int) -> int:
        return _give(out, MACHINES[self._core.machine])

    def _pointer_size(self, _this: int, out: int) -> int:
        return _give(out, POINTER_BYTES)

    def _base(self, _this: int, _name: int, out: int) -> int:
        _U64.from_address(out).value = self._image_base
        return 0

    def _current_thread(self, _this: int, out: int) -> int:
        return _give(out, self._core.threads[0].os_id)

    def _not_implemented(self, _this: int, *_arguments: int) -> int:
        return E_NOTIMPL

    def _read(self, _this: int, address: int, buffer: int, size: int, done: int) -> int:
        data = self.memory(address, size)
        if done:
            _give(done, len(data))
        if not data:
            return E_FAIL
        if self.reads is not None:
            self.reads.append((address, len(data)))
        for start, changed in self.patch:
            data = _laid_over(data, address, start, changed)
        ctypes.memmove(buffer, data, len(data))
        return 0


def _callback(method: Callable[..., int], arguments: tuple[Any, ...]) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_int32, _THIS, *arguments)(method)


def _give(out: int, number: int) -> int:
    _U32.from_address(out).value = number
    return 0


def _laid_over(data: bytes, address: int, start: int, changed: bytes) -> bytes:
    first, stop = max(address, start), min(address + len(data), start + len(changed))
    if first >= stop:
        return data
    return data[: first - address] + changed[first - start : stop - start] + data[stop - address :]
