"""Ready-to-run code that the runtime has already prepared: entry point to MethodDesc, from the runtime's own memory.

It names instantiations by their MethodDesc, and serves where the image's own tables cannot be read: createdump --withheap leaves most of
them out, and composite images have no CLI header. Sources: src/coreclr/vm/readytoruninfo.h (m_entryPointToMethodDescMap), vm/hash.h
(HashMap: buckets of four keys and values; a value is stored shifted right by one, its highest bit is a mark).
"""

from bisect import bisect_right

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.runtime_functions import piece_bytes

_LAST_SPECIAL_KEY = 1  # 0 empty, 1 deleted


class PreparedCode:
    """Prepared entry points of all modules, each module's read at the first question about it."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._maps: dict[int, dict[int, int]] = {}
        self._sorted: dict[int, list[int]] = {}

    def method_desc(self, module: int, entry: int) -> int | None:
        """MethodDesc of the code that starts at `entry` in the image of a module; None when it was not prepared.

        Raises Unreadable, Malformed.
        """
        return self._entries(module).get(entry)

    def before(self, module: int, address: int) -> tuple[int, int] | None:
        """(entry, MethodDesc) of the nearest prepared method at or before an address; None when there is none. Raises Unreadable."""
        entries = self._entries(module)
        order = self._sorted.setdefault(module, sorted(entries))
        index = bisect_right(order, address) - 1
        return (order[index], entries[order[index]]) if index >= 0 else None

    def entries(self, module: int) -> tuple[int, ...]:
        """All prepared entry points of a module, in no order. Raises Unreadable, Malformed."""
        return tuple(self._entries(module))

    def fragment_start(self, module: int, base: int, address: int) -> int | None:
        """Start of the code fragment (a method's main body or a funclet) that holds an address of the image at `base`; None outside code.

        Searches the table of fragments entry by entry: raises Unreadable only where one on the way is missing.
        """
        memory, layout = self._memory, self._layout
        info = self._info(module)
        table = memory.pointer(info + layout.offset("ReadyToRunInfo", "RuntimeFunctions")) if info else 0
        low, high = 0, memory.u32(info + layout.offset("ReadyToRunInfo", "NumRuntimeFunctions")) if table else 0
        size, begins = layout.size("RuntimeFunction"), layout.offset("RuntimeFunction", "BeginAddress")
        while low < high:
            middle = (low + high) // 2
            if base + memory.u32(table + size * middle + begins) <= address:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        begin = base + memory.u32(table + size * (low - 1) + begins)
        return begin if address < self._fragment_end(base, table + size * (low - 1), begin) else None

    def _fragment_end(self, base: int, function: int, begin: int) -> int:
        """Where the code of a RUNTIME_FUNCTION ends: x64 stores it, on arm64 its unwind data say how long it is."""
        memory, layout = self._memory, self._layout
        if layout.has("RuntimeFunction", "EndAddress"):
            return base + memory.u32(function + layout.offset("RuntimeFunction", "EndAddress"))
        unwind_data = memory.u32(function + layout.offset("RuntimeFunction", "UnwindData"))
        return begin + piece_bytes(unwind_data, lambda rva, count: memory.bytes(base + rva, count))

    def _info(self, module: int) -> int:
        """The ReadyToRunInfo with the tables: of a component of a composite image the composite's. 0 for a module of IL alone.

        Raises Malformed when it belongs to another module: then the layout is not this build's.
        """
        info = self._memory.pointer(module + self._layout.offset("Module", "ReadyToRunInfo"))
        if not info:
            return 0
        named = self._memory.pointer(info + self._layout.offset("ReadyToRunInfo", "Module"))
        if named != module:
            raise Malformed(f"self-check ReadyToRunInfo.Module: {info:#x} names {named:#x}, not {module:#x}")
        if not self._layout.has("ReadyToRunInfo", "CompositeInfo"):
            return info
        return self._memory.pointer(info + self._layout.offset("ReadyToRunInfo", "CompositeInfo")) or info

    def _entries(self, module: int) -> dict[int, int]:
        known = self._maps.get(module)
        if known is None:
            known = self._maps[module] = self._read(module)
        return known

    def _read(self, module: int) -> dict[int, int]:
        memory, layout = self._memory, self._layout
        info = self._info(module)
        if not info:
            return {}
        table = info + layout.offset("ReadyToRunInfo", "EntryPointToMethodDescMap")
        buckets = memory.pointer(table + layout.offset("HashMap", "Buckets"))
        if not buckets:
            return {}
        count = memory.u32(buckets)  # the first bucket only says how many others there are
        if count > LIMITS.prepared_buckets:
            raise LimitExceeded(f"the map of prepared methods of module {module:#x} claims {count} buckets")
        size, slots = layout.size("Bucket"), layout.constant("HashMapSlotsPerBucket")
        if max(layout.offset("Bucket", "Keys"), layout.offset("Bucket", "Values")) + 8 * slots > size:
            raise LayoutError(f"the layout of .NET {layout.version} has {slots} slots in a Bucket of {size} bytes, where they do not fit")
        words = memory.words(buckets + size, count * size // 8)
        keys_at, values_at = layout.offset("Bucket", "Keys") // 8, layout.offset("Bucket", "Values") // 8
        mask = layout.constant("HashMapValueMask")
        found: dict[int, int] = {}
        for bucket in range(0, len(words), size // 8):
            for slot in range(slots):
                key = words[bucket + keys_at + slot]
                if key > _LAST_SPECIAL_KEY:
                    found[key] = (words[bucket + values_at + slot] & mask) << 1
        return found
