"""A key of the operator's own for what lies on disk."""

from __future__ import annotations

import pulumi
from pulumi_aws.kms.alias import Alias
from pulumi_aws.kms.key import Key

from infra.targets.aws.context import Context


def make(context: Context) -> pulumi.Input[str] | None:
    """The key's ARN; None leaves the choice to AWS, which encrypts with a key of its own."""
    wanted = context.settings.aws.kmsKey
    if wanted != "own":
        return wanted or None
    key = Key(
        "key",
        description=f"Valkey's data: {context.name}",
        enable_key_rotation=True,
        deletion_window_in_days=30,  # the longest: backups can't be read without it
        tags=context.tags,
        opts=context.options(holds_data=True),
    )
    Alias("key", name=f"alias/{context.name}", target_key_id=key.key_id, opts=context.options())
    arn: pulumi.Output[str] = key.arn
    return arn
