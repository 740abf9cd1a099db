"""Users and permissions on AWS: passwords, two of which are valid during a rotation, or IAM."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws.elasticache.user import User
from pulumi_aws.elasticache.user_group import UserGroup
from pulumi_aws.iam.policy import Policy

from infra import hardening
from infra.hardening import Topology
from infra.providers.credentials import Password
from infra.targets.context import Context
from infra.targets.deployment import Login


@dataclass(frozen=True)
class UserAccess:
    """group: the id of the user group. logins: by role. arns: of the users, by role."""

    group: pulumi.Output[str]
    logins: dict[str, Login]
    arns: dict[str, pulumi.Output[str]]


_RESTRICTED = {"config"}
_RESTRICTED_ON_SERVERLESS = _RESTRICTED | {"client|id", "client|info", "client|list", "latency", "memory", "slowlog"}
"""Commands that an access string may not name (ElastiCache User Guide, "Supported and restricted commands")."""


def access_string(user: hardening.User, topology: Topology) -> str:
    """Without `on`, ElastiCache creates the user but rejects its logins; restricted commands fail the request."""
    restricted = _RESTRICTED_ON_SERVERLESS if topology == "serverless" else _RESTRICTED
    return " ".join(["on", *(rule for rule in user.rules.split() if not _names(rule, restricted))])


def _names(rule: str, commands: set[str]) -> bool:
    command = rule.removeprefix("+")
    return command != rule and bool({command, command.partition("|")[0]} & commands)


def group_name(context: Context) -> str:
    """IAM has another group: AWS may lose users in an update that adds and removes some, so all change at once."""
    return f"{context.name}-iam" if context.settings.aws.auth == "iam" else context.name


def create_users(context: Context) -> UserAccess:
    """The users of the hardening table, in a group that disables the default user."""
    prefix, uses_iam = group_name(context), context.settings.aws.auth == "iam"
    passwords = {} if uses_iam else _passwords(context)
    users: dict[str, User] = {}
    logins = {}
    for user in hardening.USERS:
        user_id, password = f"{prefix}-{user.name}", passwords.get(user.name)
        logins[user.name] = Login(user.name, password.value) if password else Login(user_id)
        users[user.name] = User(
            f"{user.name}-iam" if uses_iam else user.name,
            user_id=user_id,
            user_name=logins[user.name].user,
            engine="valkey",
            access_string=access_string(user, context.settings.topology),
            authentication_mode=_mode(password, keep_previous=context.settings.previous_passwords_valid),
            tags=context.tags,
            # One after another: AWS rejects a change of a user while another user of the group changes.
            opts=context.options(pulumi.ResourceOptions(depends_on=list(users.values())[-1:])),
        )
    group = UserGroup(
        "users-iam" if uses_iam else "users",
        user_group_id=prefix,
        engine="valkey",
        user_ids=[user.user_id for user in users.values()],
        tags=context.tags,
        opts=context.options(),
    )
    return UserAccess(group.user_group_id, logins, {role: user.arn for role, user in users.items()})


def create_connect_policies(
    context: Context, access: UserAccess, cache_arn: pulumi.Output[str]
) -> dict[str, pulumi.Input[Any]]:
    """For IAM: a policy for each role that may log in. Returns the ARN and the document of each."""
    return {role: _connect_policy(context, role, user_arn, cache_arn) for role, user_arn in access.arns.items()}


def policy_document(cache_arn: str, user_arn: str) -> str:
    """IAM requires both ARNs, the cache's and the user's."""
    statement = {"Effect": "Allow", "Action": "elasticache:Connect", "Resource": [cache_arn, user_arn]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _connect_policy(
    context: Context, role: str, user_arn: pulumi.Output[str], cache_arn: pulumi.Output[str]
) -> dict[str, pulumi.Output[str]]:
    document = pulumi.Output.all(cache_arn, user_arn).apply(lambda arns: policy_document(*arns))
    policy = Policy(
        f"connect-{role}",
        name=f"{context.name}-connect-{role}",
        description=f"May log in to Valkey as {role}",
        policy=document,
        tags=context.tags,
        opts=context.options(),
    )
    return {"arn": policy.arn, "document": document}


def _passwords(context: Context) -> dict[str, Password]:
    settings = context.settings
    return {
        user.name: Password(user.name, settings.passwordRotation, settings.completedRotation, context.child_options)
        for user in hardening.USERS
    }


def _mode(password: Password | None, *, keep_previous: bool) -> Any:
    """During a rotation the previous password is valid too."""
    if password is None:
        return {"type": "iam"}
    passwords = pulumi.Output.all(password.value, password.previous if keep_previous else None)
    valid = passwords.apply(lambda values: [value for value in values if value])
    # The SDK doesn't mark them as secret here.
    return {"type": "password", "passwords": pulumi.Output[list[str]].secret(valid)}
