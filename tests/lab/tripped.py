"""A real HijackFrame on 3.1: Corpus, collecting all the time, with each thread held where a collection has caught it at its return.

    python -m tests.lab.tripped --cores 4

Before .NET 5 nothing native can be called so that a collection waits for it. So gdb writes a jump to itself over the beginning of
CommonTripThread (src/vm/threadsuspend.cpp), which OnHijackWorker calls once it has pushed its Frame: the thread stays there, and the
collection waits for ever. Symbols of 3.1's libcoreclr tell where that is. x64.
"""

import argparse
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import heaphound
from heaphound.runtime.stacks.frame import ExplicitFrame
from heaphound.session import Session
from tests.lab.corpus import BUILDS, SUSPENDING, Run, running_process, stop_and_dump
from tests.lab.runtimes import LabError
from tests.lab.stack_agreement import Agreement
from tests.lab.stack_comparison import compare_stacks

RUNTIME = "3.1.2"
SECONDS = 4.0  # until a collection has begun and some thread returns
_JUMP_TO_ITSELF = 0xFEEB


def tripped(run: Run, core: Path) -> Path:
    """A core of Corpus in which threads stand at a diverted return. Raises LabError."""
    with running_process(run) as process_id:
        hold = f"set {{unsigned short}}'CommonTripThread()' = {_JUMP_TO_ITSELF:#x}"
        command = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-p", str(process_id), "-ex", hold, "-ex", "detach"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        if "No symbol" in done.stderr or done.returncode != 0:
            raise LabError(f"gdb could not hold the threads of {run}: {done.stderr[-800:]}")
        stop_and_dump(run, process_id, SECONDS, core)
    return core


def hijack_frames(session: Session) -> Iterator[tuple[int, list[str]]]:
    """Each thread with a HijackFrame, and the types of what that protects."""
    for thread in session.threads:
        for frame in session.stacks.walk(thread):
            if isinstance(frame, ExplicitFrame) and frame.frame_type == "HijackFrame":
                held = [root for root in session.stack_roots.exact if root.frame is not None and root.frame.sp == frame.sp]
                yield thread.os_id or 0, [session.objects.read(root.object).type for root in held if root.os_id == thread.os_id]


def main() -> int:
    """Run from the command line; the exit status says whether everything agreed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=4)
    total = Agreement()
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(parser.parse_args().cores):
            run = Run(RUNTIME, BUILDS[number % len(BUILDS)], SUSPENDING, random.randrange(1, 100_000))
            core = tripped(run, Path(temporary) / "tripped.core")
            found = compare_stacks(core)
            print(f"{run}: {found}")
            for line in found.lines():
                print(f"    {line[:300]}")
            for os_id, held in hijack_frames(heaphound.open(str(core)).session):
                print(f"    thread {os_id}: HijackFrame protects {held or 'nothing'}", flush=True)
            total.add(found)
            core.unlink()
    print(f"== {total}")
    return 1 if total.differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
