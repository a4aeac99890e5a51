"""Recursion folded: the frames that are shown and those that are counted make the stack again."""

from hypothesis import given
from hypothesis import strategies as st

from heaphound.views.text.folding import MOST_METHODS, Fold, fold, join


def test_one_method() -> None:
    assert list(fold("ab" + "c" * 1000 + "d", str)) == [*"abcc", Fold(998, frozenset("c")), "d"]
    assert Fold(998, frozenset("c")).words() == "... 998 more frames of the same method"


def test_methods_that_call_each_other_in_any_order() -> None:
    folded = list(fold("x" + "abaab" * 20_000, str))
    assert folded == [*"xabaa", Fold(99_996, frozenset("ab"))]
    assert Fold(99_996, frozenset("ab")).words() == "... 99,996 more frames of the same 2 methods"


def test_what_is_short_or_of_many_methods_stays() -> None:
    assert list(fold("aaaaa", str)) == [*"aaaaa"]
    assert list(fold("ab" + "c" * 20 + "ab", str)) == [*"abcc", Fold(18, frozenset("c")), *"ab"]
    many = [str(number) for number in range(MOST_METHODS + 1)] * 10
    assert list(fold(many, str)) == many


def test_what_a_limit_cut_joins_the_recursion() -> None:
    before, behind = fold("a" * 100, str), fold("aab", str)
    assert list(join(before, Fold(99_900, frozenset("a")), behind, str)) == ["a", "a", Fold(100_000, frozenset("a")), "b"]
    assert list(join(fold("ab", str), Fold(7, frozenset()), fold("bc", str), str)) == ["a", "b", Fold(7, frozenset()), "b", "c"]
    assert Fold(7, frozenset()).words() == "... 7 more frames"


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(0, 5))
def test_nothing_is_lost(frames: list[str], cut: int) -> None:
    items = list(join(fold(frames, str), Fold(cut, frozenset("ab")) if cut else None, fold(frames, str), str))
    assert sum(item.frames if isinstance(item, Fold) else 1 for item in items) == 2 * len(frames) + cut
    assert all(item.frames > 0 for item in items if isinstance(item, Fold))
