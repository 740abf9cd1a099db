"""Requests to the managed services: each one is valid in the vendor's own model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from google.api_core.exceptions import FailedPrecondition, PermissionDenied
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import memorystore_v1beta as api

from stackctl import managed_services
from stackctl.errors import StackError

AT = datetime(2026, 11, 25, 9, 8, 14, tzinfo=timezone.utc)
GROUP = {"aws": {"cache": "valkey-web", "region": "eu-central-1", "serverless": False}}
SERVERLESS = {"aws": {"cache": "valkey-web", "region": "eu-central-1", "serverless": True}}
INSTANCE = "projects/shop/locations/europe-west3/instances/valkey-web"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Refuses what ElastiCache doesn't know, and what isn't expected."""
    client: Any = boto3.client(
        "elasticache", region_name="eu-central-1", aws_access_key_id="none", aws_secret_access_key="none"
    )
    monkeypatch.setattr(managed_services, "_elasticache", lambda _stack: client)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_a_snapshot_of_a_group(aws: Stubber) -> None:
    name = "valkey-web-20261125t090814z"
    aws.add_response("create_snapshot", {}, {"ReplicationGroupId": "valkey-web", "SnapshotName": name})
    assert managed_services.backup(GROUP, AT) == name


def test_a_snapshot_of_a_serverless_cache_is_named_by_its_arn(aws: Stubber) -> None:
    arn = "arn:aws:elasticache:eu-central-1:123456789012:serverlesscachesnapshot:one"
    wanted = {"ServerlessCacheName": "valkey-web", "ServerlessCacheSnapshotName": "valkey-web-20261125t090814z"}
    aws.add_response("create_serverless_cache_snapshot", {"ServerlessCacheSnapshot": {"ARN": arn}}, wanted)
    assert managed_services.backup(SERVERLESS, AT) == arn


def test_every_shard_fails_over_and_the_next_waits_for_it(aws: Stubber) -> None:
    wanted = {"ReplicationGroupId": "valkey-web"}
    shards = [{"NodeGroupId": "0001"}, {"NodeGroupId": "0002"}]
    described = {"ReplicationGroups": [{"Status": "available", "NodeGroups": shards}]}
    aws.add_response("describe_replication_groups", described, wanted)
    for shard in shards:
        aws.add_response("test_failover", {}, wanted | shard)
        aws.add_response("describe_replication_groups", described, wanted)
    managed_services.fail_over(GROUP)


def test_a_managed_backup_is_named_as_the_api_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def backup_instance(request: dict[str, str]) -> Any:
        asked.append(api.BackupInstanceRequest(request))
        collection = "projects/shop/locations/europe-west3/backupCollections/one"
        return SimpleNamespace(result=lambda: api.Instance(name=INSTANCE, backup_collection=collection))

    monkeypatch.setattr(managed_services, "_memorystore", lambda: SimpleNamespace(backup_instance=backup_instance))
    made = managed_services.backup({"gcp": {"instance": INSTANCE}}, AT)
    assert made == "projects/shop/locations/europe-west3/backupCollections/one/backups/by-hand-20261125t090814z"
    assert [(request.name, request.backup_id) for request in asked] == [(INSTANCE, "by-hand-20261125t090814z")]


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (PermissionDenied("memorystore.instances.backup denied"), r"403 memorystore.instances.backup denied"),
        (FailedPrecondition("the instance is being updated"), r"400 the instance is being updated"),
        (DefaultCredentialsError("no credentials were found\nand more"), r"no credentials were found -> gcloud auth"),
    ],
)
def test_google_s_error_is_one_line(monkeypatch: pytest.MonkeyPatch, problem: Exception, reason: str) -> None:
    def reject(**_request: Any) -> Any:
        raise problem

    monkeypatch.setattr(managed_services, "_memorystore", lambda: SimpleNamespace(backup_instance=reject))
    with pytest.raises(StackError, match=f"the cloud rejects the request: {reason}"):
        managed_services.backup({"gcp": {"instance": INSTANCE}}, AT)


def test_amazon_s_error_is_one_line(aws: Stubber) -> None:
    aws.add_client_error("create_snapshot", "InvalidReplicationGroupState", "the group is modifying")
    with pytest.raises(StackError, match=r"the group is modifying -> aws sts"):
        managed_services.backup(GROUP, AT)


def test_a_fault_of_our_own_is_not_taken_for_the_cloud_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_services, "_memorystore", lambda: None)
    with pytest.raises(AttributeError):
        managed_services.backup({"gcp": {"instance": INSTANCE}}, AT)


def test_a_library_that_isnt_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(StackError, match="the command needs boto3, which is not installed -> "):
        managed_services.backup(GROUP)
