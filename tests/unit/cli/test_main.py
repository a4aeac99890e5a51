"""Errors become one sentence and an exit code; nothing else reaches the user."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from heaphound.cli.main import COMMANDS, main
from heaphound.errors import DumpError, HeaphoundError, Unreadable, UsageError
from tests.unit import answers
from tests.unit.cli.run import run
from tests.unit.conftest import REPOSITORY
from tests.unit.fake import FakeLibrary


def test_an_error_of_the_library_is_one_sentence_and_its_exit_code() -> None:
    ran = run("info", "core", replies={"info": DumpError("core is no ELF file:\nit begins with 'MZ'")})
    assert (ran.code, ran.out, ran.err) == (3, "", "heaphound: core is no ELF file: it begins with 'MZ'\n")


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("no such type"), 2), (Unreadable(0x10, 8), 3), (HeaphoundError("x"), 3), (KeyboardInterrupt(), 130)]
)
def test_exit_codes(error: BaseException, code: int) -> None:
    ran = run("verify", "core", replies={"verify": error})
    assert ran.code == code
    assert ran.err.strip().startswith("heaphound: ")
    assert ran.err.strip().count("\n") == 0


def test_a_bug_says_that_it_is_one_and_how_to_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEAPHOUND_DEBUG", raising=False)
    ran = run("heap", "core", replies={"heap": ZeroDivisionError("division by zero")})
    assert ran.code == 3
    assert "a bug in heaphound (ZeroDivisionError: division by zero)" in ran.err
    assert "HEAPHOUND_DEBUG=1" in ran.err
    assert "Traceback" not in ran.err


def test_the_traceback_is_there_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAPHOUND_DEBUG", "1")
    assert "Traceback" in run("heap", "core", replies={"heap": ZeroDivisionError("x")}).err


def test_text_of_a_dump_in_an_error_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in run("info", "core", replies={"info": DumpError("type \x1b[2Jgone")}).err


def test_lack_of_memory_is_no_bug() -> None:
    ran = run("types", "core", replies={"types": MemoryError()})
    assert ran.code == 3
    assert "not enough memory" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["object", "core"],
        ["object", "core", "zebra"],
        ["types", "core", "--min", "many"],
        ["types", "core", "--filter", "("],
        ["types", "core", "--live", "--dead"],
        ["statics", "core", "--sort", "weight"],
        ["retained", "core", "--limit", "-1"],
    ],
)
def test_usage_errors_are_two_and_ask_nothing(arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err
    assert ran.library.opened == []


def test_a_dump_without_a_command_gets_a_hint(tmp_path: Path) -> None:
    core = tmp_path / "core.1"
    core.touch()
    ran = run(str(core))
    assert ran.code == 2
    assert f"heaphound analyze {core}" in ran.err


def test_every_command_has_a_summary_and_help() -> None:
    for command in COMMANDS:
        assert command.short_help
        assert len(command.short_help) <= 70
        assert "In Python:" in (command.help or "")


PRELUDE = """
import sys
from dataclasses import replace
from heaphound.cli.main import main
from tests.unit import answers
from tests.unit.fake import FakeLibrary
"""


def test_a_closed_pipe_is_no_error() -> None:
    code = PRELUDE + "sys.exit(main(['types', 'core'], FakeLibrary()))"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run([sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, check=False, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("options", ["", ", '--json'"])
def test_an_answer_that_cannot_be_written_is_one_sentence(options: str) -> None:
    code = PRELUDE + f"sys.exit(main(['types', 'core'{options}], FakeLibrary()))"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False, cwd=REPOSITORY)
    words = b"heaphound: the answer cannot be written to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (3, words)


@pytest.mark.parametrize(
    ("closed", "code", "says"), [(">&-", 3, b"standard output is closed"), (">&- 2>&-", 3, b""), ("2>&- >/dev/null", 0, b"")]
)
def test_closed_streams(closed: str, code: int, says: bytes) -> None:
    program = PRELUDE + "sys.exit(main(['types', 'core'], FakeLibrary()))"
    command = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program]
    done = subprocess.run(command, capture_output=True, check=False, cwd=REPOSITORY)
    assert done.returncode == code
    assert says in done.stderr
    assert b"bug" not in done.stderr


@pytest.mark.parametrize("option", ["--symbols", "--binaries", "--sysroot"])
def test_a_directory_that_is_not_there_is_a_usage_error(option: str, tmp_path: Path) -> None:
    ran = run("types", "core", option, str(tmp_path / "absent"))
    assert ran.code == 2
    assert "does not exist" in ran.err


def test_output_that_the_stream_cannot_encode_is_escaped() -> None:
    code = PRELUDE + (
        "reply = replace(answers.INFO, dump=replace(answers.DUMP, process='B\u00fccher'))\n"
        "sys.exit(main(['info', 'core'], FakeLibrary({'info': reply})))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=REPOSITORY, env=environment)
    assert done.returncode == 0
    assert b"B\\xfccher" in done.stdout


def test_help_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    out = StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["--help"], FakeLibrary()) == 0
    assert [line.split()[0] for line in out.getvalue().split("Commands:\n")[1].splitlines()] == [command.name for command in COMMANDS]


def test_fail_on_sees_the_severity() -> None:
    assert run("analyze", "core", "--fail-on", "leak").code == 1
    assert run("analyze", "core").code == 0
    waste = {"analyze": answers.ANALYZE_HOSTILE}
    assert run("analyze", "core", "--fail-on", "leak", replies=waste).code == 0
    assert run("analyze", "core", "--fail-on", "waste", replies=waste).code == 1
    assert run("analyze", "core", "--fail-on", "waste", replies={"analyze": answers.ANALYZE_HEALTHY}).code == 0


def test_help_needs_neither_numpy_nor_the_kernel() -> None:
    """Completion runs the program at each press of a key."""
    program = (
        "import sys; from heaphound.cli.main import main; code = main(['types', '--help']); "
        "heavy = {'numpy', 'heaphound._core', 'heaphound.session'} & set(sys.modules); sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_opening_a_dump_imports_no_reader_of_stacks_and_no_rule() -> None:
    """To import every reader takes longer than `types` of a small dump."""
    program = (
        "import sys, heaphound; heaphound.open; import heaphound.answers.types, heaphound.runtime.heap_checks; "
        "heavy = ('heaphound.runtime.stacks', 'heaphound.runtime.code', 'heaphound.diagnose', 'heaphound.answers.analyze'); "
        "sys.exit(' '.join(name for name in sys.modules if name.startswith(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_panic_of_the_kernel_is_a_bug_too() -> None:
    """PyO3 raises it as a BaseException; Python would end with 1, which means that a leak was found."""
    panic = type("PanicException", (BaseException,), {})("index out of bounds")
    ran = run("heap", "core", replies={"heap": panic})
    assert ran.code == 3
    assert "a bug in heaphound (PanicException: index out of bounds)" in ran.err
