"""How far native frames agree with gdb: frame by frame from where each thread stopped, up to managed code or to the thread's beginning.

    python -m tests.lab.native_agreement [--runtime 8.0.4 ...]

compares the dumps of Zoo, RedisLeak and Stacks of each runtime and prints one line a dump, and every difference.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from pathlib import Path

import heaphound
from heaphound.dump.native_frames import NativeFrame
from heaphound.runtime.stacks.frame import ManagedFrame, StackEnd
from tests.lab.dumps import Recipe, make_dump, redis_leak, zoo
from tests.lab.gdb import MAXIMUM_FRAMES, gdb_frames
from tests.lab.runtimes import runtime_root

_WITHOUT_CALL_FRAMES = "no call frame information covers"
_WITHOUT_FRAME = "to which no Frame of the runtime leads"


@dataclass
class NativeAgreement:
    """Of one core. `managed_frames` follow native frames that lead to them; `disagreements` are where a Frame says otherwise."""

    threads: int = 0
    frames: int = 0
    agreed: int = 0
    begun: int = 0
    """Threads whose native frames reach where the thread begins."""
    arrived: int = 0
    """Runs of native frames that lead to the managed frame that the runtime's Frame names."""
    unborn: int = 0
    """Threads in the first instructions of their life, in libc's clone, which has no call frame information there; gdb makes up a frame."""
    interrupted: int = 0
    """Threads that a signal has just stopped in managed code: no Frame tells of that yet either, and the stack says where it was."""
    differences: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare(core: Path, executable: Path, directory: Path) -> NativeAgreement:
    """Hold every thread of a core against gdb. Raises LabError."""
    session = heaphound.open(str(core)).session
    theirs = gdb_frames(core, executable, directory)
    managed = {thread.os_id: thread for thread in session.threads if thread.os_id}
    found = NativeAgreement()
    for registers in session.core.threads:
        found.threads += 1
        thread = managed.get(registers.os_id)
        items = list(session.mixed_stacks.walk(thread) if thread is not None else session.mixed_stacks.walk_native(registers.os_id))
        if len(items) == 1 and isinstance(items[0], NativeFrame) and _WITHOUT_CALL_FRAMES in (items[0].problem or ""):
            found.unborn += 1
            continue
        interrupted = any(isinstance(item, NativeFrame) and _WITHOUT_FRAME in (item.problem or "") for item in items)
        found.interrupted += interrupted
        said = [item.problem for item in items if isinstance(item, NativeFrame) and item.problem]
        found.problems += [f"thread {registers.os_id}: {problem}" for problem in said if _WITHOUT_FRAME not in problem]
        found.problems += [f"thread {registers.os_id}: {item.reason}" for item in items if isinstance(item, StackEnd)]
        code = [item for item in items if isinstance(item, ManagedFrame | NativeFrame)]
        found.arrived += sum(
            isinstance(inner, NativeFrame) and inner.problem is None and isinstance(outer, ManagedFrame) for inner, outer in pairwise(code)
        )
        found.begun += isinstance(items[-1], NativeFrame) and items[-1].problem is None
        first = list(takewhile(lambda item: not isinstance(item, ManagedFrame | StackEnd), items))
        ours = [(item.ip, item.sp) for item in first if isinstance(item, NativeFrame)][:MAXIMUM_FRAMES]
        whole = len(first) == len(items) and not interrupted
        other = theirs.get(registers.os_id, [])
        found.frames += len(ours)
        found.agreed += sum(one == two for one, two in zip(ours, other, strict=False))
        if ours != other[: len(ours)] or (whole and len(other) != len(ours)):
            shown = [[f"{ip:#x} at {sp:#x}" for ip, sp in side] for side in (ours, other[: len(ours) + 1])]
            found.differences.append(f"thread {registers.os_id}: ours {shown[0]}, gdb's {shown[1]}")
    return found


def recipes(runtime: str) -> list[Recipe]:
    """The programs that are compared."""
    stacks = [Recipe("Stacks", runtime, arguments) for arguments in (("blocked",), ("busy", "1"))]
    return [zoo(runtime), redis_leak(runtime), *stacks]


def main(arguments: list[str]) -> int:
    """Compare and print; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", nargs="+", default=["6.0.6", "8.0.4", "9.0.11", "10.0.11"])
    differences = 0
    for runtime in parser.parse_args(arguments).runtime:
        for recipe in recipes(runtime):
            with tempfile.TemporaryDirectory() as directory:
                found = compare(make_dump(recipe).path, runtime_root(runtime) / "dotnet", Path(directory))
            print(
                f"{recipe.name}: {found.threads} threads, {found.agreed} of {found.frames} frames agree, "
                f"{found.begun} threads to their beginning, {found.arrived} managed frames met"
            )
            for line in (*found.differences, *found.problems):
                print(f"  {line}")
            differences += len(found.differences)
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
