"""What a part of an answer lacks is told from what it has wrong."""

import pytest

from tests.lab.held import Differs, lacking_rows

WHOLE = {1: {"name": "A.B(System.Int32)", "context": "plugin", "size": 3}, 2: {"name": "C.D()", "context": None, "size": 4}}


def test_nothing_is_lacking_in_the_same() -> None:
    assert lacking_rows(WHOLE, WHOLE, "rows") is None


def test_rows_and_values_that_are_not_there_are_lacking() -> None:
    part = {1: {"name": "A.B(?)", "context": "<not in this dump>", "size": None}}
    expected = "1 of 2 rows, name of 1 of 2 rows, context of 1 of 2 rows, size of 1 of 2 rows"
    assert lacking_rows(part, WHOLE, "rows") == expected


@pytest.mark.parametrize(
    "part",
    [
        {1: {**WHOLE[1], "size": 0}},
        {1: {**WHOLE[1], "name": "A.E(?)"}},
        {1: {**WHOLE[1], "context": "other"}},
        {1: {"name": "A.B(System.Int32)"}},
        {3: WHOLE[1]},
    ],
)
def test_what_is_another_differs(part: dict[int, dict[str, object]]) -> None:
    with pytest.raises(Differs):
        lacking_rows(part, WHOLE, "rows")
