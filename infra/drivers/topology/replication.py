"""Replication: roles and problems of a primary, its replicas and Sentinels, and planned failover.

The Sentinels decide which node is the primary: a primary that returns after a failover still reports itself as one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from valkeykit.endpoint import SERVICE

from infra.drivers.topology import pause
from infra.drivers.topology.node_executor import (
    CommandRejectedError,
    NodeAddress,
    NodeExecutor,
    NotRespondingError,
    info,
    is_reachable,
    reachable,
    wait_until,
)
from infra.drivers.topology.pause import Pause
from infra.errors import ProvisioningError

DOWN_AFTER_MILLISECONDS = 3000
SENTINEL_FAILOVER_TIMEOUT_MILLISECONDS = 5_000
"""After a failed attempt, as when all nodes have just started, Sentinels wait twice as long."""

REPLICATION_TIMEOUT_SECONDS = 30.0
ORDER_TIMEOUT_SECONDS = 5.0
PROMOTION_TIMEOUT_SECONDS = 15.0
PROMOTION_ATTEMPTS = 2
"""Sentinels give up a promotion that takes longer than their own timeout, as on a busy machine."""

SYNC_TIMEOUT_SECONDS = 900.0
SENTINEL_TIMEOUT_SECONDS = 60.0

_FENCE = "min-replicas-to-write"
_SCRIPT = "client-reconfig-script"


def sentinel_conf(primary: NodeAddress, sentinels: int, user: str, password: str) -> str:
    """A Sentinel's configuration of the deployment; it contains a secret."""
    return "\n".join(
        [
            f"sentinel {' '.join(_monitoring(primary, sentinels))}",
            *(f"sentinel {name} {SERVICE} {value}" for name, value in _settings(user, password).items()),
            f"sentinel sentinel-user {user}",
            f"sentinel sentinel-pass {password}",
            "",
        ]
    )


def _monitoring(primary: NodeAddress, sentinels: int) -> tuple[str, ...]:
    quorum = sentinels // 2 + 1
    return "monitor", SERVICE, primary.host, str(primary.port), str(quorum)


def _settings(user: str, password: str) -> dict[str, str]:
    return {
        "down-after-milliseconds": str(DOWN_AFTER_MILLISECONDS),
        "failover-timeout": str(SENTINEL_FAILOVER_TIMEOUT_MILLISECONDS),
        "auth-user": user,
        "auth-pass": password,
    }


def sentinel_commands(user: str, password: str) -> list[tuple[str, ...]]:
    """Commands that apply the settings of `sentinel_conf` to a running Sentinel; it logs in again."""
    settings = [word for pair in _settings(user, password).items() for word in pair]
    return [
        ("SENTINEL", "SET", SERVICE, *settings),
        ("SENTINEL", "CONFIG", "SET", "sentinel-user", user),
        ("SENTINEL", "CONFIG", "SET", "sentinel-pass", password),
    ]


def monitor(executor: NodeExecutor, sentinel: str, primary: NodeAddress, sentinels: int) -> None:
    """Reset a running Sentinel and have it monitor this primary; it needs its settings again."""
    with contextlib.suppress(CommandRejectedError):  # it monitors none
        executor.run(sentinel, "SENTINEL", "REMOVE", SERVICE)
    executor.run(sentinel, "SENTINEL", *_monitoring(primary, sentinels))


def primary_by_sentinels(
    executor: NodeExecutor, sentinels: Sequence[str], nodes: Sequence[NodeAddress]
) -> NodeAddress | None:
    """The primary that most of the responding Sentinels report; None if none does."""
    named: Counter[str] = Counter()
    for sentinel in sentinels:
        with contextlib.suppress(CommandRejectedError, NotRespondingError):
            if address := executor.run(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE):
                named[":".join(address)] += 1
    by_address = {node.address: node for node in nodes}
    return next((by_address[address] for address, _ in named.most_common() if address in by_address), None)


def primary_of(executor: NodeExecutor, node: NodeAddress, nodes: Sequence[NodeAddress]) -> NodeAddress | None:
    """The primary that a node replicates from; None if it isn't a replica, or has lost its primary."""
    with contextlib.suppress(CommandRejectedError, NotRespondingError):
        state = info(executor, node.name, "replication")
        if state.get("master_link_status") == "up":
            primary = next((other for other in nodes if _follows(state, other)), None)
            return primary if primary and role(executor, primary) == "master" else None
    return None


def self_reported_primary(executor: NodeExecutor, nodes: Sequence[NodeAddress]) -> NodeAddress | None:
    """The only node that reports itself as a primary; None if none or several do."""
    primaries = [node for node in reachable(executor, nodes) if role(executor, node) == "master"]
    return primaries[0] if len(primaries) == 1 else None


def role(executor: NodeExecutor, node: NodeAddress) -> str:
    """`master` or `slave`."""
    return info(executor, node.name, "replication")["role"]


def attach_replicas(executor: NodeExecutor, primary: NodeAddress, nodes: Sequence[NodeAddress]) -> None:
    """Make every other node a replica of the primary, and wait until it is."""
    wait_until(
        lambda: role(executor, primary) == "master",
        REPLICATION_TIMEOUT_SECONDS,
        f"{primary.name} doesn't become the primary",
    )
    for node in nodes:
        if node != primary:  # a Sentinel that does the same closes the node's connections
            wait_until(
                partial(_is_attached, executor, node, primary),
                REPLICATION_TIMEOUT_SECONDS,
                f"{node.name} doesn't follow",
            )


def _is_attached(executor: NodeExecutor, node: NodeAddress, primary: NodeAddress) -> bool:
    follows = _follows(info(executor, node.name, "replication"), primary)
    return follows or executor.run(node.name, "REPLICAOF", primary.host, str(primary.port)) is not None


def wait_until_attached(executor: NodeExecutor, primary: NodeAddress, count: int) -> None:
    """Wait until the replicas are connected to the primary; they may not have its data yet."""
    wait_until(
        lambda: int(info(executor, primary.name, "replication")["connected_slaves"]) >= count,
        SENTINEL_TIMEOUT_SECONDS,
        f"not all replicas reach {primary.name}",
    )


def wait_until_in_sync(executor: NodeExecutor, primary: NodeAddress, nodes: Sequence[NodeAddress]) -> None:
    """Wait until every replica has the primary's data."""
    wait_until(
        lambda: not any(replication_problems(executor, primary, nodes)),
        SYNC_TIMEOUT_SECONDS,
        f"not every replica follows {primary.name}",
    )


def replication_problems(executor: NodeExecutor, primary: NodeAddress, nodes: Sequence[NodeAddress]) -> Iterator[str]:
    """Problems of the replicas, a line each."""
    for node in nodes:
        if node == primary:
            continue
        state = info(executor, node.name, "replication")
        if not _follows(state, primary):
            yield f"{node.name} doesn't follow {primary.name}"
        elif state["master_link_status"] != "up":
            yield f"{node.name} has lost {primary.name}"


def sentinel_problems(
    executor: NodeExecutor, sentinels: Sequence[str], primary: NodeAddress, replicas: int, *, run_script: bool = False
) -> Iterator[str]:
    """Problems of the Sentinels, a line each. run_script: each must run one after a failover."""
    for sentinel in sentinels:
        state = executor.run(sentinel, "SENTINEL", "MASTER", SERVICE)
        others = int(state["num-other-sentinels"])
        # A client that copies the data for a backup stays listed as a replica without a port.
        known = [replica for replica in executor.run(sentinel, "SENTINEL", "REPLICAS", SERVICE) if int(replica["port"])]
        if f"{state['ip']}:{state['port']}" != primary.address:
            yield f"{sentinel} reports another node as the primary"
        if others != len(sentinels) - 1:
            yield f"{sentinel} knows {others} of {len(sentinels) - 1} other Sentinels"
        if len(known) != replicas:
            yield f"{sentinel} knows {len(known)} of {replicas} replicas"
        elif replicas and not any(map(_is_promotable, known)):
            yield f"{sentinel} knows no replica that can be promoted"
        if state["flags"] != "master":
            yield f"{sentinel} reports that the primary is {state['flags']}"
        if run_script and _SCRIPT not in state:
            yield f"{sentinel} would not demote a previous primary after a failover"


def without_script(executor: NodeExecutor, sentinels: Sequence[str]) -> list[str]:
    """Those that run no script after a failover. Only a restart sets it: the server rejects it at runtime."""
    return [name for name in sentinels if _SCRIPT not in executor.run(name, "SENTINEL", "MASTER", SERVICE)]


def _is_promotable(replica: dict[str, str]) -> bool:
    """As the Sentinel knows it: it asks a replica for its priority every 10 s, which is 0 until it is in sync."""
    return replica["flags"] == "slave" and replica["slave-priority"] != "0"


def wait_until_monitored(executor: NodeExecutor, sentinels: Sequence[str], primary: NodeAddress, replicas: int) -> None:
    """Wait until every Sentinel knows the primary, the other Sentinels and every replica."""
    wait_until(
        lambda: not any(sentinel_problems(executor, sentinels, primary, replicas)),
        SENTINEL_TIMEOUT_SECONDS,
        "the Sentinels don't know all nodes yet",
    )


def fail_over(
    executor: NodeExecutor, sentinels: Sequence[str], nodes: Sequence[NodeAddress], primary: NodeAddress
) -> NodeAddress:
    """Have the Sentinels promote a replica; no acknowledged write of a running primary is lost.

    Raises:
        ProvisioningError: no replica can be made the primary.
    """
    live = reachable(executor, nodes)
    if primary not in live:
        return _promote(executor, sentinels, nodes, primary, lambda: True)
    replicas = [node for node in live if node != primary]
    wait_until_in_sync(executor, primary, live)
    # The fence first: during a long pause, which blocks their PUBLISH, Sentinels promote a replica themselves.
    with _fenced(executor, primary, len(replicas)), pause.hold_writes(executor, primary.name) as held:
        is_caught_up = partial(_is_caught_up, executor, primary, replicas, held)
        wait_until(is_caught_up, REPLICATION_TIMEOUT_SECONDS, f"the replicas don't catch up with {primary.name}")
        held.extend()
        successor = _promote(executor, sentinels, nodes, primary, lambda: held.is_unbroken or is_caught_up())
        # Before writers continue, so that the previous primary rejects them.
        attach_replicas(executor, successor, live)
    return successor


def _is_caught_up(executor: NodeExecutor, primary: NodeAddress, replicas: Sequence[NodeAddress], held: Pause) -> bool:
    """Whether every replica has all that the primary has acknowledged, and no write has come in between."""
    held.begin()
    written = int(info(executor, primary.name, "replication")["master_repl_offset"])
    return all(_offset(executor, node) >= written for node in replicas) and held.is_unbroken


@contextlib.contextmanager
def _fenced(executor: NodeExecutor, primary: NodeAddress, replicas: int) -> Iterator[None]:
    """Make the primary reject writes as soon as one of its replicas is promoted: if this process is killed, the pause
    ends long before the Sentinels demote the primary.
    """
    previous = str(executor.run(primary.name, "CONFIG", "GET", _FENCE)[_FENCE])
    executor.run(primary.name, "CONFIG", "SET", _FENCE, str(max(replicas, int(previous))))
    try:
        yield
    finally:
        with contextlib.suppress(CommandRejectedError, NotRespondingError):
            executor.run(primary.name, "CONFIG", "SET", _FENCE, previous)


def wait_for_primary(
    executor: NodeExecutor,
    sentinels: Sequence[str],
    nodes: Sequence[NodeAddress],
    other_than: NodeAddress | None = None,
    seconds: float = REPLICATION_TIMEOUT_SECONDS,
) -> NodeAddress:
    """Wait until the Sentinels report a primary that reports itself as one.

    Raises:
        ProvisioningError: they don't within that time.
    """
    promoted: list[NodeAddress] = []

    def named() -> bool:
        primary = primary_by_sentinels(executor, sentinels, nodes)
        if primary is None or primary == other_than or role(executor, primary) != "master":
            return False
        promoted.append(primary)
        return True

    wait_until(named, seconds, "the Sentinels promote no replica")
    return promoted[0]


def _promote(
    executor: NodeExecutor,
    sentinels: Sequence[str],
    nodes: Sequence[NodeAddress],
    primary: NodeAddress,
    is_ready: Callable[[], bool],
) -> NodeAddress:
    """Have the Sentinels promote a replica, and order it again if they gave up.

    Raises:
        ProvisioningError: they promote none.
    """
    for _ in range(PROMOTION_ATTEMPTS):
        _order_failover(executor, sentinels, nodes, primary, is_ready)
        with contextlib.suppress(ProvisioningError):
            return wait_for_primary(executor, sentinels, nodes, primary, PROMOTION_TIMEOUT_SECONDS)
    raise ProvisioningError("the Sentinels promote no replica", fix="run `make up` again to resume")


def _order_failover(
    executor: NodeExecutor,
    sentinels: Sequence[str],
    nodes: Sequence[NodeAddress],
    primary: NodeAddress,
    is_ready: Callable[[], bool],
) -> None:
    """Order the failover from one Sentinel, unless another primary is reported by now. A Sentinel that has just started
    knows no replica yet.
    """

    def ordered() -> bool:
        if primary_by_sentinels(executor, sentinels, nodes) != primary:
            return True
        if not is_ready():
            return False
        try:
            return bool(executor.run(responding[0], "SENTINEL", "FAILOVER", SERVICE) == "OK")
        except CommandRejectedError as refusal:
            return "INPROG" in str(refusal)

    responding = [name for name in sentinels if is_reachable(executor, name)]
    wait_until(ordered, ORDER_TIMEOUT_SECONDS, f"no replica of {primary.name} can be promoted")


def _offset(executor: NodeExecutor, replica: NodeAddress) -> int:
    return int(info(executor, replica.name, "replication").get("slave_repl_offset", 0))


def _follows(state: dict[str, str], primary: NodeAddress) -> bool:
    return state["role"] == "slave" and f"{state['master_host']}:{state['master_port']}" == primary.address
