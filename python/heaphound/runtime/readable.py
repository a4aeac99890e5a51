"""Well-known value types as text: what DateTime, Guid, decimal and their like mean, out of their raw bytes.

Layouts: src/libraries/System.Private.CoreLib/src/System of 6.0 to 10.0; each is fixed by serialisation or interop and has not changed.
Dates follow the round-trip format ("O"), time spans the constant one ("c"), both invariant.
"""

from collections.abc import Callable
from struct import unpack
from typing import Final
from uuid import UUID

_TICKS_PER_SECOND = 10_000_000
_TICKS_PER_DAY = 86_400 * _TICKS_PER_SECOND
_TICKS_MASK = (1 << 62) - 1
_MAXIMUM_TICKS = 3_652_059 * _TICKS_PER_DAY  # 10000-01-01, DateTime.MaxValue's successor
_DAYS_TO_EPOCH = 719_162  # from 0001-01-01 to 1970-01-01
_UTC = 1
_MAXIMUM_SCALE = 28


def readable(name: str, raw: bytes) -> str | None:
    """Text of a value of the core library's type `name`; None when that type has no text here, or the bytes are no valid value of it."""
    form = _FORMS.get(name)
    if form is None or len(raw) != form[0]:
        return None
    return form[1](raw)


def readable_size(name: str) -> int | None:
    """Size in bytes of a type that `readable` knows; None for others."""
    form = _FORMS.get(name)
    return None if form is None else form[0]


def decimal_text(raw: bytes) -> str | None:
    """System.Decimal: flags (scale in bits 16-23, sign in bit 31), high 32 and low 64 bits of the integer."""
    flags, high, low = unpack("<IIQ", raw)
    scale = flags >> 16 & 0xFF
    if flags & 0x7F00FFFF or scale > _MAXIMUM_SCALE:
        return None
    digits = str(high << 64 | low).rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if flags >> 31 else text


def date_time_text(raw: bytes) -> str | None:
    """System.DateTime: 62 bits of ticks since 0001-01-01, two of kind. Local times have no suffix: the zone is not in the value."""
    (data,) = unpack("<Q", raw)
    text = _date_text(data & _TICKS_MASK)
    return None if text is None else text + ("Z" if data >> 62 == _UTC else "")


def date_time_offset_text(raw: bytes) -> str | None:
    """System.DateTimeOffset: offset in minutes, then the DateTime in UTC."""
    minutes, data = unpack("<h6xQ", raw)
    text = _date_text((data & _TICKS_MASK) + minutes * 60 * _TICKS_PER_SECOND)
    if text is None or abs(minutes) > 14 * 60:
        return None
    return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def time_span_text(raw: bytes) -> str:
    """System.TimeSpan: signed ticks of 100 ns, as [-][d.]hh:mm:ss[.fffffff]."""
    (ticks,) = unpack("<q", raw)
    sign, rest = ("-" if ticks < 0 else ""), abs(ticks)
    days, rest = divmod(rest, _TICKS_PER_DAY)
    text = _clock_text(rest)
    return f"{sign}{days}.{text}" if days else f"{sign}{text}"


def date_only_text(raw: bytes) -> str | None:
    """System.DateOnly: days since 0001-01-01."""
    (days,) = unpack("<i", raw)
    text = _date_text(days * _TICKS_PER_DAY)
    return None if text is None else text[:10]


def time_only_text(raw: bytes) -> str | None:
    """System.TimeOnly: ticks since midnight."""
    (ticks,) = unpack("<q", raw)
    return _clock_text(ticks) if 0 <= ticks < _TICKS_PER_DAY else None


def _date_text(ticks: int) -> str | None:
    if not 0 <= ticks < _MAXIMUM_TICKS:
        return None
    days, rest = divmod(ticks, _TICKS_PER_DAY)
    year, month, day = _civil(days)
    seconds, fraction = divmod(rest, _TICKS_PER_SECOND)
    return f"{year:04}-{month:02}-{day:02}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:07}"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day number in the proleptic Gregorian calendar, by eras of 400 years that start in March."""
    shifted = days - _DAYS_TO_EPOCH + 719_468
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + 400 * era + (month <= 2), month, day


def _clock_text(ticks: int) -> str:
    seconds, fraction = divmod(ticks, _TICKS_PER_SECOND)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:07}" if fraction else text


def _half_text(raw: bytes) -> str:
    value: float = unpack("<e", raw)[0]
    return repr(value)


_FORMS: Final[dict[str, tuple[int, Callable[[bytes], str | None]]]] = {
    "System.DateOnly": (4, date_only_text),
    "System.DateTime": (8, date_time_text),
    "System.DateTimeOffset": (16, date_time_offset_text),
    "System.Decimal": (16, decimal_text),
    "System.Guid": (16, lambda raw: str(UUID(bytes_le=raw))),
    "System.Half": (2, _half_text),
    "System.Int128": (16, lambda raw: str(int.from_bytes(raw, "little", signed=True))),
    "System.TimeOnly": (8, time_only_text),
    "System.TimeSpan": (8, time_span_text),
    "System.UInt128": (16, lambda raw: str(int.from_bytes(raw, "little"))),
}
