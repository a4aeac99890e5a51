"""Lies about one structure each, and words one of which an honest answer has: what a broken runtime, or an attacker, leaves behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame
from heaphound.session import Session
from tests.lab.lies import Lie

_ALL_ONES = (1 << 64) - 1


@dataclass(frozen=True)
class ToldLie:
    """A lie by name. `command` must answer, and with one of `words` in it, or refuse with them; empty where the lie changes nothing."""

    name: str
    lies: tuple[Lie, ...]
    command: tuple[str, ...]
    words: tuple[str, ...]


class Teller:
    """Makes the lies about one core."""

    def __init__(self, core: Path) -> None:
        self._session = Session(core)
        self._memory = self._session.core.memory
        self._layout = self._session.runtime.layout
        self._segments = [(start, size, offset) for start, size, _, offset, _ in self._session.core.image.segments]

    def told(self) -> list[ToldLie]:
        """All lies that this core has a place for."""
        return [*self._list(), *self._frames(), *self._code(), *self._locks(), *self._others()]

    def _at(self, address: int, value: int, size: int = 8) -> Lie:
        for start, length, offset in self._segments:
            if start <= address < start + length:
                return Lie(address, offset + address - start, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))
        raise LookupError(f"{address:#x} is not in the core")

    def _list(self) -> Iterator[ToldLie]:
        threads = self._session.threads
        link = self._layout.offset("Thread", "LinkNext")
        show = ("threads", "--json")
        last = threads[-1].address + link
        yield ToldLie("thread list loops", (self._at(last, threads[1].address + link),), show, ("loops",))
        yield ToldLie("thread list leaves memory", (self._at(last, 0x1234567),), show, ("not in the dump",))
        yield ToldLie("thread list points into itself", (self._at(last, last + 4),), show, ("loops", "not in the dump", "thread"))
        named = next(thread for thread in threads if thread.name and thread.managed_object)
        text = self._memory.pointer((named.managed_object or 0) + self._layout.offset("ManagedThread", "_name"))
        length = text + self._layout.offset("String", "m_StringLength")
        yield ToldLie("a name without end", (self._at(length, 0x7FFFFFFF, 4),), show, ("name claims 2147483647 characters", "(unreadable"))
        yield ToldLie(
            "a frame chain in no memory",
            (self._at(threads[0].address + self._layout.offset("Thread", "Frame"), 0x4444),),
            show,
            ("not in the dump",),
        )

    def _frames(self) -> Iterator[ToldLie]:
        show = ("stack", "--all", "--json")
        following = self._layout.offset("Frame", "Next")
        found = [(thread, frame) for thread in self._session.threads for frame in self._session.stacks.walk(thread) if thread.alive]
        first = next(frame for _, frame in found if isinstance(frame, ExplicitFrame))
        at = first.frame_address
        yield ToldLie("a Frame leads to itself", (self._at(at + following, at),), show, ("does not move up", "not known"))
        yield ToldLie("a Frame leads down", (self._at(at + following, at - 8),), show, ("does not move up", "not known", "not in the dump"))
        other = next(frame for thread, frame in found if isinstance(frame, ExplicitFrame) and abs(frame.frame_address - at) > 1 << 20)
        yield ToldLie("a Frame leads into another stack", (self._at(at + following, other.frame_address),), show, ())
        yield ToldLie("a Frame of no class", (self._at(at, 0x7777),), show, ("of a class that is not known",))
        explicit = [frame for _, frame in found if isinstance(frame, ExplicitFrame)]
        for call in [frame for frame in explicit if frame.frame_type == "InlinedCallFrame" and frame.resume][:1]:
            ip = call.frame_address + self._layout.offset("InlinedCallFrame", "CallerReturnAddress")
            sp = call.frame_address + self._layout.offset("InlinedCallFrame", "CallSiteSP")
            for value in (1, _ALL_ONES, 1 << 63, 0x7FFF_FFFF_FFFF):
                yield ToldLie(f"a call from {value:#x}", (self._at(ip, value),), show, ("which is no managed code",))
                yield ToldLie(f"a call at {value:#x}", (self._at(sp, value),), show, ("not in the dump", "does not move up", "outside"))
        managed = next(frame for _, frame in found if isinstance(frame, ManagedFrame) and frame.caller is not None)
        assert managed.caller is not None
        slot = managed.caller.sp - 8
        yield ToldLie("a return to no code", (self._at(slot, 0x1234),), show, ("neither code in the dump", "does not move up", "not known"))
        yield ToldLie("a return into itself", (self._at(slot, managed.ip),), show, ("stack_end",))

    def _code(self) -> Iterator[ToldLie]:
        show = ("stack", "--all", "-a", "--json")
        frames = [frame for thread in self._session.threads for frame in self._session.stacks.walk(thread)]
        jit = next(frame for frame in frames if isinstance(frame, ManagedFrame) and frame.code.kind == "jit")
        code = jit.code
        header = self._memory.pointer(code.start - 8)
        count = header + self._layout.offset("RealCodeHeader", "NumUnwindInfos")
        yield ToldLie("too many fragments", (self._at(count, 0xFFFFFFFF, 4),), show, ("code fragments",))
        yield ToldLie("no fragments", (self._at(count, 0, 4),), show, ("code fragments",))
        yield ToldLie("a method without a header", (self._at(code.start - 8, 0),), show, ("in no method",))
        yield ToldLie("a header in no memory", (self._at(code.start - 8, 0x123456),), show, ("not in the dump",))
        yield ToldLie("unwind information of no version", (self._at(code.unwind_info, 0xFF, 1),), show, ("version", "unwind"))
        for name in ("GCInfo", "DebugInfo", "EHInfo", "MethodDesc"):
            field = header + self._layout.offset("RealCodeHeader", name)
            yield ToldLie(f"{name} in no memory", (self._at(field, _ALL_ONES - 8),), show, ())
            yield ToldLie(f"{name} somewhere else", (self._at(field, code.start),), show, ())
        for section in self._session.code.sections:
            if section.start <= code.start < section.end and section.nibble_map is not None:
                place = section.nibble_map + (code.start - (section.map_base or 0)) // 256 * 4
                for value in (0, 0xFFFFFFFF):
                    yield ToldLie(f"a nibble map of {value:#x}", (self._at(place, value, 4),), show, ())

    def _locks(self) -> Iterator[ToldLie]:
        cache, show = self._session.runtime.global_value("SyncBlockCache"), ("locks", "--json")
        used = cache + self._layout.offset("SyncBlockCache", "FreeSyncTableIndex")
        size = cache + self._layout.offset("SyncBlockCache", "SyncTableSize")
        many = (self._at(used, 0x3FFFFFF, 4), self._at(size, 0x3FFFFFF, 4))
        yield ToldLie("sync blocks without end", many, show, ("not in the dump", "self-check"))
        yield ToldLie("more sync blocks than there are", (self._at(used, 0xFFFFFFFF, 4),), show, ("entries of the sync table",))
        block = self._session.sync_blocks[0]
        link = block.address + self._layout.offset("SyncBlock", "Link")
        yield ToldLie("a waiter that waits for itself", (self._at(link, link),), show, ("loop",))
        yield ToldLie("a waiter in no memory", (self._at(link, 0x999),), show, ("not in the dump",))

    def _others(self) -> Iterator[ToldLie]:
        thread = self._session.threads[0]
        for name in ("GCFrame", "ExceptionTracker"):
            if self._layout.has("Thread", name):
                field = thread.address + self._layout.offset("Thread", name)
                for value in (field - self._layout.offset("GCFrame", "Next"), 0x11111, _ALL_ONES - 15):
                    yield ToldLie(f"{name} at {value:#x}", (self._at(field, value),), ("roots", "--json"), ())
