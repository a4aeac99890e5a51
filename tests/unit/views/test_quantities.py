"""Numbers for people."""

import pytest

from heaphound.views.quantities import count, exact, share, size


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (81_000_000, "81.0 MB"),
        (2_510_123_456, "2.51 GB"),
        (2**64 - 1, "18.4 EB"),
        (-2_000, "-2.00 kB"),
    ],
)
def test_sizes_have_three_digits(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


def test_exact_sizes_name_both_forms_once() -> None:
    assert (exact(1), exact(999), exact(2_000)) == ("1 byte", "999 bytes", "2.00 kB (2000 bytes)")


def test_counts() -> None:
    assert (count(39_789_084), count(1, "heap"), count(2, "heap"), count(2, "entry", "entries")) == (
        "39,789,084",
        "1 heap",
        "2 heaps",
        "2 entries",
    )


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (1, 10_000, "< 1 %"),
        (7, 10, "70 %"),
        (10, 10, "100 %"),
        (99_999, 100_000, "99.99 %"),
        (9_999_999, 10_000_000, "99.99 %"),
        (1, 0, "-"),
    ],
)
def test_nothing_short_of_all_is_a_hundred_percent(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text
