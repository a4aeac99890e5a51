"""The Python API: one call a verb, the same that the command line prints.

Each verb imports its answer when it is called: the parts of all of them take longer to import than `types` of a small dump to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heaphound.progress import Progress, silent
from heaphound.session import Session

if TYPE_CHECKING:
    import pyarrow

    from heaphound.dump.cache import CachedDump
    from heaphound.results.analyze import AnalyzeResult
    from heaphound.results.answer import Answer
    from heaphound.results.cache import CacheEntry, CacheResult
    from heaphound.results.exceptions import ExceptionsResult
    from heaphound.results.handles import HandlesResult
    from heaphound.results.heap import HeapResult
    from heaphound.results.info import InfoResult
    from heaphound.results.locks import LocksResult
    from heaphound.results.memory import MemoryResult
    from heaphound.results.modules import ModulesResult
    from heaphound.results.object import ObjectResult
    from heaphound.results.objects import ObjectsResult
    from heaphound.results.path import PathResult
    from heaphound.results.retained import RetainedResult
    from heaphound.results.roots import RootsResult
    from heaphound.results.stack import StackResult
    from heaphound.results.statics import StaticsResult
    from heaphound.results.tasks import TasksResult
    from heaphound.results.threads import ThreadsResult
    from heaphound.results.types import TypesResult
    from heaphound.results.verify import VerifyResult


class Dump:
    """An open dump. Each call is the verb of that name; `limit` None means all rows.

    Parts of the dump are read when a verb first needs them and kept, so that a second question is cheap. Every call may raise
    HeaphoundError: the dump lacks what the answer needs, and the message says what.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def analyze(self) -> Answer[AnalyzeResult]:
        """What is wrong, who holds it, which code, how to fix it."""
        from heaphound.answers.analyze import analyze

        return analyze(self.session)

    def info(self) -> Answer[InfoResult]:
        """Which runtime, where the knowledge of its structures comes from, what the dump holds and lacks."""
        from heaphound.answers.info import info

        return info(self.session)

    def memory(self, *, ranges: bool = False) -> Answer[MemoryResult]:
        """Where all bytes of the dump went; with `ranges` each stretch too."""
        from heaphound.answers.memory import memory

        return memory(self.session, ranges)

    def heap(self) -> Answer[HeapResult]:
        """Heaps, generations, segments or regions, allocation contexts."""
        from heaphound.answers.heap import heap

        return heap(self.session)

    def types(
        self,
        *,
        by: str = "type",
        live: bool = False,
        dead: bool = False,
        minimum_bytes: int | None = None,
        maximum_bytes: int | None = None,
        name: str | None = None,
        generation: str | None = None,
        sort: str = "size",
        limit: int | None = None,
    ) -> Answer[TypesResult]:
        """Count and bytes by `type`, `namespace`, `assembly` or `generation`; `name` is a regular expression, sizes are of one object."""
        from heaphound.answers.types import Filter, types

        return types(self.session, by, Filter(live, dead, minimum_bytes, maximum_bytes, generation), name, sort, limit)

    def objects(
        self,
        *,
        type_name: str | None = None,
        method_table: int | None = None,
        minimum_bytes: int | None = None,
        maximum_bytes: int | None = None,
        generation: str | None = None,
        sort: str = "address",
        limit: int | None = None,
    ) -> Answer[ObjectsResult]:
        """Objects, of one type where `type_name` (exactly) or `method_table` say so, sorted by `address`, `size` or `retained`."""
        from heaphound.answers.objects import objects
        from heaphound.answers.types import Filter

        chosen = Filter(minimum_bytes=minimum_bytes, maximum_bytes=maximum_bytes, generation=generation)
        return objects(self.session, type_name, method_table, chosen, sort, limit)

    def object(self, address: int, *, strings: bool = False, limit: int | None = 100) -> Answer[ObjectResult]:
        """One object from all sides; texts of strings only with `strings`."""
        from heaphound.answers.object import object as one_object

        return one_object(self.session, address, strings, limit)

    def path(self, address: int, *, limit: int | None = 10) -> Answer[PathResult]:
        """Shortest paths from roots to an object."""
        from heaphound.answers.path import path as paths

        return paths(self.session, address, limit)

    def retained(self, address: int | None = None, *, limit: int | None = 20) -> Answer[RetainedResult]:
        """The biggest owners, or what one object alone keeps alive and who alone keeps it."""
        from heaphound.answers.retained import retained

        return retained(self.session, address, limit)

    def statics(self, *, type_name: str | None = None, sort: str = "retained", limit: int | None = None) -> Answer[StaticsResult]:
        """Static and thread-static fields that hold references; sorted by `retained`, `type` or `slot`."""
        from heaphound.answers.statics import statics

        return statics(self.session, type_name, sort, limit)

    def handles(self, *, kind: str | None = None, statistics: bool = False, limit: int | None = None) -> Answer[HandlesResult]:
        """The GC handle table, or its statistics."""
        from heaphound.answers.handles import handles

        return handles(self.session, kind, statistics, limit)

    def roots(self, *, kind: str | None = None, thread: int | None = None, limit: int | None = None) -> Answer[RootsResult]:
        """What keeps objects alive from outside the heap, of one kind (`stack`, `static-field` ...) or one thread (by managed id)."""
        from heaphound.answers.roots import roots

        return roots(self.session, kind, thread, limit)

    def threads(self, *, retained: bool = False) -> Answer[ThreadsResult]:
        """Managed threads: state, locks, exception, what each waits for, 1,000 innermost frames; with `retained` what it alone holds."""
        from heaphound.answers.threads import threads

        return threads(self.session, retained=retained)

    def stack(
        self,
        thread: int | str | None = None,
        *,
        parallel: bool = False,
        limit: int | None = None,
        native: bool = False,
        variables: bool = False,
        strings: bool = False,
    ) -> Answer[StackResult]:
        """Stacks of one thread (managed or OS id, or name) or of all, `limit` innermost frames of each; `parallel` merges them into a tree.

        `native`: with the frames of native code, and the threads that run nothing else. `variables`: with each frame's arguments,
        locals and further references; texts of strings only with `strings`.
        """
        from heaphound.answers.stack import stack

        return stack(self.session, thread, parallel, limit, native, variables, strings)

    def locks(self) -> Answer[LocksResult]:
        """Locks held or waited for, and deadlocks."""
        from heaphound.answers.locks import locks

        return locks(self.session)

    def exceptions(self, *, strings: bool = False, limit: int | None = None) -> Answer[ExceptionsResult]:
        """Exception objects, those that threads hold first; messages only with `strings`."""
        from heaphound.answers.exceptions import exceptions

        return exceptions(self.session, strings, limit)

    def modules(self) -> Answer[ModulesResult]:
        """Loaded assemblies."""
        from heaphound.answers.modules import modules

        return modules(self.session)

    def tasks(
        self,
        *,
        limit: int | None = None,
        text: str | None = None,
        address: int | None = None,
        variables: bool = False,
        strings: bool = False,
    ) -> Answer[TasksResult]:
        """Async methods that wait, as logical stacks; alike ones together.

        `text` and `address` choose stacks with a method or type whose name contains it, and those through an object; with `variables`
        frames have arguments and locals, contents of strings only with `strings`. Raises UsageError for an address that none waits at.
        """
        from heaphound.answers.tasks import Choice, tasks

        return tasks(self.session, limit, Choice(text, address, variables, strings))

    def types_table(self) -> pyarrow.Table:
        """All types on the heap as an Arrow table: `type_index`, `method_table`, `name`, `count`, `size_bytes`."""
        from heaphound.answers.tables import types_table

        return types_table(self.session)

    def objects_table(self, *, retained: bool = False) -> pyarrow.Table:
        """All objects as an Arrow table: `address`, `type_index`, `size_bytes`; with `retained` also `retained_bytes` and `dominator`."""
        from heaphound.answers.tables import objects_table

        return objects_table(self.session, retained)

    def references_table(self, first: int = 0, stop: int | None = None) -> pyarrow.Table:
        """References of the objects of some rows of `objects_table`, as rows `source` and `target`."""
        from heaphound.answers.tables import references_table

        return references_table(self.session, first, stop)

    def verify(self) -> Answer[VerifyResult]:
        """Whether the heap makes sense, and checksums of all objects and references."""
        from heaphound.answers.verify import verify

        return verify(self.session)


def open(
    path: str | Path,
    symbols: Sequence[str | Path] = (),
    binaries: Sequence[str | Path] = (),
    cache_directory: str | Path | None = None,
    progress: Progress = silent,
    system_roots: Sequence[str | Path] = (),
) -> Dump:
    """Open a core dump, plain or compressed. `symbols` are directories of portable PDBs, `binaries` of images that the core lacks.

    `system_roots` hold the file system of the process, as a container's image or its layers do: images are then taken from their paths
    below these, not from the same paths on this machine.

    Raises DumpError when the file is no usable core. A runtime that cannot be read raises at the first verb that needs it.
    """
    return Dump(Session(path, symbols, binaries, cache_directory, progress, system_roots))


def cache(directory: str | Path | None = None, *, remove: bool = False) -> CacheResult:
    """The decompressed dumps that are kept for the next time; with `remove` they are deleted."""
    from heaphound.dump.cache import default_cache_directory, list_cache, remove_cached
    from heaphound.results.cache import CacheResult

    where = default_cache_directory() if directory is None else Path(directory)
    found = list_cache(where)
    if not remove:
        return CacheResult(str(where), tuple(_entry(dump) for dump in found))
    remove_cached(found)
    return CacheResult(str(where), tuple(_entry(dump) for dump in list_cache(where)), tuple(_entry(dump) for dump in found))


def _entry(dump: CachedDump) -> CacheEntry:
    from heaphound.results.cache import CacheEntry

    return CacheEntry(str(dump.path), dump.source, dump.size_bytes, dump.disk_bytes, dump.last_used, dump.partial)
