"""What the self-checks look at: one runtime and what is read from it, each read once."""

from functools import cached_property

from heaphound.errors import LayoutError
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.handles import HandleTable, read_handle_table
from heaphound.runtime.heap import GCHeap, read_heap
from heaphound.runtime.modules import ModuleList, read_module_list
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.threads import Thread, read_threads
from heaphound.runtime.typesystem import TypeSystem


class CheckSubject:
    """Parts of the runtime under check. Each property raises what its reader raises."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.memory = runtime.memory
        self.layout = runtime.layout

    @cached_property
    def heap(self) -> GCHeap:
        """The heap's structure."""
        return read_heap(self.runtime)

    @cached_property
    def threads(self) -> list[Thread]:
        """The managed threads."""
        return read_threads(self.runtime)

    @cached_property
    def handles(self) -> HandleTable:
        """The handle table."""
        return read_handle_table(self.runtime)

    @cached_property
    def modules(self) -> ModuleList:
        """The loaded modules."""
        return read_module_list(self.runtime)

    @cached_property
    def types(self) -> TypeSystem:
        """The type system."""
        return TypeSystem(self.runtime, self.modules.modules)

    @cached_property
    def code(self) -> CodeLocator:
        """From addresses of code to methods."""
        return CodeLocator(self.runtime, self.types)

    @cached_property
    def core_library(self) -> int:
        """Address of System.Private.CoreLib's Module, through System.Object."""
        table = self.runtime.global_value("ObjectMethodTable")
        return self.memory.pointer(table + self.layout.offset("MethodTable", "Module"))

    def pointer(self, address: int, type_name: str, field: str) -> int:
        """The pointer in a field of the structure at `address`."""
        return self.memory.pointer(address + self.layout.offset(type_name, field))


def expect(agrees: bool, what: str) -> None:
    """Raise LayoutError with the sentence unless the dump agrees."""
    if not agrees:
        raise LayoutError(f"self-check {what}")
