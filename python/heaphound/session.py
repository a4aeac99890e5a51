"""One opened dump: wires the layers together, each part read when it is first needed and kept. The only module that knows them all.

A part's reader is imported with it: to import all of them takes longer than `types` of a small dump.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from heaphound._core import Graph, Heap
from heaphound.dump.backing import BackingReport, attach_binaries
from heaphound.dump.core import Core, open_core
from heaphound.dump.disk_file import FileFinder
from heaphound.errors import DumpError, HeaphoundError, Malformed, Unreadable
from heaphound.progress import Progress, silent
from heaphound.runtime.find import find_runtime
from heaphound.runtime.heap import GCHeap, read_heap
from heaphound.runtime.heap_walk import heap_layout, walk_heap
from heaphound.runtime.modules import ModuleList, read_module_list
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.typesystem import TypeSystem

if TYPE_CHECKING:
    from heaphound.diagnose.subject import Subject
    from heaphound.dump.native_symbols import NativeSymbols
    from heaphound.graph.object_graph import ObjectGraph
    from heaphound.runtime.ability import Ability
    from heaphound.runtime.calls import CodeSearch
    from heaphound.runtime.code import CodeLocator
    from heaphound.runtime.delegates import SingleDelegate
    from heaphound.runtime.finalizer import FinalizerQueue
    from heaphound.runtime.handles import HandleTable
    from heaphound.runtime.objects import Objects
    from heaphound.runtime.roots import RootTable
    from heaphound.runtime.stack_roots import StackRoots
    from heaphound.runtime.stacks.frame_variables import FrameVariables
    from heaphound.runtime.stacks.il_maps import ILMaps
    from heaphound.runtime.stacks.mixed_walk import MixedWalker
    from heaphound.runtime.stacks.walk import StackWalker
    from heaphound.runtime.static_holders import StaticHolders
    from heaphound.runtime.statics import Static, StaticList
    from heaphound.runtime.symbols import SymbolStore
    from heaphound.runtime.sync_blocks import SyncBlock
    from heaphound.runtime.threads import Thread

PartT = TypeVar("PartT")


class Session:
    """The parts of one dump. Every property reads the dump once; it raises what its reader raises, but for sources of roots.

    A source of roots that cannot be read is left out and named in `incomplete`, with the reason: the graph is then of the others.
    """

    def __init__(
        self,
        path: str | Path,
        symbols: Sequence[str | Path] = (),
        binaries: Sequence[str | Path] = (),
        cache_directory: str | Path | None = None,
        progress: Progress = silent,
        system_roots: Sequence[str | Path] = (),
    ) -> None:
        self.progress = progress
        self.incomplete: list[str] = []
        opened = open_core(path, progress=progress, cache_directory=None if cache_directory is None else Path(cache_directory))
        self.core: Core
        self.backing: BackingReport
        self.core, self.backing = attach_binaries(
            opened, [Path(directory) for directory in binaries], [Path(root) for root in system_roots]
        )
        self._symbols, self._system_roots = symbols, system_roots
        self._files = FileFinder([Path(directory) for directory in binaries], True, [Path(root) for root in system_roots])

    @cached_property
    def symbols(self) -> SymbolStore:
        """Portable PDBs, in the directories that were given and beside the assemblies."""
        from heaphound.runtime.symbols import SymbolStore

        return SymbolStore(self._symbols, system_roots=self._system_roots)

    @cached_property
    def native_symbols(self) -> NativeSymbols:
        """Names of the functions of native images."""
        from heaphound.dump.native_symbols import NativeSymbols

        return NativeSymbols(self._files)

    def _root_source(self, name: str, read: Callable[[], PartT], absent: PartT) -> PartT:
        try:
            return read()
        except HeaphoundError as error:
            self.incomplete.append(f"{name}: {error}")
            return absent

    def _say_gaps(self, name: str, reasons: list[str]) -> None:
        """Note that a source of roots was read in part only."""
        if reasons:
            parts = "one part" if len(reasons) == 1 else f"{len(reasons)} parts"
            self.incomplete.append(f"{name}: {parts} could not be read, the first: {reasons[0]}")

    @cached_property
    def runtime(self) -> Runtime:
        """The CoreCLR of the process. Raises DumpError where the file was cut before what leads to it, else what `find_runtime` raises."""
        try:
            return find_runtime(self.core)
        except HeaphoundError as error:
            if self.core.truncation is None:
                raise
            reason = str(error).removeprefix(f"{self.core.path}: ")
            raise DumpError(f"{self.core.path}: {self.core.truncation}; so its runtime cannot be read: {reason}") from error

    @cached_property
    def abilities(self) -> tuple[Ability, ...]:
        """What can be done with this dump, each with the outcome of its self-checks."""
        from heaphound.runtime.self_checks import read_abilities

        return read_abilities(self.runtime, lambda: self.module_list)

    @cached_property
    def heap_abilities(self) -> tuple[Ability, ...]:
        """Those of `abilities` that a table of objects and types rests on, read alone where no other was asked for before."""
        from heaphound.runtime.heap_checks import HEAP_CHECKS, read_heap_abilities

        if "abilities" not in self.__dict__:
            return read_heap_abilities(self.runtime, lambda: self.module_list)
        about = {check.ability for check in HEAP_CHECKS}
        return tuple(ability for ability in self.abilities if ability.name in about)

    @cached_property
    def gc_heap(self) -> GCHeap:
        """Segments, generations, allocation contexts."""
        return read_heap(self.runtime)

    @cached_property
    def table(self) -> Heap:
        """The walked objects; O(heap)."""
        return walk_heap(self.runtime, self.gc_heap, self.progress)

    @cached_property
    def module_list(self) -> ModuleList:
        """Loaded modules."""
        return read_module_list(self.runtime)

    @cached_property
    def types(self) -> TypeSystem:
        """The type system; types of the heap are registered once the heap is walked."""
        return TypeSystem(self.runtime, self.module_list.modules)

    @cached_property
    def threads(self) -> list[Thread]:
        """Managed threads."""
        from heaphound.runtime.threads import read_threads

        return read_threads(self.runtime)

    def read_handles(self) -> HandleTable:
        """The GC handle table; raises what its reader raises."""
        from heaphound.runtime.handles import read_handle_table

        return read_handle_table(self.runtime)

    def read_finalizer_queue(self) -> FinalizerQueue:
        """The finalizer queue; raises what its reader raises."""
        from heaphound.runtime.finalizer import read_finalizer_queue

        return read_finalizer_queue(self.runtime, self.gc_heap)

    def read_statics(self) -> StaticList:
        """Statics and what of them could not be read; raises what its reader raises."""
        from heaphound.runtime.statics import read_static_list

        return read_static_list(self.runtime, self.types, threads=self.threads)

    @cached_property
    def handles(self) -> HandleTable:
        """The GC handle table."""
        from heaphound.runtime.handles import NO_HANDLES

        table = self._root_source("handles", self.read_handles, NO_HANDLES)
        self._say_gaps("handles", [f"{gap.address:#x}: {gap.reason}" for gap in table.gaps])
        return table

    @cached_property
    def finalizer_queue(self) -> FinalizerQueue:
        """Objects with finalizers, ready ones apart."""
        from heaphound.runtime.finalizer import NO_QUEUE

        queue = self._root_source("finalizer queue", self.read_finalizer_queue, NO_QUEUE)
        self._say_gaps("finalizer queue", [f"heap {gap.heap}: {gap.reason}" for gap in queue.gaps])
        return queue

    @cached_property
    def statics(self) -> tuple[Static, ...]:
        """Static and thread-static fields that hold references."""
        from heaphound.runtime.statics import StaticList

        found = self._root_source("statics", self.read_statics, StaticList((), ()))
        self._say_gaps("statics", [gap.reason for gap in found.gaps])
        return found.statics

    @cached_property
    def static_holders(self) -> StaticHolders:
        """Heap objects in which the runtime keeps statics."""
        from heaphound.runtime.static_holders import static_holders

        return static_holders(self.table, self.statics)

    @cached_property
    def code(self) -> CodeLocator:
        """From an address of code to its method."""
        from heaphound.dump.file_contents import with_file_contents
        from heaphound.runtime.code import CodeLocator

        return CodeLocator(self.runtime, self.types, with_file_contents(self.core, self.backing))

    @cached_property
    def stacks(self) -> StackWalker:
        """Walks the stacks of threads."""
        from heaphound.runtime.stacks.walk import StackWalker

        return StackWalker(self.runtime, self.code)

    @cached_property
    def mixed_stacks(self) -> MixedWalker:
        """The same with the frames of native code."""
        from heaphound.runtime.stacks.mixed_walk import MixedWalker

        return MixedWalker(self.stacks)

    @cached_property
    def il_maps(self) -> ILMaps:
        """IL offsets and source lines of frames."""
        from heaphound.runtime.stacks.il_maps import ILMaps

        return ILMaps(self.stacks.debug_infos, self.types, self.symbols)

    @cached_property
    def frame_variables(self) -> FrameVariables:
        """Arguments and locals of frames."""
        from heaphound.runtime.stacks.frame_variables import FrameVariables

        return FrameVariables(self.core.memory, self.code.methods, self.stacks.debug_infos, self.il_maps)

    @cached_property
    def objects(self) -> Objects:
        """Reads single objects: fields, elements, delegates, collections."""
        return self._objects(strings=True)

    @cached_property
    def objects_without_texts(self) -> Objects:
        """The same, with the texts of strings hidden."""
        return self._objects(strings=False)

    def _objects(self, strings: bool) -> Objects:
        from heaphound.runtime.objects import Objects

        secondaries = dict(zip(*(column.tolist() for column in self._dependent_handles()), strict=True))
        return Objects(self.runtime, self.types, method_name=self._method_name, dependent=secondaries.get, strings=strings)

    def _dependent_handles(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(handle, secondary object) of the dependent handles."""
        mask = self.handles.of_kind("Dependent")
        return self.handles.addresses[mask], self.handles.secondaries[mask]

    def _method_name(self, delegate: SingleDelegate) -> str | None:
        if delegate.method_desc is None:
            method = self.code.resolve(delegate.code)
            return None if method is None else method.full_name
        try:
            return self.code.methods.method(delegate.method_desc).full_name
        except (Unreadable, Malformed):
            return None

    @cached_property
    def sync_blocks(self) -> list[SyncBlock]:
        """Sync blocks in use."""
        from heaphound.runtime.sync_blocks import read_sync_blocks

        return read_sync_blocks(self.runtime, self.threads)

    def edge(self, source: int, target: int) -> str:
        """The first field or index of one object that refers to another, by address; in words where no field does."""
        names = self.objects.edge_names(source, target, 1)
        return names[0] if names else "(dependent handle or load context)"

    @cached_property
    def roots(self) -> RootTable:
        """All roots; those of stacks are exact where frames can be decoded."""
        from heaphound.runtime.roots import root_table

        stacks = self.stack_roots
        statics, handles, queue = self.statics, self.handles, self.finalizer_queue
        _ = self._load_context_edges  # adds to what is incomplete
        return root_table(statics, handles, queue, stacks, [*self.incomplete, *stacks.incomplete])

    @cached_property
    def stack_roots(self) -> StackRoots:
        """Roots of the stacks of managed threads; of all threads word by word where the runtime's threads or code cannot be read."""
        from heaphound.runtime.stack_roots import StackRoots, read_stack_roots
        from heaphound.runtime.stack_words import read_stack_words

        try:
            return read_stack_roots(self.core, self.stacks, self.threads, self.table, self.gc_heap)
        except HeaphoundError as error:
            words, missing = read_stack_words(self.core, self.table, self.gc_heap)
            conservative = f"stacks: every word that points into an object counts, also a stale one: {error}"
            return StackRoots((), tuple(words), (conservative, *missing))

    @cached_property
    def graph(self) -> ObjectGraph:
        """References, roots, dominators; O(references)."""
        from heaphound.graph.object_graph import NO_OBJECT, ObjectGraph

        layout = heap_layout(self.runtime.layout)
        edges = self._dependent_edges()
        graph = Graph.build(self.core.image, layout, self.table, edges, self._load_context_edges, progress=self.progress)
        roots, exact = self.roots, self.roots.exact()
        indices = self.table.indices_containing(roots.objects)
        found = indices != NO_OBJECT
        return ObjectGraph(self.table, graph, indices[exact & found], indices[~exact & found], self.progress)

    def _dependent_edges(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Object indices of primary and secondary of each dependent handle; a null secondary stays in, as no object."""
        from heaphound.graph.object_graph import NO_OBJECT

        mask = self.handles.of_kind("Dependent")
        sources, targets = self.table.indices_of(self.handles.objects[mask]), self.table.indices_of(self.handles.secondaries[mask])
        known = sources != NO_OBJECT
        return sources[known], targets[known]

    @cached_property
    def _load_context_edges(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """From each object of a collectible type to the LoaderAllocator that it keeps alive (no field holds that reference)."""
        table = self.table
        sources, targets = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        unread: set[str] = set()
        for type_index in np.flatnonzero(table.type_collectible).tolist():
            try:
                owner = self.types.loader_allocator_object(int(table.method_tables[type_index]))
            except (Unreadable, Malformed) as error:
                unread.add(f"what objects of a collectible type keep alive cannot be read: {error}")
                continue
            index = None if not owner else table.index_of(owner)
            if index is not None:
                sources.append(table.instances(type_index))
                targets.append(np.full(len(sources[-1]), index, np.uint32))
        self.incomplete.extend(f"load contexts: {reason}" for reason in sorted(unread))
        return np.concatenate(sources), np.concatenate(targets)

    @cached_property
    def code_search(self) -> CodeSearch:
        """Search in the IL of all modules that have any, with the PDBs that were found."""
        from heaphound.runtime.calls import CodeSearch
        from heaphound.runtime.code_modules import code_modules

        return CodeSearch(code_modules(self.module_list.modules, self.symbols))

    @cached_property
    def subject(self) -> Subject:
        """What the rules of the diagnosis may ask."""
        from heaphound.diagnose.subject import Subject

        return Subject(
            runtime=self.runtime,
            types=self.types,
            edges=self.objects.edges,
            containers=self.objects.containers,
            graph=self.graph,
            roots=self.roots,
            threads=self.threads,
            code=self.code,
            search=self.code_search,
        )
