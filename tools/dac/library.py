"""The data access library (DAC) of a dumped build: libmscordaccore.so, loaded into this process and asked through its COM interfaces.

Only the library of the very build that was dumped has an answer. A process can load one only, and what it is lied to about may end it.
"""

import ctypes
import uuid
from pathlib import Path

from heaphound.errors import UsageError
from tools.dac.target import Target

PROCESS = "5c552ab6-fc09-4cb3-8e36-22fa03c798b7"  # IXCLRDataProcess, clrdata.idl
# src/coreclr/inc/sospriv.idl; each is there since the version in which its number came, and absent before.
INTERFACES = {
    "": "436f00f2-b42a-4b9f-870c-e73db66ae930",
    "6": "11206399-4b66-4edb-98ea-85654e59ad45",
    "8": "c12f35a9-e55c-4520-a894-b3dc5165dfce",
    "12": "1b93bacc-8ca4-432d-943a-3e6e7ec0b0a3",
    "13": "3176a8ed-597b-4f54-a71f-83695c6a8c5e",
    "14": "9aa22aca-6dc6-4a0c-b4e0-70d2416b9837",
}
_PROCESS_ATTACH = 1
_FLUSH_SLOT = 3  # IXCLRDataProcess::Flush
_QUERY_SLOT, _RELEASE_SLOT = 0, 2


class Library:
    """The DAC over one core. Raises UsageError where it cannot be loaded or is not that of the dumped build."""

    def __init__(self, path: Path, target: Target) -> None:
        self.target = target
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be loaded here: {error}") from error
        if hasattr(library, "DllMain"):
            library.DllMain(ctypes.c_void_p(library._handle), _PROCESS_ATTACH, None)
        out, wanted = ctypes.c_void_p(), _identifier(PROCESS)
        result = library.CLRDataCreateInstance(ctypes.byref(wanted), ctypes.c_void_p(target.pointer), ctypes.byref(out))
        if result or out.value is None:
            raise UsageError(f"{path} does not open this core ({result & 0xFFFFFFFF:#x}): is it the DAC of the dumped build?")
        self._process = out.value
        self._interfaces = {number: self._query(identifier) for number, identifier in INTERFACES.items()}

    def has(self, interface: str) -> bool:
        """Whether this build's DAC has ISOSDacInterface of that number ("" for the first)."""
        return self._interfaces.get(interface) is not None

    def call(self, interface: str, slot: int, *arguments: int) -> int:
        """HRESULT, as an unsigned number, of a method of that interface; arguments are integers or addresses in this process."""
        this = self._interfaces.get(interface)
        return invoke(this, slot, *arguments) if this is not None else 0x80004002  # E_NOINTERFACE

    def flush(self) -> None:
        """Make the DAC forget what it has read, so that the next call reads the target again."""
        invoke(self._process, _FLUSH_SLOT)

    def _query(self, identifier: str) -> int | None:
        out, wanted = ctypes.c_void_p(), _identifier(identifier)
        invoke(self._process, _QUERY_SLOT, ctypes.addressof(wanted), ctypes.addressof(out))
        return out.value


def invoke(this: int, slot: int, *arguments: int) -> int:
    """HRESULT of the method in that slot of a COM object at `this` in this process."""
    table = ctypes.c_void_p.from_address(this).value or 0
    function = ctypes.c_void_p.from_address(table + slot * ctypes.sizeof(ctypes.c_void_p)).value or 0
    prototype = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, *[ctypes.c_uint64] * len(arguments))
    return int(prototype(function)(this, *arguments))


def release(this: int) -> None:
    """Let a COM object in this process go."""
    invoke(this, _RELEASE_SLOT)


def _identifier(text: str) -> "ctypes.Array[ctypes.c_ubyte]":
    return (ctypes.c_ubyte * 16)(*uuid.UUID(text).bytes_le)
