"""Parts of `tasks` that need no dump."""

import pytest

from heaphound.answers.async_bottoms import alike
from heaphound.answers.async_nodes import plain_name
from heaphound.answers.async_places import stored_states
from heaphound.answers.async_waits import duration
from heaphound.runtime.il import BY_NAME, instructions

STATE = 0x04000007


def test_a_name_loses_its_generic_arguments_wherever_they_stand() -> None:
    assert plain_name("A.ValueTask<System.Func<System.Int32, B>>+AsTask") == "A.ValueTask+AsTask"
    assert plain_name("A.Task+WhenAllPromise") == "A.Task+WhenAllPromise"


@pytest.mark.parametrize(("milliseconds", "text"), [(0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (5_400_000, "1.5 h"), (60_000, "1 min")])
def test_durations(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_the_first_store_of_a_state_is_the_await() -> None:
    def store(*constant: bytes) -> bytes:
        return b"".join([BY_NAME["ldarg.0"], *constant, BY_NAME["dup"], BY_NAME["stloc.0"], BY_NAME["stfld"], STATE.to_bytes(4, "little")])

    code = b"".join(
        [
            store(BY_NAME["ldc.i4.0"]),
            store(BY_NAME["ldc.i4.m1"]),
            store(BY_NAME["ldc.i4.s"], b"\x0c"),
            store(BY_NAME["ldc.i4.0"]),
            BY_NAME["ldc.i4.5"],
            BY_NAME["stfld"],
            (STATE + 1).to_bytes(4, "little"),
        ]
    )
    assert stored_states(list(instructions(code)), lambda token: token == STATE) == {0: 4, -1: 13, 12: 23}


def test_clients_are_alike_and_services_are_not() -> None:
    assert alike("receive on a socket at 0x7f01 (remote port 40001)") == alike("receive on a socket at 0x7f02 (remote port 50002)")
    assert alike("receive on a socket at 0x7f01 (remote port 5432)") != alike("receive on a socket at 0x7f02 (remote port 6379)")
