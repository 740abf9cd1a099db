"""The connection record in Secret Manager, for applications that read it there. No token stands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp.secretmanager.secret import Secret
from pulumi_gcp.secretmanager.secret_version import SecretVersion
from valkeykit.endpoint import Endpoint

from infra.targets import Login
from infra.targets.context import Context
from infra.targets.record import connection_record


def make(
    context: Context, endpoint: pulumi.Output[Endpoint], logins: Mapping[str, Login], apis: Sequence[pulumi.Resource]
) -> pulumi.Output[str]:
    """Returns the secret's full name. It stays in the instance's region."""
    gcp = context.settings.gcp
    replication: Any = {"user_managed": {"replicas": [{"location": gcp.location}]}}
    secret = Secret(
        "connection",
        secret_id=f"{context.name}-connection",
        replication=replication,
        deletion_protection=False,  # it follows from the instance and can be made again
        labels=context.tags,
        project=gcp.project,
        opts=context.options(pulumi.ResourceOptions(depends_on=list(apis))),
    )
    record = connection_record(endpoint, logins)
    SecretVersion(
        "connection",
        secret=secret.id,
        secret_data=record,
        opts=context.options(),
    )
    name: pulumi.Output[str] = secret.name
    return name
