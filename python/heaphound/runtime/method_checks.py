"""Self-checks on methods: their tokens belong to their type, what the JIT wrote of their code fits it, made-up ones say what they are."""

from collections.abc import Iterator
from itertools import islice
from struct import unpack_from

from heaphound.errors import Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.async_methods import check_chunk
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.code_ranges import CodeSection
from heaphound.runtime.link_checks import sampled_instantiations
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.methods import Method
from heaphound.runtime.nibble_map import NibbleMap, NibbleMapKind
from heaphound.runtime.signatures import method_signature

SAMPLE_TYPES = 3000  # rows of the core library, of which every SAMPLE_STEPth is looked at
SAMPLE_STEP = 60
SAMPLE_METHODS = 240
SAMPLE_SECTIONS = 64
MOST_FRAGMENTS = 65_536
LARGE_CODE_BYTES = 1024  # of which some words of the map have no method's start: a word stands for 256 bytes
MOST_CLAUSES = 65_536
CLAUSE_BYTES, CLAUSES_HEAD_BYTES = 32, 8  # EE_ILEXCEPTION_CLAUSE and what lies before the first, src/coreclr/inc/corhlpr.h
KNOWN_CLAUSE_FLAGS = 0x3F  # CORINFO_EH_CLAUSE_FLAGS of src/coreclr/inc/corinfo.h
IL_STUB = "IL_STUB"  # how the names of all stubs begin that the runtime writes as IL (src/coreclr/vm/dllimport.cpp)


def check_tokens(subject: CheckSubject) -> None:
    """Tokens of methods all over the core library are of methods that metadata has for the same type, and map back to them."""
    memory, layout, types = subject.memory, subject.layout, subject.types
    tables, library = MethodTables(memory, layout), types.core_library
    if library.metadata is None:
        return
    to_types = library.address + layout.offset("Module", "TypeDefToMethodTableMap")
    to_descs = library.address + layout.offset("Module", "MethodDefToDescMap")
    for row, table in islice(types.maps.items(to_types), 0, SAMPLE_TYPES, SAMPLE_STEP):
        chunk = subject.pointer(tables.eeclass(table), "EEClass", "MethodDescChunk")
        if not chunk:
            continue
        check_chunk(memory, layout, chunk)
        desc = chunk + layout.size("MethodDescChunk")
        found = subject.code.methods.method(desc)
        owner = library.metadata.method_owner(found.rid)
        expect(
            owner == row, f"MethodDescChunk.FlagsAndTokenRange: {found.full_name} has row {found.rid}, which metadata has for type {owner}"
        )
        mapped = types.maps.get(to_descs, found.rid)
        # A method of a value type has a second MethodDesc, for the call on a box.
        same = mapped == desc or subject.code.methods.method(mapped).full_name == found.full_name
        expect(same, f"Module.MethodDefToDescMap: row {found.rid} gives {mapped:#x}, not {found.full_name} {desc:#x}")


def check_jit_headers(subject: CheckSubject) -> None:
    """What the JIT wrote before most methods fits their code: its parts follow each other, and exception clauses lie inside."""
    problems, with_clauses, seen = list[str](), 0, 0
    found: dict[str, list[str | None]] = {}
    told = list[bool]()  # whether there is debug information; methods made at run time have none
    for section, start, header in islice(_jit_methods(subject), SAMPLE_METHODS):
        seen += 1
        with_clauses += bool(subject.pointer(header, "RealCodeHeader", "EHInfo"))
        location = subject.code.locate(start)
        if location is not None and location.method is not None and location.method.kind == "managed":
            told.append(bool(subject.pointer(header, "RealCodeHeader", "DebugInfo")))
        try:
            end = _check_fragments(subject, section, start, header)
            if subject.layout.has("RuntimeFunction", "EndAddress"):  # else the parts do not tell how far they go
                size = "large" if end - start > LARGE_CODE_BYTES else "small"
                found.setdefault(size, []).append(_last_byte_problem(subject, start, end))
            _check_clauses(subject, start, header, end - start)
        except (Malformed, Unreadable) as error:
            problems.append(str(error))
    if not with_clauses:
        subject.not_exercised("RealCodeHeader.EHInfo")
    if "large" not in found:
        subject.not_exercised("contract NibbleMap")
    for size, outcomes in found.items():
        wrong = [outcome for outcome in outcomes if outcome is not None]
        expect(2 * len(wrong) <= len(outcomes), f"NibbleMap: {len(wrong)} of {len(outcomes)} {size} methods: {wrong[0] if wrong else ''}")
    expect(2 * len(problems) <= seen, f"RealCodeHeader: {len(problems)} of {seen} methods: {problems[0] if problems else ''}")
    expect(2 * sum(told) >= len(told), f"RealCodeHeader.DebugInfo: only {sum(told)} of {len(told)} methods have some")


def _jit_methods(subject: CheckSubject) -> Iterator[tuple[CodeSection, int, int]]:
    """(code section, start, RealCodeHeader) of methods of every heap in turn, so that a few of each heap come first."""
    heaps = [section for section in subject.code.sections if section.map_base is not None and section.used_bytes]
    lists = [_methods_of(subject, section) for section in heaps[:SAMPLE_SECTIONS]]
    while lists:
        for methods in list(lists):
            found = next(methods, None)
            if found is None:
                lists.remove(methods)
            else:
                yield found


def _methods_of(subject: CheckSubject, section: CodeSection) -> Iterator[tuple[CodeSection, int, int]]:
    """As `_jit_methods`, of one heap; blocks of stubs among the methods have no RealCodeHeader and are left out."""
    kind: NibbleMapKind = "constant-time" if subject.layout.contract("NibbleMap") == "constant-time" else "linear"
    nibbles = NibbleMap(subject.memory, section.map_base or 0, section.nibble_map or 0, kind)
    for start in nibbles.method_starts(section.start + (section.used_bytes or 0)):
        header = subject.memory.pointer(start - 8)
        if header > subject.layout.constant("StubCodeBlockLast"):
            yield section, start, header


def _check_fragments(subject: CheckSubject, section: CodeSection, start: int, header: int) -> int:
    """The end of the method's last part, or the furthest that it can be where parts do not say theirs (arm64).

    Raises Malformed unless the parts begin at the method's start and follow each other.
    """
    memory, layout = subject.memory, subject.layout
    count = memory.u32(header + layout.offset("RealCodeHeader", "NumUnwindInfos"))
    if not 0 < count <= MOST_FRAGMENTS:
        raise Malformed(f"RealCodeHeader.NumUnwindInfos: the method at {start:#x} claims {count} code fragments")
    size = layout.size("RuntimeFunction")
    data = memory.bytes(header + layout.offset("RealCodeHeader", "UnwindInfos"), count * size)
    at_begin = layout.offset("RuntimeFunction", "BeginAddress")
    at_end = layout.offset("RuntimeFunction", "EndAddress") if layout.has("RuntimeFunction", "EndAddress") else None
    first, last = start - section.start, start - section.start
    for index in range(count):
        (begin,) = unpack_from("<I", data, index * size + at_begin)
        end = begin + 1 if at_end is None else unpack_from("<I", data, index * size + at_end)[0]
        follows = begin == last if at_end is not None or index == 0 else begin >= last
        if not follows or end <= begin:
            raise Malformed(f"RealCodeHeader.UnwindInfos: part {index} of the method at {start:#x} goes from {begin:#x} to {end:#x}")
        last = end
    return section.start + (last if at_end is not None else first + LIMITS.method_code_bytes)


def _last_byte_problem(subject: CheckSubject, start: int, end: int) -> str | None:
    """The last byte of the code leads back to its start."""
    location = subject.code.locate(end - 1)
    if location is not None and location.start == start:
        return None
    owner = "of no method" if location is None else f"of the method at {location.start:#x}"
    return f"the byte at {end - 1:#x} of the method at {start:#x} is one {owner}"


def _check_clauses(subject: CheckSubject, start: int, header: int, code_bytes: int) -> None:
    """Raises Malformed unless what the method's exception clauses name lies in its code."""
    table = subject.pointer(header, "RealCodeHeader", "EHInfo")
    if not table:
        return
    count = subject.memory.u64(table - 8)
    if not 0 < count <= MOST_CLAUSES:
        raise Malformed(f"RealCodeHeader.EHInfo: the method at {start:#x} claims {count} exception clauses")
    data = subject.memory.bytes(table + CLAUSES_HEAD_BYTES, count * CLAUSE_BYTES)
    for index in range(count):
        flags, begin, end, handler, handler_end = unpack_from("<5I", data, index * CLAUSE_BYTES)
        inside = begin <= end <= code_bytes and handler < handler_end <= code_bytes
        if flags & ~KNOWN_CLAUSE_FLAGS or not inside:
            raise Malformed(
                f"RealCodeHeader.EHInfo: clause {index} of the method at {start:#x} is {flags:#x} {begin:#x} {end:#x} {handler:#x}"
            )


def check_made_methods(subject: CheckSubject) -> None:
    """Generic methods have the arguments that metadata has parameters for, made ones are called what they are, of most sampled ones."""
    kinds: dict[str, list[str | None]] = {}
    for section, start, _ in islice(_jit_methods(subject), SAMPLE_METHODS):
        location = subject.code.locate(start)
        method = None if location is None else location.method
        if method is None:
            continue
        for what, problem in (("methods", _method_problem(subject, method)), ("code", _unloading_problem(subject, section, method))):
            kinds.setdefault(f"{method.kind} {'generic ' if _arity(subject, method) else ''}{what}", []).append(problem)
    if not any(kind.startswith(("dynamic", "il stub")) for kind in kinds):
        subject.not_exercised("StoredSigMethodDesc")
    if "managed generic methods" not in kinds:
        subject.not_exercised("InstantiatedMethodDesc")
    for kind, problems in kinds.items():
        failed = [problem for problem in problems if problem is not None]
        expect(2 * len(failed) <= len(problems), f"{failed[0] if failed else ''} ({len(failed)} of {len(problems)} {kind})")


def _method_problem(subject: CheckSubject, method: Method) -> str | None:
    if method.kind in ("dynamic", "il stub"):
        if (method.kind == "dynamic") == method.name.startswith(IL_STUB):
            return f"DynamicMethodDescFlags.LCGMethod: {method.name} is said to be a {method.kind}"
        return f"StoredSigMethodDesc.Sig: the signature of {method.name} cannot be read" if method.full_name.endswith("(?)") else None
    arity = _arity(subject, method)
    agrees = arity is None or len(method.generic_arguments) == arity
    return None if agrees else f"InstantiatedMethodDesc.NumGenericArgs: {method.full_name} has {arity} parameters by metadata"


def _arity(subject: CheckSubject, method: Method) -> int | None:
    """How many type parameters of its own a method has by metadata; None where that is lacking."""
    module = subject.types.module_at(method.module)
    if not method.rid or module is None or module.metadata is None:
        return None
    return method_signature(module.metadata.methoddef(method.rid).signature).generic_arity


def _unloading_problem(subject: CheckSubject, section: CodeSection, method: Method) -> str | None:
    """Code of types that can be unloaded lies in heaps that say so, other code in others; of made methods nothing tells."""
    if method.kind != "managed" or method.method_table is None:
        return None
    collectible = subject.types.type(method.method_table).is_collectible
    return None if collectible == section.collectible else f"RangeSectionFlags.Collectible: {method.full_name} in {section.start:#x}"


def check_array_methods(subject: CheckSubject) -> None:
    """Methods of array types of several dimensions fill their chunk: Get, Set, Address and constructors, all of one size."""
    memory, layout, seen = subject.memory, subject.layout, 0
    for handle in sampled_instantiations(subject):
        found = subject.types.resolve_handle(handle).type
        chunk = (
            0 if found is None or not found.is_array or found.is_vector else subject.pointer(found.eeclass, "EEClass", "MethodDescChunk")
        )
        if chunk:
            units = memory.u8(chunk + layout.offset("MethodDescChunk", "Size")) + 1
            count = memory.u8(chunk + layout.offset("MethodDescChunk", "Count")) + 1
            size, room = layout.size("ArrayMethodDesc"), units * layout.constant("MethodDescAlignment")
            expect(count * size == room, f"ArrayMethodDesc: {count} methods of {size} bytes do not fill a chunk of {room}")
            seen += 1
    if not seen:
        subject.not_exercised("ArrayMethodDesc")
