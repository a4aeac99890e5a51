"""The report is written whole or not at all, and over nothing."""

from pathlib import Path

import pytest

from heaphound.cli.output import write_file
from heaphound.errors import UsageError
from tests.unit.cli.run import run


def test_the_report_is_written_and_named(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    ran = run("analyze", "core", "--html", str(report))
    assert ran.code == 0
    assert f"Report   {report}\n" in ran.out
    assert report.read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_json_on_stdout_stays_pure_beside_a_report(tmp_path: Path) -> None:
    ran = run("analyze", "core", "--json", "--html", str(tmp_path / "r.html"))
    assert ran.out.startswith('{"schema"')
    assert ran.err == f"Wrote {tmp_path / 'r.html'}\n"


def test_an_existing_file_is_refused_before_the_work(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("mine")
    ran = run("analyze", "core", "--html", str(report))
    assert ran.code == 2
    assert "--force" in ran.err
    assert ran.library.opened == []
    assert report.read_text() == "mine"
    assert run("analyze", "core", "--html", str(report), "--force").code == 0
    assert report.read_text() != "mine"


def test_only_its_owner_may_read_a_report(tmp_path: Path) -> None:
    write_file(tmp_path / "report", "text", force=False)
    assert (tmp_path / "report").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["missing/report", "."])
def test_what_cannot_be_written_is_said_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        write_file(tmp_path / name, "text", force=True)
