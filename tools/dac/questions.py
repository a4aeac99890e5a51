"""What to ask a DAC about: threads, modules, types, objects, blocks, found by asking it, without any layout."""

from collections.abc import Iterator
from itertools import islice

from tools.dac import calls
from tools.dac.library import Library
from tools.dac.resolve import Question
from tools.dac.shapes import Answer, Call

POINTER_BYTES = 8
MOST_THREADS = 64
MOST_TYPES = 4000
MOST_FRAMES = 20
NO_FRAME = (1 << 64) - 1  # FRAME_TOP
MOST_ELEMENTS = 2000
OBJECT_TEXT_KIND, OBJECT_ARRAY_KIND = 0, 3  # DacpObjectType: OBJ_STRING, OBJ_ARRAY
TYPEDEFS = 0  # ModuleMapType: TYPEDEFTOMETHODTABLE
JITTED, COMPILED_AHEAD = 1, 2  # JITTypes: TYPE_JIT, TYPE_PJIT
FIRST_METHOD, MOST_METHODS = 0x06000001, 300
BLOCK_HEADER_BYTES, BLOCK_HANDLES = 0x1000, 64  # of a handle segment, src/coreclr/gc/handletablepriv.h
STATIC_SLOT_BYTES = 16  # of ThreadLocalBlock's table: a pointer and a handle, src/coreclr/vm/threadstatics.h


class Asker:
    """Asks, and finds what else to ask about."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def ask(self, call: Call, *arguments: int) -> Answer:
        """One answer; the outputs of a method that this DAC lacks are missing or 0."""
        return call.ask(self._library, arguments)

    @property
    def has_loader_heaps(self) -> bool:
        """Whether the heaps of a loader allocator can be asked for by name (since 8.0)."""
        return self._library.has(calls.LOADER_HEAPS.interface)

    def number(self, call: Call, output: str, *arguments: int) -> int:
        """One output as a number, 0 where there is none."""
        value = self.ask(call, *arguments).get(output, 0)
        return value if isinstance(value, int) else 0

    def numbers(self, call: Call, item: str, *arguments: int) -> list[int]:
        """The entries of a list."""
        answer = self.ask(call, *arguments)
        return [value for name, value in answer.items() if name.startswith(f"{item}[") and isinstance(value, int)]

    def word(self, address: int) -> int:
        """A word of the dump, 0 where it has none there."""
        return int.from_bytes(self._library.target.memory(address, POINTER_BYTES), "little")

    def threads(self) -> list[int]:
        """All Threads, of the list of the ThreadStore."""
        found: list[int] = []
        thread = self.number(calls.THREAD_STORE, "first_thread")
        while thread and thread not in found and len(found) < MOST_THREADS:
            found.append(thread)
            thread = self.number(calls.THREAD, "next", thread)
        return found

    def frames(self, thread: int) -> list[int]:
        """The Frames of a thread, each behind its predecessor's vtable or identifier (src/coreclr/vm/frames.h of all versions)."""
        found: list[int] = []
        frame = self.number(calls.THREAD, "frame", thread)
        while 0 < frame < NO_FRAME and frame not in found and len(found) < MOST_FRAMES:
            found.append(frame)
            frame = self.word(frame + POINTER_BYTES)
        return found

    def modules(self) -> list[int]:
        """The modules of the program, in the order in which their assemblies were loaded."""
        domain = self.number(calls.APP_DOMAINS, "domains[0]")
        assemblies = self.numbers(calls.ASSEMBLIES, "assemblies", domain)
        return [module for assembly in assemblies for module in self.numbers(calls.ASSEMBLY_MODULES, "modules", assembly)]

    def types(self, module: int) -> list[int]:
        """MethodTables of the types that the module declares, of those that are loaded."""
        answer = self.ask(calls.MODULE_TYPES, TYPEDEFS, module)
        found = [value for name, value in islice(answer.items(), 3 * MOST_TYPES) if name.endswith("].1") and isinstance(value, int)]
        return [found_type for found_type in found if found_type]

    def objects(self) -> Iterator[int]:
        """Objects that handles refer to, and those in the arrays among them."""
        answer = self.ask(calls.HANDLES)
        slots = [value for name, value in answer.items() if name.endswith(".handle") and isinstance(value, int)]
        held = [found for slot in slots if (found := self.word(slot))]
        yield from held
        for found in held:
            described = self.ask(calls.OBJECT, found)
            data, count = described["data"], described["components"]
            if described["kind"] == OBJECT_ARRAY_KIND and described["component_bytes"] == POINTER_BYTES:
                assert isinstance(data, int)
                assert isinstance(count, int)
                yield from filter(None, (self.word(data + POINTER_BYTES * index) for index in range(min(count, MOST_ELEMENTS))))


def questions(library: Library) -> list[Question]:
    """All questions, several for a call where one answer may fit by chance."""
    asker = Asker(library)
    return [
        *(Question(call, ()) for call in (calls.THREAD_STORE, calls.APP_DOMAINS, calls.GLOBALS, calls.GLOBAL_ALLOCATION)),
        *_of_handles(asker),
        *_of_threads(asker),
        *_of_modules(asker),
        *_of_types(asker),
        *_of_code(asker),
        *_of_objects(asker),
        *_of_segments(asker),
        *_of_sync_blocks(asker),
    ]


def _of_handles(asker: Asker) -> Iterator[Question]:
    answer = asker.ask(calls.HANDLES)
    segment, handle = answer.get("segment"), answer.get("handles[0].handle")
    if isinstance(segment, int) and isinstance(handle, int):
        block = (handle - segment - BLOCK_HEADER_BYTES) // (POINTER_BYTES * BLOCK_HANDLES)
        yield Question(calls.FIRST_HANDLES, (), {"segment": segment}, {"block": block})


def _of_threads(asker: Asker) -> Iterator[Question]:
    threads = asker.threads()
    yield from (Question(calls.THREAD, (thread,)) for thread in threads[:2])
    for output in ("nested", "last_thrown"):
        yield from islice((Question(calls.THREAD, (thread,)) for thread in threads[2:] if asker.number(calls.THREAD, output, thread)), 1)
    nested = [exception for thread in threads if (exception := asker.number(calls.THREAD, "nested", thread))]
    yield from (Question(calls.NESTED_EXCEPTION, (exception,)) for exception in nested[:2])
    frames = [frame for thread in threads for frame in asker.frames(thread)]
    named = [
        frame for frame in frames if asker.ask(calls.FRAME_NAME, asker.word(frame)).get("name") == "InlinedCallFrame".encode("utf-16le")
    ]
    holding = [frame for frame in named if asker.number(calls.METHOD_OF_FRAME, "method", frame)]
    yield from (Question(calls.METHOD_OF_FRAME, (frame,)) for frame in holding[:2])


def _of_modules(asker: Asker) -> Iterator[Question]:
    domain, modules = asker.number(calls.APP_DOMAINS, "domains[0]"), asker.modules()
    if not asker.has_loader_heaps:
        yield Question(calls.APP_DOMAIN, (domain,))
    yield Question(calls.ASSEMBLIES, (domain,))
    chosen = [modules[0], modules[-1]]
    for module in chosen:
        described = asker.ask(calls.MODULE, module)
        yield Question(calls.MODULE, (module,))
        yield Question(calls.ASSEMBLY_MODULES, (_number(described["assembly"]),))
        yield Question(calls.PE_BASE, (_number(described["pe_assembly"]),))
    yield from islice(
        (Question(calls.STATICS_OF_MODULE, (m,)) for m in modules if asker.number(calls.STATICS_OF_MODULE, "gc_statics", m)), 2
    )
    allocators = dict.fromkeys(asker.number(calls.MODULE, "loader_allocator", module) for module in modules)
    yield from (Question(calls.LOADER_HEAPS, (allocator,)) for allocator in islice(allocators, 2) if allocator)
    yield Question(calls.PE_NAME, (asker.number(calls.MODULE, "pe_assembly", modules[0]),))
    if not asker.has_loader_heaps:
        yield from (Question(call, (domain,)) for call in calls.STUB_HEAPS.values() if asker.number(call, "blocks.count", domain))
    heaps = [asker.number(calls.APP_DOMAIN, f"{name}_frequency_heap", domain) for name in ("low",)]
    yield from (Question(calls.LOADER_HEAP, (heap,)) for heap in heaps if heap)
    wanted = ((thread, asker.number(calls.MODULE, "index", module)) for module in modules for thread in asker.threads())
    used = (pair for pair in wanted if asker.number(calls.THREAD_STATICS_OF_MODULE, "gc_statics", *pair))
    yield from (Question(calls.THREAD_STATICS_OF_MODULE, pair, given={"slot": STATIC_SLOT_BYTES * pair[1]}) for pair in islice(used, 2))


def _of_types(asker: Asker) -> Iterator[Question]:
    modules = asker.modules()
    core, program = asker.types(modules[0]), asker.types(modules[-1])
    every = [found for module in reversed(modules) for found in asker.types(module)]
    known = [asker.number(calls.GLOBALS, name) for name in ("exception", "string")]
    for found in [*known, *program[:1]]:
        yield Question(calls.METHOD_TABLE, (found,))
        yield Question(calls.TYPE_FIELDS, (found,))
        yield Question(calls.TYPE_OF_CLASS, (asker.number(calls.METHOD_TABLE, "class", found),))
        yield Question(calls.LOAD_CONTEXT, (found,))
    fields = [field for found in [*known, *core[:40]] if (field := asker.number(calls.TYPE_FIELDS, "first", found))]
    yield from (Question(calls.FIELD, (field,)) for field in fields[:1])
    collectible = (found for found in every if asker.number(calls.COLLECTIBLE, "handle", found))
    for found in islice(collectible, 1):
        yield Question(calls.COLLECTIBLE, (found,))
        yield Question(calls.LOAD_CONTEXT, (found,))
    yield from islice((Question(calls.STATICS, (found,)) for found in core if asker.number(calls.STATICS, "gc", found)), 2)


def _of_code(asker: Asker) -> Iterator[Question]:
    tokens = ((module, FIRST_METHOD + row) for module in reversed(asker.modules()) for row in range(MOST_METHODS))
    methods = filter(None, (asker.number(calls.METHOD_FROM_TOKEN, "method", *pair) for pair in tokens))
    described = [(method, asker.number(calls.METHOD, "code", method, 0)) for method in islice(methods, 400)]
    yield from (Question(calls.METHOD, (method, 0)) for method, _ in described[1:2])
    jitted = (code for _, code in described if code and asker.number(calls.CODE, "kind", code) == JITTED)
    for code in islice(jitted, 1):
        start = asker.number(calls.CODE, "start", code)
        yield Question(calls.CODE, (code,), {"header": start - POINTER_BYTES})
    compiled = (code for _, code in described if code and asker.number(calls.CODE, "kind", code) == COMPILED_AHEAD)
    yield from (Question(calls.CODE, (code,)) for code in islice(compiled, 1))


def _of_objects(asker: Asker) -> Iterator[Question]:
    texts, arrays = 0, 0
    types = dict.fromkeys(asker.number(calls.OBJECT, "method_table", found) for found in islice(asker.objects(), MOST_ELEMENTS))
    generic = (found for found in types if "[[".encode("utf-16le") in _text(asker.ask(calls.TYPE_NAME, found)["name"]))
    yield from islice((Question(calls.TYPE_NAME, (found,)) for found in generic), 1)
    for found in islice(asker.objects(), 4 * MOST_ELEMENTS):
        described = asker.ask(calls.OBJECT, found)
        if described["kind"] == OBJECT_TEXT_KIND and texts < 2 and asker.number(calls.OBJECT_TEXT, "text.length", found) > 4:
            texts += 1
            yield Question(calls.OBJECT_TEXT, (found,))
        if described["kind"] == OBJECT_ARRAY_KIND and arrays < 2 and described["components"]:
            arrays += 1
            yield Question(calls.OBJECT, (found,), {"type": _number(described["method_table"])})


def _of_segments(asker: Asker) -> Iterator[Question]:
    yield Question(calls.HEAPS, ())
    if asker.number(calls.HEAPS, "server"):  # then what is asked of the one heap of a workstation ends the DAC
        heaps = asker.numbers(calls.HEAP_LIST, "heaps")
        yield Question(calls.HEAP_LIST, ())
        yield from (Question(calls.SERVER_HEAP, (one,)) for one in heaps[:2])
        heap = asker.ask(calls.SERVER_HEAP, heaps[0])
    else:
        yield from (Question(call, ()) for call in (calls.HEAP, calls.GENERATIONS))
        heap = asker.ask(calls.HEAP)
    segments = {_number(heap.get(f"gen{generation}_segment", 0)) for generation in (0, 2, 3)}
    yield from (Question(calls.SEGMENT, (segment,)) for segment in sorted(segments) if segment)


def _of_sync_blocks(asker: Asker) -> Iterator[Question]:
    count = min(asker.number(calls.SYNC_BLOCK, "count", 1), 200)
    blocks = [(asker.ask(calls.SYNC_BLOCK, index), index) for index in range(1, count + 1)]
    used = sorted((answer.get("thread") == 0, index) for answer, index in blocks if answer.get("free") == 0 and answer.get("object"))
    yield from (Question(calls.SYNC_BLOCK, (index,), given={"index": index}) for _, index in used[:2])


def _number(value: int | bytes) -> int:
    return value if isinstance(value, int) else 0


def _text(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""
