"""The connection record in Secret Manager; it contains no token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_gcp.secretmanager.secret import Secret
from pulumi_gcp.secretmanager.secret_version import SecretVersion
from valkeykit.endpoint import Endpoint

from infra.targets.connection_record import connection_record
from infra.targets.context import Context
from infra.targets.deployment import Login


def create_connection_secret(
    context: Context, endpoint: pulumi.Output[Endpoint], logins: Mapping[str, Login]
) -> pulumi.Output[str]:
    """The full name of the secret, which is stored in the instance's region only."""
    gcp = context.settings.gcp
    replication: Any = {"user_managed": {"replicas": [{"location": gcp.location}]}}
    secret = Secret(
        context.resource("connection"),
        secret_id=f"{context.name}-connection",
        replication=replication,
        deletion_protection=False,  # it can be created again from the instance
        labels=context.tags,
        project=gcp.project,
        opts=context.options(),
    )
    record = connection_record(endpoint, logins)
    SecretVersion(
        context.resource("connection"),
        secret=secret.id,
        secret_data=record,
        opts=context.options(),
    )
    name: pulumi.Output[str] = secret.name
    return name
