"""A directory that holds the file system of the dumped process, as a container's image or one of its layers does."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from heaphound.limits import LIMITS


def path_below(root: Path, path: str) -> Path | None:
    """Where `path` of the process lies below `root`: links are followed as the process would, so none leads out of `root`.

    None where a link leads in a circle (`LIMITS.symbolic_links`). Whether there is a file is not asked.
    """
    wanted = deque(path.split("/"))
    at: list[str] = []
    links = 0
    while wanted:
        part = wanted.popleft()
        if part in ("", "."):
            continue
        if part == "..":
            del at[-1:]
            continue
        try:
            target = os.readlink(root.joinpath(*at, part))
        except OSError:  # no link, or nothing there
            at.append(part)
            continue
        links += 1
        if links > LIMITS.symbolic_links:
            return None
        if target.startswith("/"):
            at = []
        wanted.extendleft(reversed(target.split("/")))
    return root.joinpath(*at)
