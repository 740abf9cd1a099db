"""What the keys of a gcp stack may not say together: Memorystore's own limits, before it is asked.

The provider checks few of them, so most would fail at the API only, half-way through an update.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from infra.settings.gcp import access, network
from infra.settings.gcp.catalogue import MAXIMUM_NODES, PORT, PREVIEW_VERSIONS, VERSIONS
from infra.settings.gcp.nodes import NODE_TYPES, Shape, Sizing, largest, plan
from infra.settings.keys import Mistake, drop, put

if TYPE_CHECKING:
    from infra.settings.stack import Settings

_FILES = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]/[^,\s]+(,gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]/[^,\s]+)*")
BACKUP = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/backupCollections/[^/\s]+/backups/[^/\s]+")


def sizing(settings: Settings) -> Sizing | None:
    """The node type and the shards that hold `memory`; None where nothing does."""
    return plan(settings.maxmemory, _shape(settings))


def mistakes(settings: Settings) -> Iterator[Mistake]:
    """Everything that Memorystore would refuse, or would only find out half-way."""
    gcp = settings.gcp
    if not gcp.project:
        yield Mistake("gcp.project", "is needed", put("gcp.project", "my-project"))
    if not gcp.location:
        yield Mistake("gcp.location", "is needed", put("gcp.location", "europe-west3"))
    yield from _common_words(settings)
    yield from _version(settings)
    yield from network.mistakes(settings)
    yield from access.mistakes(settings)
    yield from _nodes(settings)
    yield from _data(settings)
    yield from _replication(settings)


def elsewhere(resource: str, location: str) -> bool:
    """Whether a resource's full name has another location; one that isn't set is nowhere."""
    return bool(resource and location) and f"/{location}/" not in resource


def _shape(settings: Settings) -> Shape:
    sharded = settings.topology == "cluster"
    return Shape(sharded, settings.shards, settings.replica_count, settings.gcp.nodeType)


def _common_words(settings: Settings) -> Iterator[Mistake]:
    if settings.port not in (0, PORT):
        yield Mistake("port", f"is {settings.port}, Memorystore answers at {PORT}", put("port", "0"))
    for key in ("rotation", "retired"):
        if getattr(settings, key):
            yield Mistake(key, "is set, but clients log in without passwords here", drop(key))


def _version(settings: Settings) -> Iterator[Mistake]:
    version = settings.version
    if version not in VERSIONS:
        yield Mistake("version", f"is {version}, Memorystore has {', '.join(VERSIONS)}", put("version", "9.0"))
    elif version in PREVIEW_VERSIONS and settings.environment == "prod":
        yield Mistake("version", f"is {version}, a preview on Memorystore", put("version", "9.0"))


def _nodes(settings: Settings) -> Iterator[Mistake]:
    gcp, copies = settings.gcp, settings.replica_count
    node = NODE_TYPES.get(gcp.nodeType)
    if node and settings.topology == "cluster" and not node.shardable:
        yield Mistake("gcp.nodeType", f"is {node.name}, which a cluster can't have", drop("gcp.nodeType"))
        return
    if node and settings.environment == "prod" and not node.guaranteed:
        reason = f"is {node.name}, which has no service level agreement"
        yield Mistake("gcp.nodeType", reason, drop("gcp.nodeType"))
    if (settings.shards or 0) * (1 + copies) > MAXIMUM_NODES:
        reason = f"are {settings.shards}, with replicas {settings.shard_count * (1 + copies)} nodes; the limit is 250"
        yield Mistake("shards", reason, put("shards", str(MAXIMUM_NODES // (1 + copies))))
    elif sizing(settings) is None:
        yield _too_large(settings)
    if gcp.zone and not gcp.zone.startswith(f"{gcp.location}-"):
        yield Mistake("gcp.zone", f"is {gcp.zone}, which isn't in {gcp.location or 'any location'}", drop("gcp.zone"))
    elif gcp.zone and settings.environment == "prod":
        yield Mistake("gcp.zone", "is set, and production needs several zones", drop("gcp.zone"))


def _too_large(settings: Settings) -> Mistake:
    shape = _shape(settings)
    room = largest(shape) // 1024**2
    if settings.gcp.nodeType and plan(settings.maxmemory, replace(shape, node_type="")):
        reason = f"is {settings.gcp.nodeType}, of which {room}mb have head room; memory is {settings.memory}"
        return Mistake("gcp.nodeType", reason, drop("gcp.nodeType"))
    return Mistake("memory", f"is {settings.memory}, this shape holds {room}mb", put("memory", f"{room}mb"))


def _data(settings: Settings) -> Iterator[Mistake]:
    gcp, source = settings.gcp, settings.restoreFrom
    if settings.workload == "queue" and gcp.persistence in ("disabled", "rdb"):
        reason = f"is {gcp.persistence}, and a queue would lose jobs"
        yield Mistake("gcp.persistence", reason, put("gcp.persistence", "aof"))
    if settings.workload == "mixed" and gcp.persistence == "disabled":
        reason = "is disabled, and what has no TTL would be lost"
        yield Mistake("gcp.persistence", reason, put("gcp.persistence", "aof"))
    if elsewhere(gcp.kmsKey, gcp.location):
        yield Mistake("gcp.kmsKey", f"isn't in {gcp.location}, where the data lies", drop("gcp.kmsKey"))
    if source and not (_FILES.fullmatch(source) or BACKUP.fullmatch(source)):
        reason = f"is {source!r}, no gs://bucket/file.rdb and no projects/…/backupCollections/…/backups/…"
        yield Mistake("restoreFrom", reason, drop("restoreFrom"))


def _replication(settings: Settings) -> Iterator[Mistake]:
    gcp = settings.gcp
    if gcp.replicationRole == "secondary" and not gcp.primaryInstance:
        yield Mistake(
            "gcp.replicationRole", "is secondary, but no primaryInstance is named", drop("gcp.replicationRole")
        )
    if gcp.replicationRole == "primary" and not gcp.secondaryInstances:
        reason = "is primary, but no secondaryInstances are named"
        yield Mistake("gcp.replicationRole", reason, drop("gcp.replicationRole"))
    if gcp.replicationRole != "secondary" and gcp.primaryInstance:
        yield Mistake("gcp.primaryInstance", "is set, but the role isn't secondary", drop("gcp.primaryInstance"))
    if gcp.replicationRole != "primary" and gcp.secondaryInstances:
        yield Mistake("gcp.secondaryInstances", "are set, but the role isn't primary", drop("gcp.secondaryInstances"))
    if gcp.replicationRole == "secondary" and settings.restoreFrom:
        yield Mistake(
            "restoreFrom", "is set, but a secondary instance gets its data from its primary", drop("restoreFrom")
        )
