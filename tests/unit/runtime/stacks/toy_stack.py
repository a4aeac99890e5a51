"""A thread's stack written into memory: managed code with unwind information, explicit Frames, registers."""

from struct import pack
from types import SimpleNamespace
from typing import Any

from heaphound.errors import Malformed
from heaphound.layouts.field_kinds import width_bytes
from heaphound.layouts.load import layout_file
from heaphound.runtime.methods import Method
from heaphound.runtime.stacks.frame import FrameCode
from heaphound.runtime.stacks.registers import MASK
from heaphound.runtime.stacks.walk import StackWalker
from heaphound.runtime.threads import ThreadState
from tests.unit.runtime.written_memory import WrittenImage, written_memory

CODE, UNWIND, STACK, STACK_BYTES = 0x7F0000001000, 0x7F0000800000, 0x7FFC00000000, 0x8000
NATIVE = 0x7F1100000000
VTABLES = 0x7F2200000000
FRAME_CLASSES = (
    "InlinedCallFrame",
    "PrestubMethodFrame",
    "HelperMethodFrame",
    "FaultingExceptionFrame",
    "RedirectedThreadFrame",
    "HijackFrame",
    "DebuggerU2MCatchHandlerFrame",
    "FuncEvalFrame",
)


def method(name: str, owner: str = "Zoo.Cat") -> Method:
    """A method without parameters."""
    return Method(f"{owner}.{name}()", name, owner, 0x8000, 0x5000, 0x6000, 0x06000001, "managed")


class ToyStack:
    """Methods get 256 bytes of code each. On x64 every one pushes rbp and allocates 16 bytes, on arm64 it stores fp and lr at the lower end
    of 32 bytes: a frame takes 32 bytes on both."""

    def __init__(self, version: str = "8.0", machine: str = "x64") -> None:
        self.machine = machine
        self.image: WrittenImage
        self.image, self.memory = written_memory()
        self.image.write(CODE, b"\x90" * 0x10000)
        push_and_allocate = bytes([1, 5, 2, 0]) + pack("<BBBB", 5, 2 | 1 << 4, 1, 5 << 4)
        store_pair = pack("<I", 64 | 1 << 27) + b"\x83\xe4\0\0"
        self.image.write(UNWIND, push_and_allocate if machine == "x64" else store_pair)
        self.image.write(STACK, bytes(STACK_BYTES))
        self.image.write(STACK - 0x9000, bytes(0x1000))  # where an ExInfo lies: on the stack, further in
        self.image.write(NATIVE, bytes(16))
        layout = layout_file(f"{version}.0", machine, None).layout
        self.layout = layout.with_globals({f"{name}VTable": VTABLES + 8 * n for n, name in enumerate(FRAME_CLASSES)}, "layout file")
        self.codes: dict[int, FrameCode] = {}
        self.thread = 0
        self.throwing = 0
        self.managed_range = (0, 0)
        self.copies = 1
        ip, sp, fp = ("rip", "rsp", "rbp") if machine == "x64" else ("pc", "sp", "fp")
        self.registers: dict[str, int] = {ip: NATIVE, sp: STACK, fp: 0}

    def code(self, name: str, number: int, funclet: int = 0, owner: str = "Zoo.Cat") -> int:
        """An instruction in a method (`funclet`: in the piece that begins so many bytes after its start)."""
        start = CODE + 256 * number
        fragment = start + funclet
        self.codes[fragment] = FrameCode("jit", start, fragment, start + 256, CODE, UNWIND, 0x9000, None, method(name, owner))
        return fragment + 16

    def managed(self, at: int, ip: int, rbp: int = 0) -> int:
        """Fill the frame at an address, which returns to `ip`; where its caller's frame begins. `rbp` is fp on arm64."""
        self.image.words(at + (16 if self.machine == "x64" else 0), rbp, ip)
        return at + 32

    def frame(self, at: int, name: str, following: int = MASK, **fields: int) -> int:
        """A Frame of a class at an address."""
        identity = self.layout.constants.get(f"{name}Identifier", VTABLES + 8 * FRAME_CLASSES.index(name))
        self.image.words(at, identity)
        self.image.words(at + self.layout.offset("Frame", "Next"), following)
        for field, value in fields.items():
            self.image.words(at + self.layout.offset("InlinedCallFrame" if name == "InlinedCallFrame" else name, field), value)
        return at

    def exception(self, following: int = 0, **fields: int) -> int:
        """An exception in flight of the thread, before the others: what says so; `following` is the one thrown before it."""
        below = 0 if self.layout.has("ExceptionInfo", "Thread") else -0x10000
        self.throwing, at = STACK + 0x6000, STACK + 0x7000 + below + (0x200 if following else 0)
        said = {"Thread": self.throwing} if self.layout.has("ExceptionInfo", "Thread") else {}
        for name, value in {"PreviousNestedInfo": following, **said, **fields}.items():
            narrow = width_bytes(self.layout, f"ExceptionInfo.{name}") == 4
            self.image.write(at + self.layout.offset("ExceptionInfo", name), value.to_bytes(4 if narrow else 8, "little"))
        self.image.words(self.throwing + self.layout.offset("Thread", "ExceptionTracker"), at)
        return at

    def walk(self, frame: int | None, os_id: int = 7) -> list[Any]:
        """All that the walk of a thread with this innermost Frame yields."""
        threads = [SimpleNamespace(os_id=7, registers=self.registers)] * self.copies
        core = SimpleNamespace(machine=self.machine, memory=self.memory, threads=threads)
        runtime: Any = SimpleNamespace(memory=self.memory, layout=self.layout, core=core)
        methods = SimpleNamespace(method=self._method)
        locator: Any = SimpleNamespace(methods=methods, tables=self.memory, section_at=self._section_at)
        walker = StackWalker(runtime, locator)
        walker.native.module_at = lambda _address: None  # type: ignore[method-assign]  # stands in for the images of a process
        walker.codes.find = self._find  # type: ignore[method-assign]  # stands in for the code ranges of a process
        state, address = ThreadState.HIJACKED if self.thread else 0, self.thread or self.throwing
        thread: Any = SimpleNamespace(os_id=os_id, frame=frame, cooperative=False, address=address, state_bits=state)
        return list(walker.walk(thread))

    def _find(self, address: int) -> FrameCode | None:
        pieces = [code for code in self.codes.values() if code.fragment_start <= address < code.fragment_end]
        return max(pieces, key=lambda code: code.fragment_start, default=None)

    def _section_at(self, address: int) -> SimpleNamespace | None:
        start, end = self.managed_range
        return SimpleNamespace(kind="jit") if start <= address < end else None

    def _method(self, method_desc: int) -> Method:
        if method_desc != 0x8800:
            raise Malformed(f"there is no MethodDesc at {method_desc:#x}")
        return method("Native", "Zoo.Interop")
