"""The command line as a user runs it: a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable


def heaphound_command(
    *arguments: str, before: Callable[[], None] | None = None, environment: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `heaphound` with `arguments`; `before` runs in the child first (resource limits)."""
    return subprocess.run(
        [sys.executable, "-m", "heaphound", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
        preexec_fn=before,
    )
