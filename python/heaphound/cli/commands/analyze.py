"""``heaphound analyze``: what is wrong, who holds it, which code, how to fix it."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.output import refuse_overwrite, write_file
from heaphound.cli.show import answer, show
from heaphound.views.page import Fact
from heaphound.views.to_text import write_page

if TYPE_CHECKING:
    from heaphound.results.analyze import AnalyzeResult

NAME = "analyze"
SUMMARY = "What is wrong, who holds it, which code, how to fix it"
HELP = """Say what is wrong with the memory of CORE: what piles up, who holds it, which code did it, and what to change.

Findings are ranked: the first is what to fix first. With --fail-on the exit code is 1 if there is such a finding (waste includes leak).

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.analyze().result.findings)"""
FAILING = {"leak": ("leak",), "waste": ("leak", "waste")}


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), metavar="FILE", help="Also write a report to forward: one self-contained page."
)
@click.option("--force", is_flag=True, help="Let --html replace an existing file.")
@click.option("--fail-on", type=click.Choice(("leak", "waste")), default=None, help="Exit with 1 if there is a finding of this severity.")
def command(options: DumpOptions, html_file: Path | None, force: bool, fail_on: str | None) -> int:
    """Print the diagnosis, write the page, and turn the findings into an exit code."""
    if html_file is not None:
        refuse_overwrite(html_file, force)
    answered = answer(options, lambda dump: dump.analyze())
    if html_file is not None:
        # jinja2 takes a while to import, and only the report needs it.
        from heaphound.views.to_html import html_page

        write_file(html_file, html_page(answered), force)
    show(NAME, options, answered)
    if options.json:
        if html_file is not None:
            print(f"Wrote {html_file}", file=sys.stderr)
    else:
        write_page(_where_next(options.core, answered.result, html_file), sys.stdout)
    return 1 if fail_on and any(finding.severity in FAILING[fail_on] for finding in answered.result.findings) else 0


def _where_next(core: str, result: AnalyzeResult, html_file: Path | None) -> list[Fact]:
    report = str(html_file) if html_file is not None else f"heaphound analyze {quote(core)} --html {quote(f'{Path(core).name}.html')}"
    next_steps = [Fact("Report", report)]
    held = next((finding.holder.address for finding in result.findings if finding.holder.address is not None), None)
    next_steps.append(Fact("More", f"heaphound retained {quote(core)}" if held is None else f"heaphound path {quote(core)} {held}"))
    return next_steps
