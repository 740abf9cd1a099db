"""Who logs in, and how: users by role, with two valid passwords while they rotate, or signed by IAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws.elasticache.user import User
from pulumi_aws.elasticache.user_group import UserGroup

from infra import hardening
from infra.providers.credentials import Password
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
    passwords = {} if uses_iam else _passwords(context)
    users, logins = {}, {}
    for user in hardening.USERS:
        user_id, password = f"{prefix}-{user.name}", passwords.get(user.name)
        logins[user.name] = Login(user.name, password.value) if password else Login(user_id)
        users[user.name] = User(
            f"{user.name}-iam" if uses_iam else user.name,
            user_id=user_id,
            user_name=logins[user.name].user,
            engine="valkey",
            access_string=access_string(user),
            authentication_mode=_mode(password, keeps_old=context.settings.keeps_old_passwords),
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


def _passwords(context: Context) -> dict[str, Password]:
    rotation, retired = context.settings.rotation, context.settings.retired
    return {user.name: Password(user.name, rotation, retired, context.child) for user in hardening.USERS}


def _mode(password: Password | None, *, keeps_old: bool) -> Any:
    """During a rotation the password before is valid too."""
    if password is None:
        return {"type": "iam"}
    known = pulumi.Output.all(password.value, password.previous if keeps_old else None)
    valid = known.apply(lambda values: [value for value in values if value])
    # The SDK doesn't mark them as secret here.
    return {"type": "password", "passwords": pulumi.Output[list[str]].secret(valid)}
