"""Moving a slot of a cluster from one node to another."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import redis

from harness.ports import HOST
from harness.servers import ServerProcess
from harness.waiting import WAIT_SECONDS, wait_until


def owner(nodes: Sequence[ServerProcess], slot: int) -> ServerProcess:
    """The node that owns a slot; waits until all nodes agree on it."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        owners = {_owner_by(node, slot) for node in nodes}
        if len(owners) == 1 and (port := owners.pop()) is not None:
            return next(node for node in nodes if node.port == port)
        assert time.monotonic() < end, "the nodes don't agree on the owner of the slot"
        time.sleep(0.05)


def move_by_keys(
    nodes: Sequence[ServerProcess], slot: int, target: ServerProcess, *, batch: int = 4, pause: float = 0.02
) -> int:
    """Move a slot in the classic way: a few keys at a time, with pauses in which it is split over both nodes.

    Returns the number of keys.

    Raises:
        redis.ResponseError: a key exists on both nodes (BUSYKEY).
    """
    source, moved = owner(nodes, slot), 0
    with source.client() as give, target.client() as take:
        source_id, target_id = (str(client.execute_command("CLUSTER MYID")) for client in (give, take))
        take.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
        give.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
        while keys := give.execute_command("CLUSTER GETKEYSINSLOT", slot, batch):
            time.sleep(pause)
            give.execute_command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
            moved += len(keys)
    for node in (target, source, *(node for node in nodes if node not in (target, source))):
        with node.client() as client:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", target_id)
    return moved


def move_atomically(nodes: Sequence[ServerProcess], slot: int, target: ServerProcess) -> None:
    """Move a slot as Valkey 9 does: all keys at once."""
    with owner(nodes, slot).client() as give, target.client() as take:
        target_id = str(take.execute_command("CLUSTER MYID"))
        give.execute_command("CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target_id)
    wait_until(lambda: owner(nodes, slot) is target, problem="the slot hasn't been moved")


def _owner_by(node: ServerProcess, slot: int) -> int | None:
    """The port of the slot's owner, as one node sees it."""
    with contextlib.suppress(redis.RedisError), node.client() as client:
        for first, last, (_, port, *_), *_ in client.execute_command("CLUSTER SLOTS"):
            if first <= slot <= last:
                return int(port)
    return None
