"""The whole output of every command, as text in a pipe and as JSON, against files that a person has read."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from heaphound.views.to_json import VERSIONS
from tests.unit import answers, stack_answers
from tests.unit.cli.run import run

ADDRESS = "0x7efb42450758"
CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "analyze": (["analyze", "core.4242"], {}),
    "analyze-healthy": (["analyze", "core.4242"], {"analyze": answers.ANALYZE_HEALTHY}),
    "analyze-hostile": (["analyze", "core.4242"], {"analyze": answers.ANALYZE_HOSTILE}),
    "info": (["info", "core.4242"], {}),
    "memory": (["memory", "core.4242", "--ranges"], {}),
    "heap": (["heap", "core.4242"], {}),
    "types": (["types", "core.4242"], {}),
    "objects": (["objects", "core.4242"], {}),
    "object": (["object", "core.4242", ADDRESS], {}),
    "path": (["path", "core.4242", ADDRESS], {}),
    "path-dead": (["path", "core.4242", ADDRESS], {"path": answers.PATH_NONE}),
    "retained": (["retained", "core.4242"], {}),
    "retained-object": (["retained", "core.4242", ADDRESS], {"retained": answers.RETAINED_OBJECT}),
    "statics": (["statics", "core.4242"], {}),
    "roots": (["roots", "core.4242"], {}),
    "handles": (["handles", "core.4242"], {}),
    "handles-stat": (["handles", "core.4242", "--stat"], {"handles": answers.HANDLES_COUNTED}),
    "threads": (["threads", "core.4242"], {}),
    "threads-retained": (["threads", "core.4242", "--retained"], {"threads": stack_answers.THREADS_RETAINED}),
    "stack": (["stack", "core.4242"], {}),
    "stack-variables": (["stack", "core.4242", "-a"], {"stack": stack_answers.VARIABLES}),
    "stack-parallel": (["stack", "core.4242", "--parallel"], {"stack": stack_answers.PARALLEL}),
    "stack-native": (["stack", "core.4242", "--native"], {"stack": stack_answers.STACK_NATIVE}),
    "locks": (["locks", "core.4242"], {}),
    "exceptions": (["exceptions", "core.4242"], {}),
    "tasks": (["tasks", "core.4242"], {}),
    "modules": (["modules", "core.4242"], {}),
    "verify": (["verify", "core.4242"], {}),
    "cache": (["cache"], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_text_in_a_pipe(case: str, golden: Callable[[str, str], None]) -> None:
    arguments, replies = CASES[case]
    ran = run(*arguments, replies=replies)
    assert (ran.code, ran.err) == (0, "")
    golden(f"tests/golden/{case}.txt", ran.out)


@pytest.mark.parametrize("case", CASES)
def test_json(case: str, golden: Callable[[str, str], None]) -> None:
    arguments, replies = CASES[case]
    ran = run(*arguments, "--json", replies=replies)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["schema"] == f"heaphound/{arguments[0]}/{VERSIONS.get(arguments[0], 1)}"
    golden(f"tests/golden/{case}.json", ran.out)


@pytest.mark.parametrize("case", CASES)
def test_a_terminal_shows_every_address_and_name_of_the_pipe(case: str) -> None:
    arguments, replies = CASES[case]
    ran = run(*arguments, replies=replies, terminal=True)
    assert ran.code == 0
    assert "\x1b[31m\u202e" not in ran.out
    # Names may be folded over two lines of a cell; addresses may not.
    for address in [word for word in run(*arguments, replies=replies).out.split() if word.startswith("0x7")]:
        assert address in ran.out
