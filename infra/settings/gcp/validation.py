"""Cross-key validation for the gcp target: Memorystore's own limits, checked before any request.

The provider checks few of them, so most would fail in the API, in the middle of an update.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.config_keys import ConfigProblem, remove_command, set_command
from infra.settings.gcp import access_validation, network_validation
from infra.settings.gcp import parameters as gcp_parameters
from infra.settings.gcp.catalogue import MAX_INSTANCE_NODES, PORT, PREVIEW_VERSIONS, VERSIONS
from infra.settings.gcp.node_types import NODE_TYPES
from infra.settings.gcp.persistence import persistence_mode
from infra.settings.gcp.resource_names import BACKUP_NAME, is_elsewhere
from infra.settings.gcp.sizing import largest_bytes, smallest
from infra.settings.parameters import find_problems as find_parameter_problems

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings

_FILE = r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]/[^,\s]+"
_FILES = re.compile(rf"{_FILE}(,{_FILE})*")


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    """Everything that Memorystore would reject, some of it in the middle of an update."""
    gcp = settings.gcp
    if not gcp.project:
        yield ConfigProblem("gcp.project", "is required", set_command("gcp.project", "my-project"))
    if not gcp.location:
        yield ConfigProblem("gcp.location", "is required", set_command("gcp.location", "europe-west3"))
    yield from _shared_keys(settings)
    yield from _version(settings)
    yield from network_validation.find_problems(settings)
    yield from access_validation.find_problems(settings)
    yield from _nodes(settings)
    yield from _data(settings)
    yield from _replication(settings)
    if gcp.allowReplacement and gcp.deletionPolicy == "abandon":
        reason = "is abandon, but an allowed replacement deletes the instance before it creates the new one"
        yield ConfigProblem("gcp.deletionPolicy", reason, remove_command("gcp.allowReplacement"))
    node = smallest(settings, gcp.nodeType) or NODE_TYPES["STANDARD_SMALL"]
    yield from find_parameter_problems(settings, gcp_parameters.catalogue(settings, node))


def _shared_keys(settings: StackSettings) -> Iterator[ConfigProblem]:
    if settings.port not in (0, PORT):
        reason = f"is {settings.port}, Memorystore always uses {PORT}"
        yield ConfigProblem("port", reason, set_command("port", "0"))
    for key in ("passwordRotation", "completedRotation"):
        if getattr(settings, key):
            yield ConfigProblem(key, "is set, but clients log in without passwords on gcp", remove_command(key))


def _version(settings: StackSettings) -> Iterator[ConfigProblem]:
    version = settings.version
    if version not in VERSIONS:
        reason = f"is {version}, Memorystore supports {', '.join(VERSIONS)}"
        yield ConfigProblem("version", reason, set_command("version", "9.0"))
    elif version in PREVIEW_VERSIONS and settings.environment == "prod":
        reason = f"is {version}, a preview on Memorystore"
        yield ConfigProblem("version", reason, set_command("version", "9.0"))


def _nodes(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp, replicas = settings.gcp, settings.replica_count
    node = NODE_TYPES.get(gcp.nodeType)
    if node and settings.topology == "cluster" and not node.shardable:
        reason = f"is {node.name}, which a cluster cannot use"
        yield ConfigProblem("gcp.nodeType", reason, remove_command("gcp.nodeType"))
        return
    if node and settings.environment == "prod" and not node.has_sla:
        reason = f"is {node.name}, which has no service level agreement"
        yield ConfigProblem("gcp.nodeType", reason, remove_command("gcp.nodeType"))
    if (nodes := settings.shard_count * (1 + replicas)) > MAX_INSTANCE_NODES:
        reason = (
            f"is {settings.shard_count}, which makes {nodes} nodes with replicas; the limit is {MAX_INSTANCE_NODES}"
        )
        yield ConfigProblem("shards", reason, set_command("shards", str(MAX_INSTANCE_NODES // (1 + replicas))))
    if smallest(settings, gcp.nodeType) is None:
        yield _too_large(settings)
    if gcp.zone and not gcp.zone.startswith(f"{gcp.location}-"):
        reason = f"is {gcp.zone}, which isn't in {gcp.location or 'any location'}"
        yield ConfigProblem("gcp.zone", reason, remove_command("gcp.zone"))
    elif gcp.zone and settings.environment == "prod":
        yield ConfigProblem("gcp.zone", "is set, but production needs several zones", remove_command("gcp.zone"))


def _too_large(settings: StackSettings) -> ConfigProblem:
    limit = largest_bytes(settings) // 1024**2
    if settings.gcp.nodeType and smallest(settings):
        reason = f"is {settings.gcp.nodeType}, which holds {limit}mb with headroom; memory is {settings.memory}"
        return ConfigProblem("gcp.nodeType", reason, remove_command("gcp.nodeType"))
    reason = f"is {settings.memory}, the largest node type holds {limit}mb of each shard"
    return ConfigProblem("memory", reason, set_command("memory", f"{limit}mb"))


def _data(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp, source = settings.gcp, settings.restoreFrom
    if settings.workload == "queue" and gcp.persistence in ("disabled", "rdb"):
        reason = f"is {gcp.persistence}, with which a queue would lose jobs"
        yield ConfigProblem("gcp.persistence", reason, set_command("gcp.persistence", "aof"))
    if settings.workload == "mixed" and gcp.persistence == "disabled":
        reason = "is disabled, with which keys without a TTL would be lost"
        yield ConfigProblem("gcp.persistence", reason, set_command("gcp.persistence", "aof"))
    yield from _backups_and_flushes(settings)
    if is_elsewhere(gcp.kmsKey, gcp.location):
        reason = f"isn't in {gcp.location}, the location of the data"
        yield ConfigProblem("gcp.kmsKey", reason, remove_command("gcp.kmsKey"))
    if source and not (_FILES.fullmatch(source) or BACKUP_NAME.fullmatch(source)):
        reason = f"is {source!r}, expected gs://bucket/file.rdb or projects/…/backupCollections/…/backups/…"
        yield ConfigProblem("restoreFrom", reason, remove_command("restoreFrom"))


def _backups_and_flushes(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp, mode = settings.gcp, persistence_mode(settings)
    if gcp.backupDays == 0 and settings.environment == "prod":
        yield ConfigProblem("gcp.backupDays", "is 0, but production needs backups", set_command("gcp.backupDays", "7"))
    for key, needed in (("snapshotPeriod", "rdb"), ("snapshotStart", "rdb"), ("appendFsync", "aof")):
        if getattr(gcp, key) and mode != needed:
            reason = f"is set, but persistence is {mode}, not {needed}"
            yield ConfigProblem(f"gcp.{key}", reason, remove_command(f"gcp.{key}"))
    if gcp.appendFsync == "no" and mode == "aof" and settings.workload == "queue":
        reason = "is no, with which a queue would lose jobs"
        yield ConfigProblem("gcp.appendFsync", reason, remove_command("gcp.appendFsync"))


def _replication(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp = settings.gcp
    role_fix = remove_command("gcp.replicationRole")
    if gcp.replicationRole == "secondary" and not gcp.primaryInstance:
        yield ConfigProblem("gcp.replicationRole", "is secondary, but primaryInstance is empty", role_fix)
    if gcp.replicationRole == "primary" and not gcp.secondaryInstances:
        yield ConfigProblem("gcp.replicationRole", "is primary, but secondaryInstances is empty", role_fix)
    for key, role in (("primaryInstance", "secondary"), ("secondaryInstances", "primary")):
        if getattr(gcp, key) and gcp.replicationRole != role:
            reason = f"is set, but replicationRole isn't {role}"
            yield ConfigProblem(f"gcp.{key}", reason, remove_command(f"gcp.{key}"))
    if gcp.replicationRole == "secondary" and settings.restoreFrom:
        reason = "is set, but a secondary instance receives its data from its primary"
        yield ConfigProblem("restoreFrom", reason, remove_command("restoreFrom"))
