"""`exceptions`: every exception object on the heap, with the stack trace that it carries."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.results.answer import Answer
from heaphound.results.exceptions import ExceptionRow, ExceptionsResult, ExceptionTypeRow, ThrownFrameRow
from heaphound.runtime.methods import Method
from heaphound.runtime.stacks.frame import ManagedFrame
from heaphound.runtime.stacks.thrown import ThrownFrame, read_thrown_frames
from heaphound.runtime.strings import Strings
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES
from heaphound.session import Session

MAXIMUM_MESSAGE = 4096
MAXIMUM_FRAMES = 1000
MAXIMUM_INNERS = 100
MAXIMUM_WRAPPERS = 3  # a ReadOnlyCollection, a List and the array
AGGREGATE = "System.AggregateException"
ARRAY_LENGTH = 8  # of an array of references (src/coreclr/vm/object.h)
NOT_CAPTURED = "<an exception that is not in this dump>"


def exceptions(session: Session, strings: bool = False, limit: int | None = None, frames: int = MAXIMUM_FRAMES) -> Answer[ExceptionsResult]:
    """At most `limit` exceptions, those that threads hold first, in the walked heap or not; messages only with `strings`.

    Counts are of all.
    """
    reader = _Reader(session, strings, frames)
    counts: Counter[str] = Counter()
    addresses: list[tuple[int, str]] = []
    for found, objects in _instances(session):
        counts[found.name] += len(objects)
        addresses.extend((address, found.name) for address in objects)
    walked, naming = {address for address, _ in addresses}, Naming(session)
    for address in reader.threads.keys() - walked:  # a small dump has them where the walk over its pieces of the heap does not come by
        name = naming.type_of(address) or NOT_CAPTURED
        counts[name] += 1
        addresses.append((address, name))
    addresses.sort(key=lambda pair: (pair[0] not in reader.threads, pair[0]))
    result = ExceptionsResult(
        exceptions=tuple(reader.row(address, name) for address, name in addresses[:limit]),
        types=tuple(ExceptionTypeRow(name, count) for name, count in counts.most_common()),
        left_out=0 if limit is None else max(0, len(addresses) - limit),
    )
    return Answer(dump_facts(session), heap_coverage(session), result)


def _instances(session: Session) -> Iterator[tuple[Type, list[int]]]:
    """Each exception type on the heap with the addresses of its objects."""
    base = session.runtime.global_value("ExceptionMethodTable")
    table = session.table
    for index, method_table in enumerate(table.method_tables.tolist()):
        try:
            found = session.types.type(method_table)
            lineage = (found, *found.bases())
        except (Unreadable, Malformed):
            continue  # the walk's own gaps say that this type cannot be read
        if any(owner.method_table == base for owner in lineage):
            yield found, table.addresses_of(table.instances(index)).tolist()


class _Reader:
    def __init__(self, session: Session, strings: bool, frames: int) -> None:
        self._session = session
        self._memory = session.core.memory
        self._layout = session.runtime.layout
        self._strings = Strings(self._memory, self._layout, show_text=strings)
        self._frames = frames
        self.threads: dict[int, list[int]] = {}
        self._walked: dict[int, list[tuple[ManagedFrame, int]]] = {}
        for thread in session.threads:
            held = {*thread.nested_exceptions, *(() if thread.exception is None else (thread.exception,))}
            for address in held:
                self.threads.setdefault(address, []).append(thread.managed_id)

    def row(self, address: int, name: str) -> ExceptionRow:
        """One exception; what of its stack trace cannot be read is its `problem`."""
        memory, layout = self._memory, self._layout
        row = ExceptionRow(Address(address), name, None, None, None, None, tuple(self.threads.get(address, ())))
        try:
            row = replace(row, hresult=memory.u32(address + layout.offset("Exception", "_HResult")))
            inner = memory.pointer(address + layout.offset("Exception", "_innerException"))
            row = replace(row, inner=Address(inner) if inner else None)
            row = replace(row, inners=self._inners(address))
            thrown = read_thrown_frames(memory, layout, address)
            row = replace(
                row,
                frames=self._thrown(address, thrown[: self._frames]),
                frames_left_out=max(0, len(thrown) - self._frames),
            )
        except (Unreadable, Malformed) as error:
            row = replace(row, problem=str(error))
        with suppress(Unreadable, Malformed):  # a message that cannot be read is None as texts that are not to be shown are
            message = memory.pointer(address + layout.offset("Exception", "_message"))
            text, characters = self._strings.text_and_length(message, MAXIMUM_MESSAGE) if message else (None, None)
            row = replace(row, message=text, message_characters=characters)
        return row

    def _inners(self, address: int) -> tuple[Address, ...]:
        """The inner exceptions of an AggregateException (System.Private.CoreLib): `_innerExceptions`, an array; up to 5.0
        `m_innerExceptions`, a ReadOnlyCollection around a list that is one."""
        found = self._type_of(address)
        if all(owner.name != AGGREGATE for owner in (found, *found.bases())):
            return ()
        array = self._field(address, found, ("_innerExceptions", "m_innerExceptions"))
        for _ in range(MAXIMUM_WRAPPERS):
            if not array or self._type_of(array).is_array:
                break
            array = self._field(array, self._type_of(array), ("list", "_items"))
        count = min(self._memory.u32(array + ARRAY_LENGTH), MAXIMUM_INNERS) if array else 0
        data = array + self._layout.constant("PtrArrayOffsetToDataArray")
        return tuple(Address(item) for item in (self._memory.words(data, count) if count else ()) if item)

    def _type_of(self, address: int) -> Type:
        unmask = ~self._layout.constant("ObjectToMethodTableUnmask")
        return self._session.types.type(self._memory.pointer(address) & unmask)

    def _field(self, address: int, found: Type, names: tuple[str, ...]) -> int:
        """What the first field with one of the names refers to; 0 where there is none."""
        offset = next((field.offset for field in found.fields if field.name in names and field.offset is not None), None)
        return 0 if offset is None else self._memory.pointer(address + OBJECT_HEADER_BYTES + offset)

    def _thrown(self, exception: int, frames: list[ThrownFrame]) -> tuple[ThrownFrameRow, ...]:
        exact = self._exact_methods(exception, frames)
        return tuple(self._frame(frame, exact) for frame in frames)

    def _frame(self, frame: ThrownFrame, exact: dict[tuple[int, int], Method]) -> ThrownFrameRow:
        method = self._method(frame)
        module = None if method is None else self._session.types.module_at(method.module)
        il_offset: int | None = None
        file: str | None = None
        line: int | None = None
        try:
            code = self._session.stacks.codes.find(frame.ip)
            if code is not None:
                method = exact.get((frame.sp, code.start), method)
                il_offset = self._session.il_maps.offset_in(code, frame.ip - code.start - (0 if frame.adjusted else 1))
                place = None if il_offset is None else self._session.il_maps.place(code.method, il_offset)
                file, line = (None, None) if place is None else (place.file, place.start_line)
        except (Unreadable, Malformed, LayoutError):
            il_offset = None  # as for code without a map: the method's name and address remain
        name = None if method is None else method.full_name
        return ThrownFrameRow(Address(frame.ip), Address(frame.sp), name, None if module is None else module.name, il_offset, file, line)

    def _exact_methods(self, exception: int, thrown: list[ThrownFrame]) -> dict[tuple[int, int], Method]:
        """(stack pointer, start of the code) to the exact method of frames that the exception's threads still have on their stacks: what
        lies between `throw` and a handler that runs is not overwritten yet.

        The stack pointer is the frame's own, but on arm64 up to 8.0 its caller's, as that is what its unwinder calls the frame's (Thrower
        and Catching of a dump of 8.0.31; those of 10.0.11 have their own): the one of the two that more of the elements have.
        """
        frames = [found for managed_id in self.threads.get(exception, ()) for found in self._frames_of(managed_id)]
        own = {(frame.sp, start): frame for frame, start in frames}
        callers = {(frame.caller.sp, start): frame for frame, start in frames if frame.caller is not None}
        wanted = {(element.sp, self._start(element.ip)) for element in thrown} if frames else set()
        chosen = callers if len(callers.keys() & wanted) > len(own.keys() & wanted) else own
        return {key: frame.exact_method for key, frame in chosen.items() if frame.exact_method is not None}

    def _start(self, ip: int) -> int | None:
        """Where the method's code begins; None where it cannot be looked up."""
        with suppress(Unreadable, Malformed, LayoutError):
            code = self._session.stacks.codes.find(ip)
            return None if code is None else code.start
        return None

    def _frames_of(self, managed_id: int) -> list[tuple[ManagedFrame, int]]:
        """The managed frames of a thread, each with where its code starts."""
        if managed_id not in self._walked:
            thread = next(item for item in self._session.threads if item.managed_id == managed_id)
            frames = [frame for frame in self._session.stacks.walk(thread) if isinstance(frame, ManagedFrame)]
            self._walked[managed_id] = [(frame, frame.code.start) for frame in frames]
        return self._walked[managed_id]

    def _method(self, frame: ThrownFrame) -> Method | None:
        try:
            return self._session.code.methods.method(frame.method_desc)
        except (Unreadable, Malformed, LayoutError):
            return None
