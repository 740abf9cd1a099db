"""With IAM: who may log in as whom is a policy for each role."""

from __future__ import annotations

import json
from typing import Any

import pulumi
from pulumi_aws.iam.policy import Policy

from infra.targets.aws.access import Access
from infra.targets.aws.cache import Cache
from infra.targets.aws.context import Context


def document(cache_arn: str, user_arn: str) -> str:
    """Both ARNs are needed: the cache's and the user's."""
    statement = {"Effect": "Allow", "Action": "elasticache:Connect", "Resource": [cache_arn, user_arn]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make(context: Context, access: Access, cache: Cache) -> dict[str, pulumi.Input[Any]]:
    """A policy for each role; returns ARN and document of each."""
    return {role: _policy(context, role, user_arn, cache) for role, user_arn in access.arns.items()}


def _policy(context: Context, role: str, user_arn: pulumi.Output[str], cache: Cache) -> dict[str, pulumi.Output[str]]:
    text = pulumi.Output.all(cache.arn, user_arn).apply(lambda arns: document(*arns))
    policy = Policy(
        f"connect-{role}",
        name=f"{context.name}-connect-{role}",
        description=f"May log in to Valkey as {role}",
        policy=text,
        tags=context.tags,
        opts=context.options(),
    )
    return {"arn": policy.arn, "document": text}
