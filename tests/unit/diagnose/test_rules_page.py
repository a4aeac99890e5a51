"""The page of rules is what the rules' own documentation says."""

import sys
from collections.abc import Callable

from heaphound.diagnose.rules import RULES

HEADINGS = ("What it finds", "Why it is a leak", "Evidence", "What it cannot see")


def documentation(rule_find: Callable[..., object]) -> str:
    return sys.modules[rule_find.__module__].__doc__ or ""


def test_every_rule_has_the_four_headings() -> None:
    for rule in RULES:
        lines = documentation(rule.find).splitlines()
        assert [line for line in lines if line in HEADINGS] == list(HEADINGS), rule.id


def test_the_page_of_rules(golden: Callable[[str, str], None]) -> None:
    parts = ["# Rules\n\nGenerated from the rules' own documentation by `./dev docs`; a test compares.\n"]
    for rule in RULES:
        summary, _, rest = documentation(rule.find).strip().partition("\n\n")
        body = []
        for line in rest.splitlines():
            body.append(f"\n**{line}**\n" if line in HEADINGS else line.strip())
        text = "\n".join(body).strip()
        parts.append(f"## {rule.id}\n\n{summary}\n\n{text}\n")
    golden("docs/rules.md", "\n".join(parts))
