"""What long work tells whoever watches: a phase, how much is done, how much there is."""

from typing import Protocol


class Progress(Protocol):
    """A watcher of long work. Implementations print an ETA, or nothing."""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Report `done` of `total` units of `phase`; `total` 0 means unknown. May raise KeyboardInterrupt to stop the work."""


def silent(phase: str, done: int, total: int) -> None:
    """The watcher that ignores everything; the default of every call that takes one."""
