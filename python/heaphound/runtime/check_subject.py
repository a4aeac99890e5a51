"""What the self-checks look at: one runtime and what is read from it, each read once; its reader is imported with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from heaphound._core import Heap
from heaphound.dump.elf_modules import is_whole
from heaphound.errors import HeaphoundError, LayoutError, Unreadable
from heaphound.runtime.generics import Instantiations, ResolvedType
from heaphound.runtime.heap import GCHeap, Segment, read_heap
from heaphound.runtime.heap_walk import heap_layout, unused_stretches
from heaphound.runtime.modules import ModuleList, read_module_list
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.types import Type
from heaphound.runtime.typesystem import TypeSystem

if TYPE_CHECKING:
    from heaphound.runtime.handles import HandleTable
    from heaphound.runtime.threads import Thread
    from heaphound.runtime.unread_images import PreparedCodeLocator

LARGEST_SAMPLE_BYTES = 64 << 20
ABSENT = "not in the dump"  # how the sentences of Unreadable end


class Unindexed(Instantiations):
    """Knows no instantiation by what it is made of. The index is of all loaded types, seconds where they are tens of thousands."""

    def generic(self, definition: Type, arguments: Sequence[ResolvedType]) -> tuple[Type | None, Type | None]:  # noqa: ARG002
        """Not looked for."""
        return None, None

    def array(self, element: ResolvedType, rank: int, is_vector: bool) -> Type | None:  # noqa: ARG002
        """Not looked for."""
        return None


class CheckSubject:
    """Parts of the runtime under check. Each property raises what its reader raises.

    `modules` reads the list of modules where somebody else wants it too.
    """

    def __init__(self, runtime: Runtime, modules: Callable[[], ModuleList] | None = None) -> None:
        self.runtime = runtime
        self._read_modules = modules or (lambda: read_module_list(runtime))
        self.memory = runtime.memory
        self.layout = runtime.layout
        self.lacking: list[str] = []

    def not_exercised(self, what: str) -> None:
        """Note that the dump has nothing by which `what` (a number or a structure) could be found wrong."""
        self.lacking.append(what)

    @property
    def small(self) -> bool:
        """Whether the dump was meant to hold stacks and little else, or was cut: then what it lacks says nothing of the layout."""
        return self.runtime.core.writer.mode == "mini" or self.runtime.core.truncation is not None

    @cached_property
    def without_files(self) -> bool:
        """Whether the runtime's own file was left out of the dump, as the kernel does with mapped files, and none stands in for it."""
        return not is_whole(self.runtime.module, self.memory)

    def lacks(self, error: HeaphoundError) -> bool:
        """Whether a check failed only because this dump was meant to lack what it met, or was cut before it."""
        if self.small:
            return isinstance(error, Unreadable) or ABSENT in str(error)
        if not self.without_files:
            return False
        if isinstance(error, Unreadable):
            return any(file.start <= error.address < file.end for file in self.runtime.core.files)
        return ABSENT in str(error)

    @cached_property
    def heap(self) -> GCHeap:
        """The heap's structure."""
        return read_heap(self.runtime)

    @cached_property
    def sample_ranges(self) -> list[tuple[int, int]]:
        """[start, end) of the smallest segment of each kind, ascending; none of more than 64 MiB."""
        chosen: dict[str, Segment] = {}
        for segment in self.heap.segments:
            if 0 < segment.size_bytes < chosen.get(segment.kind, segment).size_bytes + 1:
                chosen[segment.kind] = segment
        return sorted((segment.start, segment.end) for segment in chosen.values() if segment.size_bytes <= LARGEST_SAMPLE_BYTES)

    @cached_property
    def sample(self) -> Heap:
        """The walked objects of `sample_ranges`, gaps included."""
        free = self.runtime.global_value("FreeObjectMethodTable")
        return Heap.walk(self.memory.image, heap_layout(self.layout), self.sample_ranges, unused_stretches(self.heap), free)

    @cached_property
    def threads(self) -> list[Thread]:
        """The managed threads."""
        from heaphound.runtime.threads import read_threads

        return read_threads(self.runtime)

    @cached_property
    def handles(self) -> HandleTable:
        """The handle table."""
        from heaphound.runtime.handles import read_handle_table

        return read_handle_table(self.runtime)

    @cached_property
    def modules(self) -> ModuleList:
        """The loaded modules."""
        return self._read_modules()

    @cached_property
    def types(self) -> TypeSystem:
        """The type system."""
        system = TypeSystem(self.runtime, self.modules.modules)
        system.instantiations = Unindexed(system)
        return system

    @cached_property
    def code(self) -> PreparedCodeLocator:
        """From addresses of code to methods, of images those that have been prepared."""
        from heaphound.runtime.unread_images import PreparedCodeLocator

        return PreparedCodeLocator(self.runtime, self.types)

    @cached_property
    def core_library(self) -> int:
        """Address of System.Private.CoreLib's Module, through System.Object."""
        table = self.runtime.global_value("ObjectMethodTable")
        return self.memory.pointer(table + self.layout.offset("MethodTable", "Module"))

    def pointer(self, address: int, type_name: str, field: str) -> int:
        """The pointer in a field of the structure at `address`."""
        return self.memory.pointer(address + self.layout.offset(type_name, field))


class Disagreement(LayoutError):
    """A self-check that does not find what the layout promises: not that the dump lacks it."""


def expect(agrees: bool, what: str) -> None:
    """Raise Disagreement with the sentence unless the dump agrees; LayoutError where the sentence says that memory is lacking."""
    if not agrees:
        raise LayoutError(f"self-check {what}") if ABSENT in what else Disagreement(f"self-check {what}")
