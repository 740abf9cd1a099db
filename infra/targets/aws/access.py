"""Who logs in, and how: users by role, with two valid passwords while they rotate, or signed by IAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws.elasticache.user import User
from pulumi_aws.elasticache.user_group import UserGroup

from infra import hardening
from infra.local.providers import Password
from infra.targets import Login
from infra.targets.aws.context import Context


@dataclass(frozen=True)
class Access:
    """group: the id of the user group. users: their ids by role, arns for policies."""

    group: pulumi.Output[str]
    logins: dict[str, Login]
    arns: dict[str, pulumi.Output[str]]


def access_string(user: hardening.User) -> str:
    """Without `on` ElastiCache makes the user and refuses its logins."""
    return f"on {user.rules}"


def group_name(context: Context) -> str:
    """With IAM another one: AWS may drop users where one update adds and removes some, so the group changes whole."""
    return f"{context.name}-iam" if context.settings.aws.auth == "iam" else context.name


def make(context: Context) -> Access:
    """The users of the hardening table, in a group of their own. The default user is off in such a group."""
    prefix, uses_iam = group_name(context), context.settings.aws.auth == "iam"
    logins, users = {}, {}
    for user in hardening.USERS:
        user_id = f"{prefix}-{user.name}"
        passwords = [] if uses_iam else _passwords(context, user.name)
        logins[user.name] = Login(user_id if uses_iam else user.name, passwords[0] if passwords else None)
        users[user.name] = User(
            f"{user.name}-iam" if uses_iam else user.name,
            user_id=user_id,
            user_name=logins[user.name].user,
            engine="valkey",
            access_string=access_string(user),
            authentication_mode=_mode(passwords),
            tags=context.tags,
            opts=context.options(),
        )
    group = UserGroup(
        "users-iam" if uses_iam else "users",
        user_group_id=prefix,
        engine="valkey",
        user_ids=[user.user_id for user in users.values()],
        tags=context.tags,
        opts=context.options(),
    )
    return Access(group.user_group_id, logins, {role: user.arn for role, user in users.items()})


def _mode(passwords: list[pulumi.Output[str]]) -> Any:
    if not passwords:
        return {"type": "iam"}
    # The SDK doesn't mark them as secret here; our password resources do.
    return {"type": "password", "passwords": passwords}


def _passwords(context: Context, role: str) -> list[pulumi.Output[str]]:
    """Of this generation, and of the one before while clients still have it."""
    newest = context.settings.aws.passwordGeneration
    return [Password(f"{role}-{number}", "", context.child).value for number in (newest, newest - 1) if number]
