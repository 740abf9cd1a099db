"""The instance as Google describes it. Needs google-cloud-memorystore and credentials that may describe it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.smoke.subject import Subject

pytestmark = pytest.mark.needs("gcp", "memorystore")


@pytest.fixture
def instance(subject: Subject) -> Any:
    assert subject.gcp is not None
    return describe(subject.gcp["instance"])


def describe(name: str, client: Any = None) -> Any:
    """The instance as Memorystore describes it. name: the full one."""
    from google.cloud import memorystore_v1beta as api

    return (client or api.MemorystoreClient()).get_instance(name=name)


def test_active(instance: Any) -> None:
    """Google says that the instance is active."""
    assert instance.state.name == "ACTIVE", instance.state.name


def test_encrypted(instance: Any, subject: Subject) -> None:
    """Connections are encrypted as the stack says."""
    wanted = "SERVER_AUTHENTICATION" if subject.address.tls else "TRANSIT_ENCRYPTION_DISABLED"
    assert instance.transit_encryption_mode.name == wanted, instance.transit_encryption_mode.name


def test_login(instance: Any, subject: Subject) -> None:
    """Clients log in as the stack says."""
    assert subject.gcp is not None
    wanted = {"iam": "IAM_AUTH", "none": "AUTH_DISABLED"}[subject.gcp["auth"]]
    assert instance.authorization_mode.name == wanted, instance.authorization_mode.name


def test_rights(instance: Any, subject: Subject) -> None:
    """The ACL policy of the stack is the instance's."""
    assert subject.gcp is not None
    assert instance.acl_policy == (subject.gcp["aclPolicy"] or ""), instance.acl_policy or "there is none"


def test_backups(instance: Any) -> None:
    """A backup is made every day."""
    found = instance.automated_backup_config
    assert found.automated_backup_mode.name == "ENABLED"
    assert found.retention.days >= 1


def test_endpoints(instance: Any, subject: Subject) -> None:
    """The stack's address is one of the instance's."""
    assert subject.endpoint is not None
    known = {
        connection.psc_auto_connection.ip_address
        for endpoint in instance.endpoints
        for connection in endpoint.connections
    }
    assert {node.host for node in subject.endpoint.nodes} <= known
