"""The rights of the user `monitor` in docs/integrations.md are those in the hardening table."""

from __future__ import annotations

import re

from infra.hardening import MONITOR, USERS
from stackctl.stack import PROJECT

PAGE = (PROJECT / "docs" / "integrations.md").read_text()
RULES = next(user.rules for user in USERS if user.name == MONITOR)


def commands(sentence: str) -> set[str]:
    """The commands that the sentence with this beginning names, as an ACL has them."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(sentence))
    return {f"+{name.lower().replace(' ', '|')}" for name in re.findall(r"`([A-Z ]+)`", line)}


def test_monitor_may_run_what_the_tools_need() -> None:
    needed = commands("This user reads statistics")
    assert len(needed) > 4
    assert needed - set(RULES.split()) == set()


def test_monitor_may_not_run_what_the_page_excludes() -> None:
    excluded = commands("It reads no values")
    assert len(excluded) > 2
    assert [rule for rule in RULES.split() if rule.startswith(tuple(excluded))] == []
