"""Numbers for people: sizes in decimal units, counts with separators, shares."""

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def size(size_bytes: int) -> str:
    """Three significant digits in decimal units: ``512 B``, ``81.0 MB``, ``2.51 GB``."""
    if abs(size_bytes) < 1000:
        return f"{size_bytes} B"
    value = size_bytes / 1000
    power = 0
    while abs(value) >= 999.5 and power < len(_UNITS) - 1:
        value /= 1000
        power += 1
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {_UNITS[power]}"


def exact(size_bytes: int) -> str:
    """Both forms: ``2.51 GB (2510123456 bytes)``; one of them where they say the same."""
    if abs(size_bytes) < 1000:
        return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"
    return f"{size(size_bytes)} ({size_bytes} bytes)"


def count(number: int, one: str = "", many: str = "") -> str:
    """``39,789,084`` or, with a noun, ``1 heap`` and ``8 heaps``."""
    noun = one if number == 1 else many or (f"{one}s" if one else "")
    return f"{number:,} {noun}".rstrip()


def share(part: int, whole: int) -> str:
    """``70 %``; a trace is ``< 1 %``, never ``0 %``, and nothing short of all is ``100 %``. A share of nothing is ``-``."""
    if whole <= 0:
        return "-"
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "< 1 %"
    if 99 < percent < 100:
        return f"{min(percent, 99.99):.2f} %"
    return f"{percent:.0f} %"
