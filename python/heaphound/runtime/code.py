"""From an address of code, or a delegate, to the method that it stands for."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from heaphound.dump.elf_modules import elf_modules
from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.code_ranges import CodeRanges, CodeSection, code_ranges, find_code_section
from heaphound.runtime.internal_calls import internal_call
from heaphound.runtime.jit_code import jit_code_end
from heaphound.runtime.methods import Method, Methods
from heaphound.runtime.modules import Module
from heaphound.runtime.nibble_map import NibbleMap, NibbleMapKind
from heaphound.runtime.pe import PEImage
from heaphound.runtime.precode import decode_stub
from heaphound.runtime.prepared_code import PreparedCode
from heaphound.runtime.ready_to_run import CompiledMethod, ReadyToRunImage
from heaphound.runtime.ready_to_run_names import instance_method
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.typesystem import TypeSystem

CodeKind = Literal["jit", "ready-to-run", "precode", "stub", "internal call"]

_UNMANAGED = (1 << 64) - 1  # MulticastDelegate._invocationCount of a delegate over a native function (comdelegate.h)


@dataclass(frozen=True, slots=True)
class CodeLocation:
    """What lies at an address. `start` is where the method's code (or the stub) begins.

    `method` is None for a stub that belongs to no method (`stub` then says what it does), and for code whose owner could not be read
    (`problem` says why). A method together with a `problem` is the likely one.
    """

    address: int
    kind: CodeKind
    start: int
    method: Method | None
    stub: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class DelegateTarget:
    """What calling a delegate calls.

    `target` is the object that the method gets first, None for static methods and open delegates. `method` is None where nothing names
    it (`problem` says why): `kind` "unmanaged" is a native function at `code`. "open virtual" calls an override of `method`, by its first
    argument's class.
    """

    kind: Literal["closed", "open", "open virtual", "unmanaged", "unknown"]
    target: int | None
    method: Method | None
    code: int
    problem: str | None = None


class CodeLocator:
    """Finds methods by address. Tables of the runtime and of images are read at the first question; every answer is kept."""

    def __init__(self, runtime: Runtime, typesystem: TypeSystem, tables: Memory | None = None) -> None:
        """`tables` is the memory to read constant tables of images from, where it has more than the dump."""
        self.tables = tables or runtime.memory
        self.methods = Methods(typesystem)
        self._runtime = runtime
        self._memory = runtime.memory
        self._layout = runtime.layout
        self._types = typesystem
        self._ranges: CodeRanges | None = None
        self._starts: list[int] = []
        self._elf_images: list[tuple[int, int]] | None = None
        self._prepared = PreparedCode(self.tables, runtime.layout)
        self._images: dict[int, ReadyToRunImage | str] = {}
        self._known: dict[int, CodeLocation | None] = {}

    @property
    def ranges(self) -> CodeRanges:
        """All code sections that can be read, and why others cannot. Raises what `code_ranges` raises."""
        if self._ranges is None:
            self._ranges = code_ranges(self._runtime)
            self._starts = [section.start for section in self._ranges.sections]
        return self._ranges

    @property
    def sections(self) -> Sequence[CodeSection]:
        """All code sections that can be read, ascending. Raises what `code_ranges` raises."""
        return self.ranges.sections

    def section_at(self, address: int) -> CodeSection | None:
        """The code section that holds an address; None where none does. Raises Unreadable where the dump does not tell."""
        sections = self.sections
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < sections[index].end:
            return sections[index]
        if not self.ranges.gaps or self._in_elf_image(address):
            return None
        return find_code_section(self._runtime, address)

    def _in_elf_image(self, address: int) -> bool:
        """Whether native code lies at an address: managed code is in no ELF image."""
        if self._elf_images is None:
            self._elf_images = [(module.base, module.end) for module in elf_modules(self._runtime.core)]
        return any(start <= address < end for start, end in self._elf_images)

    def resolve(self, address: int) -> Method | None:
        """The method that an instruction belongs to, or that calling `address` calls; None where nothing tells for certain."""
        found = self.locate(address)
        return None if found is None or found.problem is not None else found.method

    def resolve_many(self, addresses: Iterable[int]) -> dict[int, Method | None]:
        """`resolve` of each distinct address."""
        return {address: self.resolve(address) for address in set(addresses)}

    def locate(self, address: int) -> CodeLocation | None:
        """What lies at an address; None when it is neither managed code nor a stub that is known. Raises LayoutError, and Unreadable or
        Malformed when the runtime's list of code ranges cannot be read."""
        if address not in self._known:
            self._known[address] = self._locate(address)
        return self._known[address]

    def resolve_delegate(
        self, delegate: int, target: int, method_pointer: int, auxiliary: int, first_argument: int = 0, invocation_count: int = 0
    ) -> DelegateTarget:
        """What a delegate with one target calls, by its fields `_target`, `_methodPtr`, `_methodPtrAux`, `_invocationCount`.

        `delegate` is its own address, `first_argument` its `_invocationList` if that is no array. Kinds: src/coreclr/vm/comdelegate.cpp,
        "DELEGATE KINDS TABLE": a closed delegate has its code in `_methodPtr`; an open one has a thunk there that drops the delegate
        itself, and its code in `_methodPtrAux`.
        """
        if invocation_count == _UNMANAGED:
            return DelegateTarget("unmanaged", None, None, auxiliary)
        if auxiliary and invocation_count and not first_argument:
            return self._open_virtual(auxiliary, invocation_count)
        code = auxiliary or method_pointer
        bound = target if not auxiliary else first_argument
        found = self.locate(code)
        if found is None:
            return DelegateTarget("unknown", bound or None, None, code, f"there is no managed code at {code:#x}")
        kind: Literal["closed", "open"] = "closed" if bound and bound != delegate else "open"
        return DelegateTarget(kind, bound if kind == "closed" else None, found.method, code, found.problem)

    def _open_virtual(self, code: int, method_desc: int) -> DelegateTarget:
        """Its code is a stub for virtual calls; the MethodDesc is in `_invocationCount` (COMDelegate::BindToMethod)."""
        try:
            return DelegateTarget("open virtual", None, self.methods.method(method_desc), code)
        except (Unreadable, Malformed) as error:
            return DelegateTarget("open virtual", None, None, code, str(error))

    def _locate(self, address: int) -> CodeLocation | None:
        at = address
        stub: str | None = None
        for _ in range(LIMITS.stub_jumps):
            found = self._code_at(at)
            if found is not None:
                return CodeLocation(address, found.kind, found.start, found.method, stub, found.problem)
            try:
                native = internal_call(self._memory, self._layout, at)
                decoded = None if native is not None else decode_stub(self._memory, self._layout, at)
            except (Unreadable, Malformed) as error:
                return CodeLocation(address, "stub", at, None, stub, str(error))
            if native is not None:
                return self._of_method_desc(address, "internal call", at, native)
            if decoded is None:
                return None if stub is None else CodeLocation(address, "stub", at, None, stub)
            if decoded.method_desc is not None:
                return self._of_method_desc(address, "precode", at, decoded.method_desc)
            stub = stub or decoded.kind
            if decoded.target is None:
                return CodeLocation(address, "stub", at, None, decoded.kind)
            at = decoded.target
        return CodeLocation(address, "stub", at, None, stub, f"more than {LIMITS.stub_jumps} stubs lead into each other")

    def _code_at(self, address: int) -> CodeLocation | None:
        section = self.section_at(address)
        if section is None or section.kind == "stubs":
            return None
        try:
            return self._jit(section, address) if section.kind == "jit" else self._ready_to_run(section, address)
        except (Unreadable, Malformed) as error:
            return CodeLocation(address, section.kind, address, None, None, str(error))

    def _jit(self, section: CodeSection, address: int) -> CodeLocation | None:
        if section.map_base is None or section.nibble_map is None:
            raise Malformed(f"the code heap at {section.start:#x} has no nibble map")
        kind: NibbleMapKind = "constant-time" if self._layout.contract("NibbleMap") == "constant-time" else "linear"
        start = NibbleMap(self._memory, section.map_base, section.nibble_map, kind).method_start(address)
        if start is None:
            return None
        header = self._memory.pointer(start - 8)
        if header <= self._layout.constant("StubCodeBlockLast"):  # a block of stubs: the number says of which kind
            return None
        method_desc = self._memory.pointer(header + self._layout.offset("RealCodeHeader", "MethodDesc"))
        found = self._of_method_desc(address, "jit", start, method_desc)
        return found if address == start else self._within(section, found, header)

    def _within(self, section: CodeSection, found: CodeLocation, header: int) -> CodeLocation:
        """The same, or what is wrong where the method that the map names does not reach so far, or that cannot be read."""
        try:
            end = jit_code_end(self._memory, self._layout, section.start, header)
        except (Unreadable, Malformed, LayoutError) as error:
            return replace(found, problem=found.problem or f"how far the method reaches cannot be read: {error}")
        if found.address < end:
            return found
        name = "a method" if found.method is None else found.method.full_name
        problem = f"{found.address:#x} is {found.address - end} bytes behind the end of {name}, the last method before it in its code heap"
        return replace(found, method=None, problem=problem)

    def _of_method_desc(self, address: int, kind: CodeKind, start: int, method_desc: int) -> CodeLocation:
        try:
            return CodeLocation(address, kind, start, self.methods.method(method_desc))
        except (Unreadable, Malformed, LayoutError) as error:
            return CodeLocation(address, kind, start, None, None, str(error))

    def _ready_to_run(self, section: CodeSection, address: int) -> CodeLocation | None:
        image = self.image(section)
        if isinstance(image, str):
            return self._prepared_method(section, address, image)
        try:
            compiled = image.method_at(address)
        except Unreadable as error:
            return self._prepared_method(section, address, str(error))
        if compiled is None:
            return CodeLocation(address, "stub", address, None, "delay-load thunk") if image.is_delay_load_thunk(address) else None
        return CodeLocation(address, "ready-to-run", compiled.start, self._compiled_method(section, compiled))

    def _prepared_method(self, section: CodeSection, address: int, why: str) -> CodeLocation | None:
        """Without the image's tables: certain for the first instruction of a prepared method, and for its main body where the table of code
        fragments can be searched; else the nearest prepared method before the address, as a guess."""
        module = self._module(section).address
        found = self._prepared.before(module, address)
        if found is None or found[0] < section.start:
            return CodeLocation(address, "ready-to-run", address, None, None, why)
        start, method_desc = found
        if start != address:
            try:
                fragment = self._prepared.fragment_start(module, section.start, address)
            except Unreadable:
                fragment = 0
            if fragment is None:
                return None
            if fragment != start:
                likely = self.methods.method(method_desc)
                return CodeLocation(address, "ready-to-run", start, likely, None, f"the nearest prepared method before it: {why}")
        return self._of_method_desc(address, "ready-to-run", start, method_desc)

    def image(self, section: CodeSection) -> ReadyToRunImage | str:
        """The ready-to-run tables of a section's image, or why they cannot be had."""
        known = self._images.get(section.start)
        if known is None:
            try:
                known = ReadyToRunImage(PEImage.from_memory(self.tables, section.start))
            except (Unreadable, Malformed) as error:
                known = str(error)
            self._images[section.start] = known
        return known

    def _compiled_method(self, section: CodeSection, compiled: CompiledMethod) -> Method:
        module = self._module(section)
        prepared = self._prepared_at(module, compiled.start)
        if prepared is not None:
            return prepared
        if compiled.rid is not None:
            return self.methods.defined(module, compiled.rid)
        if compiled.signature is None:
            raise Malformed(f"the method at {compiled.start:#x} has neither a row nor a signature")
        return instance_method(self.methods, module, compiled.signature)

    def _prepared_at(self, module: Module, entry: int) -> Method | None:
        """The method that the runtime prepared at an entry point; None where it did not, or does not tell: the image names it as well."""
        try:
            method_desc = self._prepared.method_desc(module.address, entry)
            return None if method_desc is None else self.methods.method(method_desc)
        except (Unreadable, Malformed):
            return None

    def _module(self, section: CodeSection) -> Module:
        module = None if section.module is None else self._types.module_at(section.module)
        if module is None:
            raise Malformed(f"the module of the image at {section.start:#x} is not in the list of loaded assemblies")
        return module
