"""The system call that a thread was in when it was dumped, by its registers and the instruction that it stopped behind."""

from heaphound.dump.memory import Memory
from heaphound.dump.registers import ThreadRegisters
from heaphound.errors import Unreadable

# Calls that wait, and those that make a process, which a crash does first of all, by number: arch/x86/entry/syscalls/syscall_64.tbl and
# include/uapi/asm-generic/unistd.h (arm64) of Linux.
# fmt: off
_NAMES: dict[str, dict[int, str]] = {
    "x64": {
        0: "read", 1: "write", 7: "poll", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 23: "select", 34: "pause",
        35: "nanosleep", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 56: "clone", 57: "fork",
        58: "vfork", 61: "wait4", 72: "fcntl", 73: "flock", 74: "fsync", 75: "fdatasync", 128: "rt_sigtimedwait",
        130: "rt_sigsuspend", 202: "futex", 208: "io_getevents", 230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid",
        257: "openat", 270: "pselect6", 271: "ppoll", 281: "epoll_pwait", 288: "accept4", 299: "recvmmsg", 307: "sendmmsg",
        426: "io_uring_enter", 435: "clone3", 441: "epoll_pwait2", 449: "futex_waitv",
    },
    "arm64": {
        4: "io_getevents", 22: "epoll_pwait", 25: "fcntl", 32: "flock", 56: "openat", 63: "read", 64: "write", 65: "readv", 66: "writev",
        67: "pread64", 68: "pwrite64", 72: "pselect6", 73: "ppoll", 82: "fsync", 83: "fdatasync", 95: "waitid", 98: "futex",
        101: "nanosleep", 115: "clock_nanosleep", 133: "rt_sigsuspend", 137: "rt_sigtimedwait", 202: "accept", 203: "connect",
        206: "sendto", 207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 220: "clone", 242: "accept4", 243: "recvmmsg", 260: "wait4",
        269: "sendmmsg", 426: "io_uring_enter", 435: "clone3", 441: "epoll_pwait2", 449: "futex_waitv",
    },
}
# fmt: on
_INSTRUCTION = {"x64": b"\x0f\x05", "arm64": b"\x01\x00\x00\xd4"}  # syscall; svc #0
_NUMBER = {"x64": "orig_rax", "arm64": "x8"}


def system_call(memory: Memory, thread: ThreadRegisters) -> str | None:
    """The name of the system call that waits or makes a process, None for a thread that is in none, or in another.

    x64 tells for certain (outside of a call orig_rax is none); a thread of arm64 may just have come back from the call.
    """
    code = _INSTRUCTION[thread.machine]
    try:
        if memory.bytes(thread.instruction_pointer - len(code), len(code)) != code:
            return None
    except Unreadable:
        return None
    return _NAMES[thread.machine].get(thread.registers.get(_NUMBER[thread.machine], -1))
