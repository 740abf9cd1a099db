"""Whether idle times or frequencies are carried over depends on both policies."""

from __future__ import annotations

from typing import Any

import pytest
from valkeykit.url import Node
from valkeykit_ops.migrate.key_usage import Usage, carried_usage, usage_check
from valkeykit_ops.migrate.migration_server import Primary


class PolicyServer:
    """A server with a policy."""

    def __init__(self, policy: str, *, avoids_touching: bool = True) -> None:
        self._policy = policy
        self.avoids_touching = avoids_touching

    def primaries(self) -> list[Primary]:
        return [Primary(Node("a", 1))]

    def sizes(self) -> dict[int, int]:
        return {}

    def info(self, *_: object) -> dict[str, str]:
        return {"maxmemory_policy": self._policy}

    def command(self, *_: object) -> Any:
        raise AssertionError("no command is needed")


@pytest.mark.parametrize(
    ("source", "target", "usage"),
    [
        ("allkeys-lru", "noeviction", "IDLETIME"), ("volatile-lru", "allkeys-lru", "IDLETIME"),
        ("allkeys-lru", "allkeys-lfu", None), ("allkeys-lfu", "volatile-lfu", "FREQ"),
        ("allkeys-lfu", "noeviction", None), ("noeviction", "allkeys-lru", None), ("volatile-ttl", "noeviction", None),
    ],
)  # fmt: skip
def test_what_is_carried_over(source: str, target: str, usage: Usage | None) -> None:
    assert carried_usage(PolicyServer(source), PolicyServer(target)) == usage


def test_a_source_that_does_not_evict_by_use_needs_no_check() -> None:
    assert usage_check(PolicyServer("noeviction", avoids_touching=False), PolicyServer("noeviction")) == []


@pytest.mark.parametrize(("avoids_touching", "ok"), [(True, True), (False, None)])
def test_a_source_where_reading_counts_as_use(avoids_touching: bool, ok: bool | None) -> None:
    (check,) = usage_check(PolicyServer("allkeys-lru", avoids_touching=avoids_touching), PolicyServer("noeviction"))
    assert check.ok is ok
    assert ("reading counts as use" in check.text) is not avoids_touching
