"""The number of keys of each shard, compared with the last one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stackctl import keycounts, keyspace
from stackctl.errors import StackError
from stackctl.stack import PROJECT
from tests.smoke.subject import Subject

pytestmark = [pytest.mark.needs("stack"), pytest.mark.needs("monitor")]


def test_keys(subject: Subject, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]) -> None:
    """No shard has lost keys in a restart or a failover."""
    assert subject.endpoint is not None
    assert subject.stack is not None
    try:
        shards = keyspace.read(subject.nodes, lambda node: subject.at(node, "monitor"), subject.endpoint)
        accept = pytestconfig.getoption("--accept-keys")
        report = keycounts.review(PROJECT, subject.stack, shards, accept=accept)
    except (StackError, OSError) as problem:
        record_property("warning", f"the keys can't be compared: {problem}")
        return
    record_property("keys", report.summary)
    if report.warning:
        record_property("warning", report.warning)
    assert not report.failure, report.failure
