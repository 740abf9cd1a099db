"""A primary, its replicas and the Sentinels that watch them: who is what, and a planned failover.

The Sentinels' word on who is the primary counts, and nobody else's: a primary that comes back
after a failover still takes itself for one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from valkeykit.endpoint import SERVICE

from infra.drivers.topology import pause
from infra.drivers.topology.executor import (
    Console,
    Member,
    RefusedError,
    SilentError,
    answering,
    answers,
    info,
    wait_until,
)
from infra.drivers.topology.pause import Pause

DOWN_AFTER_MILLISECONDS = 3000
FAILOVER_TIMEOUT_MILLISECONDS = 5_000
"""After an attempt that failed, as when all nodes have just been started, Sentinels wait twice as long."""

FAILOVER_SECONDS = 30.0
ORDER_SECONDS = 5.0
SYNC_SECONDS = 900.0
SENTINEL_SECONDS = 30.0

_FENCE = "min-replicas-to-write"


def sentinel_conf(primary: Member, sentinels: int, user: str, password: str) -> str:
    """What a Sentinel is told of the deployment; a secret stands in it."""
    return "\n".join(
        [
            f"sentinel {' '.join(_monitoring(primary, sentinels))}",
            *(f"sentinel {name} {SERVICE} {value}" for name, value in _settings(user, password).items()),
            f"sentinel sentinel-user {user}",
            f"sentinel sentinel-pass {password}",
            "",
        ]
    )


def _monitoring(primary: Member, sentinels: int) -> tuple[str, ...]:
    return "monitor", SERVICE, primary.host, str(primary.port), str(sentinels // 2 + 1)


def _settings(user: str, password: str) -> dict[str, str]:
    return {
        "down-after-milliseconds": str(DOWN_AFTER_MILLISECONDS),
        "failover-timeout": str(FAILOVER_TIMEOUT_MILLISECONDS),
        "auth-user": user,
        "auth-pass": password,
    }


def sentinel_commands(user: str, password: str) -> list[tuple[str, ...]]:
    """What makes a running Sentinel take the settings of `sentinel_conf`; it logs in again."""
    settings = [word for pair in _settings(user, password).items() for word in pair]
    return [
        ("SENTINEL", "SET", SERVICE, *settings),
        ("SENTINEL", "CONFIG", "SET", "sentinel-user", user),
        ("SENTINEL", "CONFIG", "SET", "sentinel-pass", password),
    ]


def monitor(console: Console, sentinel: str, primary: Member, sentinels: int) -> None:
    """Make a running Sentinel forget all that it knows and monitor this primary; it needs its settings again."""
    with contextlib.suppress(RefusedError):  # it monitors nothing
        console.run(sentinel, "SENTINEL", "REMOVE", SERVICE)
    console.run(sentinel, "SENTINEL", *_monitoring(primary, sentinels))


def named_primary(console: Console, sentinels: Sequence[str], nodes: Sequence[Member]) -> Member | None:
    """Whom most of the Sentinels that answer name; None where none does."""
    named: Counter[str] = Counter()
    for sentinel in sentinels:
        with contextlib.suppress(RefusedError, SilentError):
            if address := console.run(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE):
                named[":".join(address)] += 1
    by_address = {node.address: node for node in nodes}
    return next((by_address[address] for address, _ in named.most_common() if address in by_address), None)


def primary_of(console: Console, node: Member, nodes: Sequence[Member]) -> Member | None:
    """The primary that a node replicates from; None where it is none's replica, or lost it."""
    with contextlib.suppress(RefusedError, SilentError):
        state = info(console, node.name, "replication")
        if state.get("master_link_status") == "up":
            found = next((other for other in nodes if _follows(state, other)), None)
            return found if found and role(console, found) == "master" else None
    return None


def acting_primary(console: Console, nodes: Sequence[Member]) -> Member | None:
    """The only node that says it is a primary; None where there is none, or several."""
    found = [node for node in answering(console, nodes) if role(console, node) == "master"]
    return found[0] if len(found) == 1 else None


def role(console: Console, node: Member) -> str:
    """`master` or `slave`."""
    return info(console, node.name, "replication")["role"]


def follow(console: Console, primary: Member, nodes: Sequence[Member]) -> None:
    """Make every other node a replica of the primary, which must be one already."""
    wait_until(
        lambda: role(console, primary) == "master", FAILOVER_SECONDS, f"{primary.name} doesn't become the primary"
    )
    for node in nodes:
        if node != primary:  # a Sentinel that orders the same closes the node's connections
            wait_until(partial(_obeys, console, node, primary), FAILOVER_SECONDS, f"{node.name} doesn't follow")


def _obeys(console: Console, node: Member, primary: Member) -> bool:
    follows = _follows(info(console, node.name, "replication"), primary)
    return follows or console.run(node.name, "REPLICAOF", primary.host, str(primary.port)) is not None


def wait_until_attached(console: Console, primary: Member, count: int) -> None:
    """Wait until the primary knows its replicas; they needn't have the data yet."""
    wait_until(
        lambda: int(info(console, primary.name, "replication")["connected_slaves"]) >= count,
        SENTINEL_SECONDS,
        f"not all replicas reach {primary.name}",
    )


def wait_until_in_sync(console: Console, primary: Member, nodes: Sequence[Member]) -> None:
    """Wait until every replica has the primary's data."""
    wait_until(
        lambda: not any(astray(console, primary, nodes)),
        SYNC_SECONDS,
        f"not every replica follows {primary.name}",
    )


def astray(console: Console, primary: Member, nodes: Sequence[Member]) -> Iterator[str]:
    """What is wrong with the replicas, a line each."""
    for node in nodes:
        if node == primary:
            continue
        state = info(console, node.name, "replication")
        if not _follows(state, primary):
            yield f"{node.name} doesn't follow {primary.name}"
        elif state["master_link_status"] != "up":
            yield f"{node.name} has lost {primary.name}"


def unwatched(console: Console, sentinels: Sequence[str], primary: Member, replicas: int) -> Iterator[str]:
    """What is wrong with the Sentinels, a line each."""
    for sentinel in sentinels:
        state = console.run(sentinel, "SENTINEL", "MASTER", SERVICE)
        others = int(state["num-other-sentinels"])
        # Whoever copies the data for a backup counts as a replica without a port, for good.
        known = sum(int(replica["port"]) > 0 for replica in console.run(sentinel, "SENTINEL", "REPLICAS", SERVICE))
        if f"{state['ip']}:{state['port']}" != primary.address:
            yield f"{sentinel} takes another node for the primary"
        if others != len(sentinels) - 1:
            yield f"{sentinel} knows {others} other Sentinels"
        if known != replicas:
            yield f"{sentinel} knows {known} replicas"
        if state["flags"] != "master":
            yield f"{sentinel} says that the primary is {state['flags']}"


def wait_until_watched(console: Console, sentinels: Sequence[str], primary: Member, replicas: int) -> None:
    """Wait until every Sentinel knows the primary, the other Sentinels and every replica."""
    wait_until(
        lambda: not any(unwatched(console, sentinels, primary, replicas)),
        SENTINEL_SECONDS,
        "the Sentinels don't see everybody",
    )


def fail_over(console: Console, sentinels: Sequence[str], nodes: Sequence[Member], primary: Member) -> Member:
    """Have the Sentinels make a replica the primary; a primary that lives loses no write by it.

    Raises:
        ProvisioningError: no replica can be made the primary.
    """
    live = answering(console, nodes)
    if primary not in live:
        _order_failover(console, sentinels, nodes, primary, lambda: True)
        return wait_for_primary(console, sentinels, nodes, other_than=primary)
    replicas = [node for node in live if node != primary]
    wait_until_in_sync(console, primary, live)
    with pause.hold(console, primary.name) as held:
        is_even = partial(_is_even, console, primary, replicas, held)
        wait_until(is_even, FAILOVER_SECONDS, f"the replicas don't catch up with {primary.name}")
        with _fenced(console, primary, len(replicas)):
            _order_failover(console, sentinels, nodes, primary, lambda: held.is_unbroken or is_even())
            successor = wait_for_primary(console, sentinels, nodes, other_than=primary)
            follow(console, successor, live)  # before writers go on, so that the old one refuses them
    return successor


def _is_even(console: Console, primary: Member, replicas: Sequence[Member], held: Pause) -> bool:
    """Whether every replica has all that the primary has acknowledged, and no write has come in between."""
    held.begin()
    written = int(info(console, primary.name, "replication")["master_repl_offset"])
    return all(_offset(console, node) >= written for node in replicas) and held.is_unbroken


@contextlib.contextmanager
def _fenced(console: Console, primary: Member, replicas: int) -> Iterator[None]:
    """Let the primary reject writes as soon as one of its replicas is promoted: a pause that isn't renewed, as when
    this process is killed, ends long before the Sentinels demote the primary.
    """
    previous = str(console.run(primary.name, "CONFIG", "GET", _FENCE)[_FENCE])
    console.run(primary.name, "CONFIG", "SET", _FENCE, str(max(replicas, int(previous))))
    try:
        yield
    finally:
        with contextlib.suppress(RefusedError, SilentError):
            console.run(primary.name, "CONFIG", "SET", _FENCE, previous)


def wait_for_primary(
    console: Console, sentinels: Sequence[str], nodes: Sequence[Member], other_than: Member | None = None
) -> Member:
    """Wait until the Sentinels name a primary that says that it is one.

    Raises:
        ProvisioningError: they don't within `FAILOVER_SECONDS`.
    """
    found: list[Member] = []

    def named() -> bool:
        primary = named_primary(console, sentinels, nodes)
        if primary is None or primary == other_than or role(console, primary) != "master":
            return False
        found.append(primary)
        return True

    wait_until(named, FAILOVER_SECONDS, "the Sentinels make no replica the primary")
    return found[0]


def _order_failover(
    console: Console,
    sentinels: Sequence[str],
    nodes: Sequence[Member],
    primary: Member,
    is_ready: Callable[[], bool],
) -> None:
    """Tell one Sentinel, unless another primary is named by now. A Sentinel that has just started has no replica
    to offer yet.
    """

    def ordered() -> bool:
        if named_primary(console, sentinels, nodes) != primary:
            return True
        if not is_ready():
            return False
        try:
            return bool(console.run(answering_sentinels[0], "SENTINEL", "FAILOVER", SERVICE) == "OK")
        except RefusedError as refusal:
            return "INPROG" in str(refusal)

    answering_sentinels = [name for name in sentinels if answers(console, name)]
    wait_until(ordered, ORDER_SECONDS, f"no replica of {primary.name} can be made the primary")


def _offset(console: Console, replica: Member) -> int:
    return int(info(console, replica.name, "replication").get("slave_repl_offset", 0))


def _follows(state: dict[str, str], primary: Member) -> bool:
    return state["role"] == "slave" and f"{state['master_host']}:{state['master_port']}" == primary.address
