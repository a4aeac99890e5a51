"""Absent pages of attached PE images as the files have them, the writable ones too: for tables that nobody writes.

A ready-to-run image keeps constant tables (code fragments, unwind information, GC and debug information) in a section that is writable as a
whole, because cells for addresses lie in it too. createdump's small modes leave out pages of it that were never touched. Whoever asks for
anything but such a table must not ask here: a page that was written and is not in the dump would show what it was before.
"""

from pathlib import Path

from heaphound.dump.backing import BackingReport
from heaphound.dump.core import Core
from heaphound.dump.memory import Memory


def with_file_contents(core: Core, report: BackingReport) -> Memory:
    """The core's memory, and below it the whole contents of every file that `attach_binaries` accepted for a managed image."""
    image = core.image
    for attached in report.attached:
        if not attached.path.endswith((".dll", ".exe")):
            continue
        size = Path(attached.file).stat().st_size
        mappings = [
            (mapping.start, min(mapping.end - mapping.start, size - mapping.file_offset), mapping.file_offset)
            for mapping in core.files
            if mapping.path == attached.path and mapping.file_offset < size
        ]
        image = image.with_backing(attached.file, mappings)
    return core.memory if image is core.image else Memory(image)
