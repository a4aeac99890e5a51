"""Text of a dump cannot steer a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from heaphound.views.names import split_namespace
from heaphound.views.printable import printable


def test_controls_direction_marks_and_half_pairs_are_escaped() -> None:
    assert printable("a\x1b[31m\u202eb\n\x7f\ud800\U000e0001c") == "a\\x1b[31m\\u202eb\\x0a\\x7f\\ud800\\U000e0001c"


def test_letters_of_any_script_stay() -> None:
    assert printable("Café.Größe<日本>") == "Café.Größe<日本>"


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    shown = printable(text)
    assert not [character for character in shown if unicodedata.category(character)[0] == "C"]
    shown.encode("utf-8")


def test_namespaces() -> None:
    assert split_namespace("System.Collections.Generic.List<System.String>") == ("System.Collections.Generic.", "List<System.String>")
    assert split_namespace("A.B+C<D.E>.F") == ("A.B+C<D.E>.", "F")
    assert split_namespace("Program") == ("", "Program")
    assert split_namespace("X.Y[]") == ("X.", "Y[]")


@given(st.text(alphabet="aB.<>[](),"))
def test_a_split_name_loses_nothing(name: str) -> None:
    assert "".join(split_namespace(name)) == name
