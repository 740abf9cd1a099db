"""The connection record in Secrets Manager, for applications that read it there."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_aws.secretsmanager.secret import Secret
from pulumi_aws.secretsmanager.secret_version import SecretVersion
from valkeykit.endpoint import Endpoint

from infra.targets import Login
from infra.targets.aws.context import Context
from infra.targets.record import connection_record


def make(
    context: Context,
    endpoint: pulumi.Output[Endpoint],
    logins: Mapping[str, Login],
    key: pulumi.Input[str] | None,
) -> pulumi.Output[str]:
    """Returns the secret's ARN. A deleted name is free at once in dev, and can be brought back in prod."""
    secret = Secret(
        "connection",
        name=f"{context.name}/connection",
        description="How to connect to Valkey",
        kms_key_id=key,
        recovery_window_in_days=30 if context.is_production else 0,
        tags=context.tags,
        opts=context.options(),
    )
    SecretVersion(
        "connection",
        secret_id=secret.id,
        secret_string=connection_record(endpoint, logins),
        opts=context.options(),
    )
    arn: pulumi.Output[str] = secret.arn
    return arn
