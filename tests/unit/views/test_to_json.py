"""JSON is one valid object whatever the dump held."""

import json
from io import StringIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heaphound.address import Address
from heaphound.results.answer import Answer
from heaphound.results.object import FieldRow, ObjectResult, Value
from heaphound.results.verify import Checksum
from heaphound.views.to_json import plain, write_json
from tests.unit import answers


def refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def written(verb: str, answer: Answer[Any]) -> dict[str, Any]:
    stream = StringIO()
    write_json(verb, answer, stream)
    assert stream.getvalue().isascii()
    assert stream.getvalue().endswith("}\n")
    parsed: dict[str, Any] = json.loads(stream.getvalue(), parse_constant=refused)
    return parsed


def test_the_envelope() -> None:
    assert list(written("modules", answers.MODULES)) == ["schema", "dump", "coverage", "result"]


def test_addresses_and_checksums_are_hexadecimal() -> None:
    result = written("verify", answers.VERIFY)["result"]
    assert result["walk_checksum"] == "0xf00dfeed12345678"
    assert result["problems"][0]["address"] == "0x7f0000100040"
    assert plain((Address(0), Checksum(2**64 - 1), 5, True)) == ["0x0", "0xffffffffffffffff", 5, True]


def test_rows_stand_on_lines_of_their_own() -> None:
    stream = StringIO()
    write_json("types", answers.TYPES, stream)
    rows = [line for line in stream.getvalue().splitlines() if '"method_table"' in line]
    assert len(rows) == len(answers.TYPES.result.types)


def test_the_same_facts_written_in_pieces_or_at_once() -> None:
    for answer in (answers.ANALYZE, answers.OBJECT, answers.HEAP, answers.PATH_ANSWER, answers.PATH_NONE):
        assert written("x", answer)["result"] == plain(answer.result)


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_any_value_of_a_field_is_valid(value: Value) -> None:
    result = ObjectResult(Address(1), "T", Address(2), 24, (FieldRow("f", "T", "U", 0, value),))
    shown = written("object", Answer(answers.DUMP, answers.COMPLETE, result))["result"]["fields"][0]["value"]
    assert shown == value or str(value) == shown
