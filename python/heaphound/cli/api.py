"""What the commands ask of the library: what `heaphound.open` gives to Python users, named here so that tests can stand in for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from heaphound.progress import Progress, silent

if TYPE_CHECKING:
    from heaphound.results.analyze import AnalyzeResult
    from heaphound.results.answer import Answer
    from heaphound.results.cache import CacheResult
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


class Dump(Protocol):
    """An open dump. `limit` None means all rows."""

    def analyze(self) -> Answer[AnalyzeResult]: ...

    def info(self) -> Answer[InfoResult]: ...

    def memory(self, *, ranges: bool = False) -> Answer[MemoryResult]: ...

    def heap(self) -> Answer[HeapResult]: ...

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
    ) -> Answer[TypesResult]: ...

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
    ) -> Answer[ObjectsResult]: ...

    def object(self, address: int, *, strings: bool = False, limit: int | None = 100) -> Answer[ObjectResult]: ...

    def path(self, address: int, *, limit: int | None = 10) -> Answer[PathResult]: ...

    def retained(self, address: int | None = None, *, limit: int | None = 20) -> Answer[RetainedResult]: ...

    def statics(self, *, type_name: str | None = None, sort: str = "retained", limit: int | None = None) -> Answer[StaticsResult]: ...

    def roots(self, *, kind: str | None = None, thread: int | None = None, limit: int | None = None) -> Answer[RootsResult]: ...

    def handles(self, *, kind: str | None = None, statistics: bool = False, limit: int | None = None) -> Answer[HandlesResult]: ...

    def threads(self, *, retained: bool = False) -> Answer[ThreadsResult]: ...

    def stack(
        self,
        thread: int | str | None = None,
        *,
        parallel: bool = False,
        limit: int | None = None,
        native: bool = False,
        variables: bool = False,
        strings: bool = False,
    ) -> Answer[StackResult]: ...

    def locks(self) -> Answer[LocksResult]: ...

    def exceptions(self, *, strings: bool = False, limit: int | None = None) -> Answer[ExceptionsResult]: ...

    def modules(self) -> Answer[ModulesResult]: ...

    def tasks(
        self,
        *,
        limit: int | None = None,
        text: str | None = None,
        address: int | None = None,
        variables: bool = False,
        strings: bool = False,
    ) -> Answer[TasksResult]: ...

    def verify(self) -> Answer[VerifyResult]: ...


class Library(Protocol):
    """The part of the package `heaphound` that the commands use."""

    def open(
        self,
        path: str,
        symbols: Sequence[str] = (),
        binaries: Sequence[str] = (),
        cache_directory: str | None = None,
        progress: Progress = silent,
        system_roots: Sequence[str] = (),
    ) -> Dump:
        """Open a core dump."""

    def cache(self, directory: str | None = None, *, remove: bool = False) -> CacheResult:
        """List the cache of decompressed dumps, or empty it."""
