"""A library and a dump that answer from `answers` and remember what they were asked."""

from collections.abc import Callable, Sequence
from typing import Any

from heaphound.progress import Progress, silent
from tests.unit import answers, stack_answers, task_answers


class FakeDump:
    """Answers every verb; `asked` lists (verb, positional arguments, keyword arguments)."""

    def __init__(self, replies: dict[str, Any] | None = None) -> None:
        self.replies = {**REPLIES, **(replies or {})}
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb not in REPLIES:
            raise AttributeError(verb)

        def reply(*arguments: Any, **options: Any) -> Any:
            self.asked.append((verb, arguments, options))
            answered = self.replies[verb]
            if isinstance(answered, BaseException):
                raise answered
            return answered

        return reply


class FakeLibrary:
    """Opens the same fake dump for every path; `opened` lists what `open` was given."""

    def __init__(self, replies: dict[str, Any] | None = None) -> None:
        self.dump = FakeDump(replies)
        self.opened: list[dict[str, Any]] = []
        self.removed: list[bool] = []

    def open(
        self,
        path: str,
        symbols: Sequence[str] = (),
        binaries: Sequence[str] = (),
        cache_directory: str | None = None,
        progress: Progress = silent,
        system_roots: Sequence[str] = (),
    ) -> Any:
        given = {"symbols": tuple(symbols), "binaries": tuple(binaries), "system_roots": tuple(system_roots)}
        self.opened.append({"path": path, "cache_directory": cache_directory, **given})
        progress("walking the heap", 1, 2)
        return self.dump

    def cache(self, directory: str | None = None, *, remove: bool = False) -> Any:  # noqa: ARG002  # the signature of the library
        self.removed.append(remove)
        return answers.CACHE


REPLIES: dict[str, Any] = {
    "analyze": answers.ANALYZE,
    "info": answers.INFO,
    "memory": answers.MEMORY_ANSWER,
    "heap": answers.HEAP,
    "types": answers.TYPES,
    "objects": answers.OBJECTS,
    "object": answers.OBJECT,
    "path": answers.PATH_ANSWER,
    "retained": answers.RETAINED,
    "statics": answers.STATICS,
    "roots": answers.ROOTS,
    "handles": answers.HANDLES,
    "modules": answers.MODULES,
    "threads": stack_answers.THREADS,
    "stack": stack_answers.STACK,
    "locks": stack_answers.LOCKS,
    "exceptions": stack_answers.EXCEPTIONS,
    "tasks": task_answers.TASKS,
    "verify": answers.VERIFY,
}
