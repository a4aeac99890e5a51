"""Frames of real arm64 code undone at each instruction of prologues and epilogues, where dumps rarely stop a thread."""

import pytest

from tests.lab.frames_arm64 import check_images

EVERY = 50  # `python -m tests.lab.frames_arm64` checks all functions


@pytest.mark.arm64
@pytest.mark.parametrize("runtime", ["3.1.2-arm64", "8.0.31-arm64", "10.0.11-arm64"])
def test_prologues_and_epilogues(runtime: str) -> None:
    outcome = check_images(runtime, EVERY)
    assert outcome.wrong == []
    assert outcome.left_out.total() == 0
    assert outcome.functions > 2000
    assert min(outcome.prologue_positions, outcome.epilogue_positions) > 3 * outcome.functions
    assert outcome.call_sites > outcome.methods > 2000
