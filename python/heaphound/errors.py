"""Every error of the package. Each says what is wrong, where, and what to do, in one sentence."""


class HeaphoundError(Exception):
    """Base of all errors that the command line turns into one sentence; `exit_code` is its exit code."""

    exit_code = 3


class UsageError(HeaphoundError):
    """The command line or a call's arguments are off (no such address, unknown type name)."""

    exit_code = 2


class DumpError(HeaphoundError):
    """The file cannot be used as a core dump: not an ELF core, truncated before its tables, not readable."""


class RuntimeNotFound(DumpError):
    """The core is readable but holds no CoreCLR (native program, Native AOT, runtime never loaded)."""


class UnsupportedRuntime(HeaphoundError):
    """A CoreCLR was found for whose version or architecture there is no layout."""


class LayoutError(HeaphoundError):
    """A structure, field or global is not in the layout, or a self-check of it failed on this dump."""


class Unreadable(HeaphoundError):
    """Bytes that the dump does not hold. `address` and `size_bytes` name the range that was asked for."""

    def __init__(self, address: int, size_bytes: int, why: str = "not in the dump") -> None:
        super().__init__(f"{size_bytes} bytes at {address:#x} are {why}")
        self.address = address
        self.size_bytes = size_bytes
        self.why = why


class Malformed(HeaphoundError):
    """Bytes are there and make no sense (a count out of range, a bad signature, a loop in a list)."""


class LimitExceeded(Malformed):
    """A count in the dump is above the bound in `limits`; says which, how many, and the bound."""
