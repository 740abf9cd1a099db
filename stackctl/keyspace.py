"""The keyspace: the number of keys of each shard, read from INFO without a scan."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import redis
from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.error_translation import REDIS_ERRORS
from valkeykit.url import Node, parse

from infra.drivers.topology.cluster import SLOTS
from infra.outputs import ENDPOINT, MONITOR_URL
from stackctl.errors import StackError
from stackctl.keycounts import ALL_SLOTS, KeyCount, ShardKeyCount

Open = Callable[[Node], redis.Redis]

_DATABASE = re.compile(r"db\d+$")


def of_stack(outputs: Mapping[str, Any]) -> list[ShardKeyCount]:
    """Count the keys of a stack.

    Raises:
        StackError: a shard can't be counted.
    """
    endpoint, monitor = Endpoint.from_dict(outputs[ENDPOINT]), parse(outputs[MONITOR_URL])

    def at(node: Node) -> redis.Redis:
        return connect(monitor.at(node), topology="single", ca=endpoint.ca, check_hostname=endpoint.check_hostname)

    return read(endpoint.nodes, at, endpoint)


def read(nodes: Sequence[Node], at: Open, endpoint: Endpoint) -> list[ShardKeyCount]:
    """Count the keys of each shard on its primary.

    nodes: those that can be connected to. at: opens a client of one node.

    Raises:
        StackError: a shard can't be counted.
    """
    names = _names(endpoint)
    try:
        members = {ALL_SLOTS: list(nodes)} if endpoint.topology in {"single", "replicated"} else _layout(nodes, at)
        return [_shard(slots, _infos(of_shard, at, names)) for slots, of_shard in members.items()]
    except (LookupError, TypeError, ValueError) as problem:  # a managed service may leave fields out
        raise StackError(f"unexpected reply from a server: {problem!r}") from problem


def _names(endpoint: Endpoint) -> dict[int, str]:
    """The names of containers, by their consecutive ports."""
    ports = sorted(node.port for node in endpoint.nodes) if endpoint.target == "docker" else []
    return {port: f"node-{number}" for number, port in enumerate(ports)}


def _layout(nodes: Iterable[Node], at: Open) -> dict[str, list[Node]]:
    """The nodes of each shard of a cluster, by its slots, as reported by a node that knows every slot."""
    reason: object = "no node knows every slot"
    for node in nodes:
        try:
            with contextlib.closing(at(node)) as client:
                shards = [_mapping(shard) for shard in client.execute_command("CLUSTER SHARDS")]
        except REDIS_ERRORS as problem:
            reason = problem
            continue
        ranges = {id(shard): list(zip(shard["slots"][::2], shard["slots"][1::2], strict=True)) for shard in shards}
        if sum(last - first + 1 for of_shard in ranges.values() for first, last in of_shard) == SLOTS:
            return {
                ",".join(f"{first}-{last}" for first, last in sorted(ranges[id(shard)])): _members(shard, node)
                for shard in shards
                if ranges[id(shard)]
            }
    raise StackError(f"the shards are unknown: {reason}")


def _members(shard: Mapping[str, Any], queried: Node) -> list[Node]:
    """The nodes of a shard that have not failed."""
    online = [node for node in map(_mapping, shard["nodes"]) if node["health"] != "fail"]
    return [Node(_host(node, queried), int(node.get("tls-port") or node["port"])) for node in online]


def _host(node: Mapping[str, Any], queried: Node) -> str:
    """A node that has not learned a name yet reports none, or a question mark."""
    return queried.host if node["endpoint"] in (None, "", "?") else str(node["endpoint"])


def _mapping(answer: Any) -> dict[str, Any]:
    """RESP2 has no maps."""
    return dict(answer) if isinstance(answer, Mapping) else dict(zip(answer[::2], answer[1::2], strict=True))


def _infos(nodes: Iterable[Node], at: Open, names: Mapping[int, str]) -> dict[str, dict[str, Any]]:
    """INFO of each node that responds, by its name."""
    infos = {}
    for node in nodes:
        with contextlib.suppress(*REDIS_ERRORS), contextlib.closing(at(node)) as client:
            infos[names.get(node.port, str(node))] = client.info()
    return infos


def _shard(slots: str, infos: Mapping[str, dict[str, Any]]) -> ShardKeyCount:
    primaries = [name for name, info in infos.items() if info.get("role") == "master" and not info.get("loading")]
    if not primaries:
        raise StackError(f"the primary of slots {slots} does not respond")
    primary = max(primaries, key=lambda name: int(infos[name].get("connected_slaves", 0)))
    count = _count(slots, primary, infos[primary])
    members = {name: _count(slots, name, info) for name, info in infos.items() if name != primary}
    diverged = {name: one.keys for name, one in members.items() if one.keys and one.history != count.history}
    return ShardKeyCount(count, float(infos[primary].get("uptime_in_seconds", "inf")), diverged)


def _count(slots: str, node: str, info: Mapping[str, Any]) -> KeyCount:
    databases = [value for name, value in info.items() if _DATABASE.match(name)]
    expiring = sum(database["expires"] for database in databases)
    left = sum(database["expires"] * database.get("avg_ttl", 0) for database in databases) / 1000
    keys = sum(database["keys"] for database in databases)
    return KeyCount(
        shard=slots,
        node=node,
        keys=keys,
        persistent=keys - expiring,
        ttl=left / expiring if expiring else 0.0,
        history=str(info.get("master_replid") or info.get("run_id", "")),  # a managed service may hide the first
        at=datetime.now(timezone.utc),
    )
