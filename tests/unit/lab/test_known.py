"""The comparison itself must fail when it should."""

import pytest

from tests.dumps.known import Difference, Known, check, differences


def of_a(difference: Difference) -> bool:
    return difference.what == "a"


KNOWN_A = Known("a is known", of_a, frozenset({"zoo"}))


def test_differences_are_seen_on_both_sides() -> None:
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [Difference("a", 1, None), Difference("b", 2, 3), Difference("c", None, 4)]


def test_nothing_different_nothing_known() -> None:
    check("zoo", [], [])


def test_an_unexplained_difference_fails() -> None:
    with pytest.raises(AssertionError, match="1 differences"):
        check("zoo", differences({"a": 1, "b": 1}, {"a": 2, "b": 2}), [KNOWN_A])


def test_a_known_difference_passes() -> None:
    check("zoo", differences({"a": 1}, {"a": 2}), [KNOWN_A])


def test_a_known_difference_of_another_case_fails() -> None:
    with pytest.raises(AssertionError, match="1 differences"):
        check("redis", differences({"a": 1}, {"a": 2}), [KNOWN_A])


def test_a_known_difference_that_no_longer_occurs_fails() -> None:
    with pytest.raises(AssertionError, match="no longer occur"):
        check("zoo", [], [KNOWN_A])
