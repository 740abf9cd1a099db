"""Does every shard still have its keys?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.smoke.subject import Subject
from tools import keycounts, keyspace
from tools.errors import ToolError
from tools.stack import PROJECT

pytestmark = [pytest.mark.needs("stack"), pytest.mark.needs("monitor")]


def test_keys(subject: Subject, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]) -> None:
    """No shard has lost keys in a restart or a failover."""
    assert subject.endpoint is not None
    assert subject.stack is not None
    try:
        shards = keyspace.read(subject.nodes, lambda node: subject.at(node, "monitor"), subject.endpoint)
        accept = pytestconfig.getoption("--accept-keys")
        report = keycounts.review(PROJECT, subject.stack, shards, accept=accept)
    except (ToolError, OSError) as problem:
        record_property("warning", f"the keys can't be compared: {problem}")
        return
    record_property("keys", report.summary)
    if report.warning:
        record_property("warning", report.warning)
    assert not report.failure, report.failure
