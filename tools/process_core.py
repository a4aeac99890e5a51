"""A full core of a live .NET process, by the createdump that lies beside its libcoreclr.so."""

import subprocess
from pathlib import Path

from heaphound.errors import UsageError

SECONDS = 600
RUNTIME = "/libcoreclr.so"


def write_process_core(process_id: int, path: Path) -> None:
    """Dump the process, which goes on running, to `path`. Raises UsageError where it runs no .NET or cannot be dumped."""
    createdump = Path(f"/proc/{process_id}/root{_runtime(process_id)}").with_name("createdump")
    try:
        done = subprocess.run(
            [str(createdump), "--full", "-f", str(path), str(process_id)], check=False, capture_output=True, text=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"createdump of process {process_id}: {error}") from error
    if done.returncode != 0 or not path.is_file():
        raise UsageError(f"createdump of process {process_id} exited {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}")


def _runtime(process_id: int) -> str:
    """The path of the process's libcoreclr.so, in its own file system."""
    try:
        mappings = Path(f"/proc/{process_id}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"process {process_id} cannot be looked at: {error.strerror}") from error
    found = next((line.split(maxsplit=5)[5] for line in mappings if line.endswith(RUNTIME)), None)
    if found is None:
        raise UsageError(f"process {process_id} has no libcoreclr.so")
    return found
