"""Sets of address ranges against a set of addresses."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from heaphound.dump.ranges import Ranges

RANGE = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(st.lists(RANGE, max_size=12), RANGE)
def test_like_a_set_of_addresses(pairs: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    ranges = Ranges(pairs)
    addresses = {address for start, end in pairs for address in range(start, end)}
    assert {address for start, end in ranges for address in range(start, end)} == addresses
    assert ranges.size_bytes == len(addresses)
    inside = addresses & set(range(*asked))
    assert ranges.overlap(*asked) == len(inside)
    assert {address for start, end in ranges.within(*asked) for address in range(start, end)} == inside
    assert ranges.covers(*asked) == (inside == set(range(*asked)))


@given(st.lists(RANGE, max_size=12))
def test_parts_are_disjoint_and_never_touch(pairs: list[tuple[int, int]]) -> None:
    parts = list(Ranges(pairs))
    assert all(start < end for start, end in parts)
    assert all(first[1] < second[0] for first, second in pairwise(parts))
