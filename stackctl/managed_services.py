"""Operations on managed services: backups and failovers. They need the cloud's credentials and library."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from infra.outputs import AWS, GCP
from stackctl.errors import StackError

Outputs = Mapping[str, Any]

_LOGIN = {
    "google": "gcloud auth application-default login, as an account that may back up the instance",
    "botocore": "aws sts get-caller-identity shows the account; see the page of the target for its permissions",
}
"""What to check when a library of this package raises an error."""


def backup(outputs: Outputs, at: datetime | None = None) -> str:
    """Start a backup; return a value for the key `restoreFrom` of another stack.

    Raises:
        StackError: the service's library isn't installed, there are no credentials, or the service rejects the request.
    """
    stamp = (at or datetime.now(timezone.utc)).strftime("%Y%m%dt%H%M%Sz")
    with _as_stack_errors():
        return _snapshot(outputs[AWS], stamp) if AWS in outputs else _managed_backup(outputs[GCP], stamp)


def fail_over(outputs: Outputs) -> None:
    """Have ElastiCache fail over each shard, one after the other.

    Raises:
        StackError: boto3 isn't installed, there are no credentials, or the service rejects the request.
    """
    with _as_stack_errors():
        cache, client = outputs[AWS]["cache"], _elasticache(outputs[AWS])
        (group,) = client.describe_replication_groups(ReplicationGroupId=cache)["ReplicationGroups"]
        for shard in group["NodeGroups"]:
            client.test_failover(ReplicationGroupId=cache, NodeGroupId=shard["NodeGroupId"])
            client.get_waiter("replication_group_available").wait(ReplicationGroupId=cache)


def _snapshot(stack: Outputs, stamp: str) -> str:
    name, client = f"{stack['cache']}-{stamp}", _elasticache(stack)
    if not stack["serverless"]:
        client.create_snapshot(ReplicationGroupId=stack["cache"], SnapshotName=name)
        return name
    created = client.create_serverless_cache_snapshot(
        ServerlessCacheName=stack["cache"], ServerlessCacheSnapshotName=name
    )
    return str(created["ServerlessCacheSnapshot"]["ARN"])


def _managed_backup(stack: Outputs, stamp: str) -> str:
    backup_id = f"by-hand-{stamp}"
    instance = _memorystore().backup_instance(request={"name": stack["instance"], "backup_id": backup_id}).result()
    return f"{instance.backup_collection}/backups/{backup_id}"


def _elasticache(stack: Outputs) -> Any:
    return _library("boto3").client("elasticache", region_name=stack["region"])


def _memorystore() -> Any:
    return _library("google.cloud.memorystore_v1beta", "google-cloud-memorystore").MemorystoreClient()


@contextlib.contextmanager
def _as_stack_errors() -> Iterator[None]:
    """The libraries are imported only for their cloud, so their errors are recognized by the package."""
    try:
        yield
    except Exception as problem:
        package = type(problem).__module__.partition(".")[0]
        if package not in _LOGIN:
            raise
        reason = str(problem).strip().partition("\n")[0]
        raise StackError(f"the cloud rejects the request: {reason}", fix=_LOGIN[package]) from None


def _library(module: str, package: str = "") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        name = package or module
        raise StackError(
            f"the command needs {name}, which is not installed", fix=f".venv/bin/pip install {name}"
        ) from None
