"""Well-known value types as text, against Python's own date and decimal arithmetic."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from struct import pack
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.runtime.readable import readable, readable_size
from heaphound.runtime.values import shortest_single

TICKS_OF_1970 = 621_355_968_000_000_000
KINDS = {0: "", 1: "Z", 2: "", 3: ""}


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59, 999_999)), st.sampled_from(sorted(KINDS)))
def test_dates(moment: datetime, kind: int) -> None:
    micros = (moment - datetime(1, 1, 1)) // timedelta(microseconds=1)
    raw = pack("<Q", micros * 10 | kind << 62)
    assert readable("System.DateTime", raw) == moment.isoformat(timespec="microseconds") + "0" + KINDS[kind]


def test_a_date_keeps_ticks_of_100_nanoseconds() -> None:
    assert readable("System.DateTime", pack("<Q", TICKS_OF_1970 + 7 | 1 << 62)) == "1970-01-01T00:00:00.0000007Z"
    assert datetime(1970, 1, 1, tzinfo=UTC).timestamp() == 0


@given(st.integers(min_value=0, max_value=date.max.toordinal() - 1))
def test_date_only(days: int) -> None:
    assert readable("System.DateOnly", pack("<i", days)) == date.fromordinal(days + 1).isoformat()


@given(st.integers(min_value=0, max_value=(1 << 96) - 1), st.integers(min_value=0, max_value=28), st.booleans())
def test_decimals(integer: int, scale: int, negative: bool) -> None:
    raw = pack("<IIQ", scale << 16 | negative << 31, integer >> 64, integer & 0xFFFFFFFFFFFFFFFF)
    with localcontext() as context:
        context.prec = 40
        expected = f"{Decimal(integer).scaleb(-scale):f}"
    assert readable("System.Decimal", raw) == ("-" if negative else "") + expected


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        ("System.TimeSpan", pack("<q", 905_000_000), "00:01:30.5000000"),
        ("System.TimeSpan", pack("<q", -3_024_000_000_000), "-3.12:00:00"),
        ("System.TimeSpan", pack("<q", -(1 << 63)), "-10675199.02:48:05.4775808"),
        ("System.TimeOnly", pack("<q", 863_980_000_000), "23:59:58"),
        ("System.TimeOnly", pack("<q", 864_000_000_000), None),
        ("System.Guid", UUID("00112233-4455-6677-8899-aabbccddeeff").bytes_le, "00112233-4455-6677-8899-aabbccddeeff"),
        ("System.Half", pack("<e", 1.5), "1.5"),
        ("System.Int128", b"\xff" * 16, "-1"),
        ("System.UInt128", b"\xff" * 16, str((1 << 128) - 1)),
        ("System.DateTimeOffset", pack("<h6xQ", -330, 638_569_376_400_000_000 + 14_160_000_000), "2024-07-18T17:07:36.0000000-05:30"),
        ("System.DateTimeOffset", pack("<h6xQ", 15 * 60, TICKS_OF_1970), None),
        ("System.DateTime", pack("<Q", (1 << 62) - 1), None),
        ("System.Decimal", pack("<IIQ", 29 << 16, 0, 1), None),
        ("System.Decimal", pack("<IIQ", 1, 0, 1), None),
        ("System.Guid", b"short", None),
        ("System.Int32", pack("<i", 1), None),
    ],
)
def test_texts(name: str, raw: bytes, text: str | None) -> None:
    assert readable(name, raw) == text


def test_sizes() -> None:
    assert readable_size("System.Guid") == 16
    assert readable_size("Zoo.Point") is None


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_single_precision_numbers_keep_their_value(value: float) -> None:
    assert pack("<f", shortest_single(value)) == pack("<f", value)


def test_single_precision_numbers_are_short() -> None:
    assert [repr(shortest_single(value)) for value in (0.7200000286102295, 0.3333333432674408, 1e20, float("inf"))] == [
        "0.72", "0.33333334", "1e+20", "inf",
    ]  # fmt: skip
