"""What gdb says of the native frames of a core: instruction and stack pointer of each, thread by thread."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.lab.runtimes import LabError

MAXIMUM_FRAMES = 200
# Runs inside of gdb. What was inlined, or left by a tail call (both known from debug information alone), is no frame of the stack.
SCRIPT = f"""
import gdb, json
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frames, frame = [], gdb.newest_frame()
    while frame is not None and len(frames) < {MAXIMUM_FRAMES}:
        try:
            if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
                frames.append([int(frame.pc()), int(frame.read_register("rsp")) & (1 << 64) - 1])
            frame = frame.older()
        except gdb.error:
            break
    print("frames " + json.dumps([thread.ptid[1], frames]))
"""


@cache
def gdb_program() -> str | None:
    """gdb with its Python, or None where it is not installed."""
    program = shutil.which("gdb")
    if program is None:
        return None
    done = subprocess.run([program, "-batch", "-ex", "python print('ready')"], check=False, capture_output=True, text=True, timeout=60)
    return program if "ready" in done.stdout else None


def gdb_frames(core: Path, executable: Path, directory: Path) -> dict[int, list[tuple[int, int]]]:
    """(instruction pointer, stack pointer) of every frame by OS thread id, innermost first. Raises LabError.

    Behind managed code, of which gdb knows nothing, its frames mean nothing. The script is written into `directory`.
    """
    program = gdb_program()
    if program is None:
        raise LabError("gdb is not installed; a test that needs it should not have been selected")
    script = directory / "frames.py"
    script.write_text(SCRIPT)
    options = ["-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off"]
    command = [program, *options, "-x", str(script), str(executable), str(core)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    rows = [json.loads(line.removeprefix("frames ")) for line in done.stdout.splitlines() if line.startswith("frames ")]
    if not rows:
        raise LabError(f"gdb said nothing of {core.name}: {done.stderr[-1000:]}")
    return {os_id: [(ip, sp) for ip, sp in frames] for os_id, frames in rows}
