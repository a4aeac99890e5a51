"""What a thread waits for, in words, by the methods on its stack: the outermost of those that are known says it best.

Names: System.Private.CoreLib and further assemblies of the framework, 3.1 to 10.0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame

WAITING_FRAMES = 40  # innermost frames that are looked at: waiting takes a dozen at most
NATIVE_LOCK = "native lock or event"

# (declaring type, method or None for all of the type, kind). A later row is the better answer where a stack has both.
_KNOWN: tuple[tuple[str, str | None, str], ...] = (
    ("System.Environment", "Exit", "process exit"),  # a handler of ProcessExit may wait for something else on top
    ("System.Environment", "_Exit", "process exit"),
    ("System.Threading.WaitHandle", None, "wait handle"),
    ("System.Threading.LowLevelMonitor", None, "wait handle"),
    ("System.Threading.Monitor", "ReliableEnter", "monitor enter"),
    ("System.Threading.Monitor", "ReliableEnterTimeout", "monitor enter"),
    ("System.Threading.Monitor", "Enter_Slowpath", "monitor enter"),
    ("System.Threading.Monitor", "TryEnter_Slowpath", "monitor enter"),
    ("System.Threading.Monitor", "TryEnter", "monitor enter"),
    ("System.Threading.Monitor", "Enter", "monitor enter"),
    ("System.Threading.Lock", "TryEnterSlow", "lock enter"),
    ("System.Threading.Lock", "EnterScope", "lock enter"),
    ("System.Threading.Lock", "Enter", "lock enter"),
    ("System.Threading.Monitor", "ObjWait", "monitor wait"),
    ("System.Threading.Monitor", "Wait", "monitor wait"),
    ("System.Threading.Thread", "SleepInternal", "sleep"),
    ("System.Threading.Thread", "Sleep", "sleep"),
    ("System.Threading.Thread", "SpinWait", "spin wait"),
    ("System.Threading.SpinWait", None, "spin wait"),
    ("System.Threading.SpinLock", None, "spin lock"),
    ("System.Threading.Thread", "Join", "thread join"),
    ("System.Threading.ManualResetEventSlim", "Wait", "event"),
    ("System.Threading.SemaphoreSlim", "Wait", "semaphore"),
    ("System.Threading.CountdownEvent", "Wait", "countdown"),
    ("System.Threading.Barrier", "SignalAndWait", "barrier"),
    ("System.Threading.ReaderWriterLockSlim", None, "reader-writer lock"),
    ("System.Threading.ReaderWriterLock", None, "reader-writer lock"),
    ("System.Threading.Tasks.Task", "SpinThenBlockingWait", "task"),
    ("System.Threading.Tasks.Task", "InternalWait", "task"),
    ("System.Threading.Tasks.Task", "InternalWaitCore", "task"),
    ("System.Threading.Tasks.Task", "Wait", "task"),
    ("System.Threading.Tasks.Task", "WaitAll", "task"),
    ("System.Threading.Tasks.Task", "WaitAny", "task"),
    ("System.Threading.Tasks.Task", "WaitAllCore", "task"),
    ("System.Runtime.CompilerServices.TaskAwaiter", "HandleNonSuccessAndDebuggerNotification", "task"),
    ("System.GC", "WaitForPendingFinalizers", "finalizers"),
    ("System.GC", "_WaitForPendingFinalizers", "finalizers"),
    ("System.Collections.Concurrent.BlockingCollection", None, "blocking collection"),
    ("System.Threading.LowLevelLifoSemaphore", None, "idle pool worker"),
    ("System.Threading.PortableThreadPool+GateThread", None, "thread pool's gate"),
    ("System.Threading.PortableThreadPool+WaitThread", None, "thread pool's registered waits"),
    ("System.Threading.TimerQueue", "TimerThread", "timers"),
    ("System.Diagnostics.Process", "WaitForExit", "process"),
    ("System.Net.Sockets.SocketAsyncEngine", "EventLoop", "socket events"),
    ("System.Net.Sockets.SocketPal", None, "socket"),
    ("System.Net.Sockets.Socket", "Accept", "socket accept"),
    ("System.Net.Sockets.Socket", "Connect", "socket connect"),
    ("System.Net.Sockets.Socket", "Receive", "socket receive"),
    ("System.Net.Sockets.Socket", "ReceiveFrom", "socket receive"),
    ("System.Net.Sockets.Socket", "ReceiveMessageFrom", "socket receive"),
    ("System.Net.Sockets.Socket", "Send", "socket send"),
    ("System.Net.Sockets.Socket", "SendTo", "socket send"),
    ("System.Net.Sockets.Socket", "SendFile", "socket send"),
    ("System.Net.Sockets.Socket", "Poll", "socket poll"),
    ("System.Net.Sockets.Socket", "Select", "socket poll"),
    ("System.Net.Dns", None, "name resolution"),
    ("System.ConsolePal", None, "console"),
    ("System.IO.RandomAccess", None, "file"),
    ("System.IO.FileStream", None, "file"),
    ("System.IO.Pipes.PipeStream", None, "pipe"),
    ("System.IO.Pipes.NamedPipeServerStream", "WaitForConnection", "pipe connection"),
    ("System.IO.Pipes.NamedPipeClientStream", "Connect", "pipe connection"),
    ("System.IO.FileSystemWatcher", None, "file system events"),
    ("System.IO.FileSystemWatcher+RunningInstance", None, "file system events"),
    ("System.IO.FileSystemWatcher+INotify", None, "file system events"),
    ("System.Net.Http.HttpClient", "Send", "HTTP request"),
    ("System.Net.Http.HttpMessageInvoker", "Send", "HTTP request"),
)
_SPINNING = ("spin wait", "spin lock", "idle pool worker")  # these wait by running at first, so that the thread may be in managed code
# What a system call waits for, where no managed method tells.
_SYSTEM_CALLS: dict[str, str] = {
    **dict.fromkeys(("nanosleep", "clock_nanosleep"), "sleep"),
    **dict.fromkeys(("futex", "futex_waitv"), NATIVE_LOCK),
    **dict.fromkeys(("epoll_wait", "epoll_pwait", "epoll_pwait2"), "events (epoll)"),
    **dict.fromkeys(("poll", "ppoll", "select", "pselect6"), "events (poll)"),
    **dict.fromkeys(("accept", "accept4", "connect"), "connection"),
    **dict.fromkeys(("recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg"), "socket"),
    **dict.fromkeys(("read", "readv", "pread64"), "reading"),
    **dict.fromkeys(("write", "writev", "pwrite64"), "writing"),
    **dict.fromkeys(("fsync", "fdatasync", "io_getevents", "io_uring_enter"), "disk"),
    **dict.fromkeys(("wait4", "waitid"), "process"),
    **dict.fromkeys(("rt_sigtimedwait", "rt_sigsuspend", "pause"), "signal"),
    **dict.fromkeys(("fcntl", "flock"), "file lock"),
    "openat": "opening a file or pipe",
}
_RANKS = {(type_name, method): (rank, kind) for rank, (type_name, method, kind) in enumerate(_KNOWN)}


@dataclass(frozen=True, slots=True)
class Wait:
    """`kind` in words; `method` is the one that tells, or called what waits, None where there is none.

    `end_sp` is the stack pointer behind the waiting methods, None if not known. `system_call` is the one that the thread is in, None if
    that is not known.
    """

    kind: str
    method: str | None
    end_sp: int | None
    system_call: str | None = None


def find_wait(frames: Sequence[Frame], system_call: str | None = None) -> Wait | None:
    """What a thread with these frames (innermost first) waits for; None for a thread that runs or is not known to wait.

    Where no method tells, the `system_call` that it is in does: the one case for native threads, and for native code that waits by itself.
    """
    found = _by_method(frames) if frames else None
    if found is not None:
        return replace(found, system_call=system_call)
    if system_call not in _SYSTEM_CALLS or (frames and not _blocked(frames)):
        return None
    methods = (frame.method for frame in frames)
    method = next((method.full_name for method in methods if method is not None), None)
    return Wait(_SYSTEM_CALLS[system_call], method, None, system_call)


def _by_method(frames: Sequence[Frame]) -> Wait | None:
    best: Wait | None = None
    best_rank = -1
    for frame in frames[:WAITING_FRAMES]:
        method = frame.method
        if method is None:
            continue
        owner = method.declaring_type.split("<", 1)[0]
        found = _RANKS.get((owner, method.name)) or _RANKS.get((owner, None))
        if found is None:
            continue
        rank, kind = found
        if kind not in _SPINNING and not _blocked(frames):
            continue
        if rank >= best_rank:
            best, best_rank = Wait(kind, method.full_name, _end(frame)), rank
    return best


def _end(frame: Frame) -> int | None:
    if isinstance(frame, ManagedFrame):
        return None if frame.caller is None else frame.caller.sp
    return None if frame.resume is None else frame.resume.sp


def _blocked(frames: Sequence[Frame]) -> bool:
    """Whether the thread has left managed code: one that is still in it does not wait yet."""
    return isinstance(frames[0], ExplicitFrame)
