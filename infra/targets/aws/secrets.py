"""The encryption key and the connection record on AWS."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_aws.kms.alias import Alias
from pulumi_aws.kms.key import Key
from pulumi_aws.secretsmanager.secret import Secret
from pulumi_aws.secretsmanager.secret_version import SecretVersion
from valkeykit.endpoint import Endpoint

from infra.targets.connection_record import connection_record
from infra.targets.context import Context
from infra.targets.deployment import Login


def create_encryption_key(context: Context) -> pulumi.Input[str] | None:
    """The ARN of the key for encryption at rest; None for a key of AWS's own."""
    configured = context.settings.aws.kmsKey
    if configured != "own":
        return context.inputs.of("aws.kmsKey") if configured else None
    key = Key(
        context.resource("key"),
        description=f"Valkey's data: {context.name}",
        enable_key_rotation=True,
        deletion_window_in_days=30,  # the longest: without the key, backups are unreadable
        tags=context.tags,
        # The final snapshot needs it, so it outlives the stack.
        opts=context.options(pulumi.ResourceOptions(retain_on_delete=context.settings.finalSnapshot), holds_data=True),
    )
    if context.settings.finalSnapshot:
        pulumi.log.info("aws: the key of aws.kmsKey remains after `pulumi destroy`: the final snapshot needs it")
    Alias(context.resource("key"), name=f"alias/{context.name}", target_key_id=key.key_id, opts=context.options())
    arn: pulumi.Output[str] = key.arn
    return arn


def create_connection_secret(
    context: Context,
    endpoint: pulumi.Output[Endpoint],
    logins: Mapping[str, Login],
    key: pulumi.Input[str] | None,
) -> pulumi.Output[str]:
    """The ARN of a secret in Secrets Manager with the connection record.

    It is deleted at once: without the cache it is useless, and while it could be recovered, a new stack of the same
    name could not be created.
    """
    secret = Secret(
        context.resource("connection"),
        name=f"{context.name}/connection",
        description="How to connect to Valkey",
        kms_key_id=key,
        recovery_window_in_days=0,
        tags=context.tags,
        # The provider sends nothing when the key is removed: the secret would be lost with it.
        opts=context.options(pulumi.ResourceOptions(replace_on_changes=["kmsKeyId"], delete_before_replace=True)),
    )
    SecretVersion(
        context.resource("connection"),
        secret_id=secret.id,
        secret_string=connection_record(endpoint, logins),
        opts=context.options(),
    )
    arn: pulumi.Output[str] = secret.arn
    return arn
