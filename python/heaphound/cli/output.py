"""Files that a command writes: never over an existing one unless told, and never half of one."""

import os
import tempfile
from pathlib import Path

from heaphound.errors import UsageError


def refuse_overwrite(path: Path, force: bool) -> None:
    """Raise `UsageError` if the file is there already; called before long work, not after it."""
    if path.is_dir():
        raise UsageError(f"{path} is a directory: name a file in it")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already: name another file, or add --force to replace it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}")


def write_file(path: Path, text: str, force: bool) -> None:
    """Write the whole text under another name beside it, then give it its name. Raises `UsageError` with the system's reason."""
    refuse_overwrite(path, force)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        # mkstemp makes it readable by its owner only, and so it stays: a report of a dump is as private as the dump.
        if force:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
            os.unlink(temporary)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
