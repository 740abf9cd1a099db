"""Problems of Sentinels, from what they report."""

from __future__ import annotations

from typing import Any, cast

import pytest

from infra.drivers.topology import replication
from infra.drivers.topology.node_executor import NodeAddress, NodeExecutor

PRIMARY = NodeAddress("node-0", "10.0.0.1", 7000)
STATE = {"ip": "10.0.0.1", "port": "7000", "num-other-sentinels": "2", "flags": "master"}
SENTINELS = ["sentinel-0", "sentinel-1", "sentinel-2"]


class Reports:
    """A Sentinel's responses."""

    def __init__(self, replicas: list[dict[str, str]]) -> None:
        self._replicas = replicas

    def run(self, _node: str, *command: str) -> Any:
        return STATE if command[1] == "MASTER" else self._replicas


def replica(priority: str, flags: str = "slave") -> dict[str, str]:
    return {"port": "7001", "slave-priority": priority, "flags": flags}


@pytest.mark.parametrize(
    ("replicas", "problems"),
    [
        ([replica("100"), replica("0")], []),
        ([replica("0"), replica("0")], ["sentinel-0 knows no replica that can be promoted"]),
        ([replica("0"), replica("100", "s_down,slave")], ["sentinel-0 knows no replica that can be promoted"]),
        ([replica("100")], ["sentinel-0 knows 1 of 2 replicas"]),
    ],
)
def test_a_sentinel_has_a_replica_that_it_can_promote(replicas: list[dict[str, str]], problems: list[str]) -> None:
    executor = cast("NodeExecutor", Reports(replicas))
    assert list(replication.sentinel_problems(executor, SENTINELS, PRIMARY, 2))[: len(problems) or 1] == problems


@pytest.mark.parametrize(
    ("script", "problems"), [(True, []), (False, ["sentinel-0 would not demote a previous primary"])]
)
def test_a_sentinel_runs_its_script_after_a_failover(
    script: bool, problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if script:
        monkeypatch.setitem(STATE, "client-reconfig-script", "/data/demote-primary")
    executor = cast("NodeExecutor", Reports([replica("100")]))
    found = list(replication.sentinel_problems(executor, SENTINELS[:1], PRIMARY, 1, run_script=True))
    assert [problem for problem in found if "demote" in problem] == [f"{text} after a failover" for text in problems]
    assert replication.without_script(executor, SENTINELS) == ([] if script else SENTINELS)
