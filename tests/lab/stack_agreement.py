"""How much of the stacks of a core, or of many, agrees with the oracle."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StackDifference:
    """One frame or root that only one side has. `place` is the method or class of the frame it is in."""

    os_id: int
    what: str
    side: str
    key: str
    place: str
    sp: str = ""
    """Of a root: the stack pointer of its frame."""
    slot: str = ""
    """Of a root: its address, or the register."""

    @property
    def category(self) -> str:
        """Differences of one kind."""
        return f"{self.what} only {self.side}: {re.sub('0x[0-9a-f]+', '', self.place)}"


@dataclass
class Agreement:
    """How much of one core or of many agrees."""

    threads: int = 0
    frames: int = 0
    roots: int = 0
    agreed_frames: int = 0
    agreed_roots: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    """Where threads were stopped: kind of code or class of Frame, and what holds it."""
    methods: Counter[str] = field(default_factory=Counter)
    """Methods on the stacks, with the kind of their code."""
    explicit_frames: Counter[str] = field(default_factory=Counter)
    """Frames of the runtime on the stacks, by class."""
    conservative: Counter[str] = field(default_factory=Counter)
    scanned_roots: int = 0
    """Roots of the oracle in frames that cannot be decoded, which the word by word scan of the frame found."""
    untold_roots: int = 0
    """Roots of ours in registers that the oracle cannot tell (`tests/lab/helper_states.py`)."""
    untold_arguments: int = 0
    """Roots of ours in arguments and returned structs that the oracle cannot tell (`tests/lab/untold_arguments.py`)."""
    misplaced_roots: int = 0
    """Roots of either side that differ because the oracle read a frame by native code's registers (`tests/lab/misplaced_roots.py`),
    or takes r8 for r9 (`tests/lab/swapped_registers.py`)."""
    unset_roots: int = 0
    """Roots of the oracle in frames that were not set up where the thread was stopped (`tests/lab/unset_frames.py`)."""
    interrupted_threads: int = 0
    """Threads in a signal's handler that interrupted managed code, compared from where the oracle's walk begins."""
    unwound_frames: int = 0
    """Frames that an exception in flight has unwound: neither side has roots in them."""
    unwound_helpers: int = 0
    """HelperMethodFrames that the runtime had unwound itself before the dump."""
    agreed_helpers: int = 0
    """Those of them for which unwinding by .eh_frame gives the same registers."""
    left_out: list[str] = field(default_factory=list)
    differences: list[StackDifference] = field(default_factory=list)

    def add(self, other: "Agreement") -> None:
        """Join another one's figures."""
        self.threads += other.threads
        self.frames += other.frames
        self.roots += other.roots
        self.agreed_frames += other.agreed_frames
        self.agreed_roots += other.agreed_roots
        self.stopped += other.stopped
        self.methods += other.methods
        self.explicit_frames += other.explicit_frames
        self.conservative += other.conservative
        self.scanned_roots += other.scanned_roots
        self.untold_roots += other.untold_roots
        self.untold_arguments += other.untold_arguments
        self.misplaced_roots += other.misplaced_roots
        self.unset_roots += other.unset_roots
        self.interrupted_threads += other.interrupted_threads
        self.unwound_frames += other.unwound_frames
        self.unwound_helpers += other.unwound_helpers
        self.agreed_helpers += other.agreed_helpers
        self.left_out += other.left_out
        self.differences += other.differences

    def record(self) -> dict[str, object]:
        """The figures for a file of results."""
        return {
            "threads": self.threads,
            "frames": self.frames,
            "agreed_frames": self.agreed_frames,
            "roots": self.roots,
            "agreed_roots": self.agreed_roots,
            "scanned_roots": self.scanned_roots,
            "untold_roots": self.untold_roots,
            "untold_arguments": self.untold_arguments,
            "misplaced_roots": self.misplaced_roots,
            "unset_roots": self.unset_roots,
            "interrupted_threads": self.interrupted_threads,
            "unwound_frames": self.unwound_frames,
            "unwound_helpers": self.unwound_helpers,
            "agreed_helpers": self.agreed_helpers,
            "scanned_frames": dict(self.conservative),
            "left_out": self.left_out,
            "explicit_frames": dict(self.explicit_frames),
            "methods": len(self.methods),
            "kinds_of_frames": dict(Counter(method.partition(":")[0] for method in self.methods.elements())),
            "differences": dict(Counter(difference.category for difference in self.differences)),
            "examples": [f"{one.os_id} {one.what} {one.side} {one.key} in {one.place}" for one in self.differences[:20]],
        }

    def lines(self) -> Iterator[str]:
        """What is not plain agreement, a line each."""
        for difference in self.differences:
            yield f"thread {difference.os_id}: {difference.what} only {difference.side}: {difference.key} in {difference.place}"
        for reason, count in self.conservative.items():
            yield f"{count} x conservative: {reason}"
        yield from self.left_out

    def __str__(self) -> str:
        figures = f"{self.threads} threads, frames {self.agreed_frames}/{self.frames}, roots {self.agreed_roots}/{self.roots}"
        rest = f"{sum(self.conservative.values())} frames scanned with {self.scanned_roots} roots"
        where = ", ".join(f"{count} {name}" for name, count in self.stopped.most_common())
        untold = f"{self.untold_roots} in registers and {self.untold_arguments} in arguments that the oracle cannot tell"
        left = f"{untold}, {self.misplaced_roots} that it misplaces, {self.unset_roots} of frames not set up, {len(self.left_out)} left out"
        return f"{figures}, {rest}, {left}; {len(self.methods)} methods; stopped in {where}"
