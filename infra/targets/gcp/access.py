"""Members that may log in with IAM, and the ACL policy with the permissions of their roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp.memorystore.acl_policy import AclPolicy
from pulumi_gcp.projects.iam_member import IAMMember

from infra import hardening
from infra.settings import StackSettings
from infra.settings.gcp.catalogue import MEMBER_KEYS
from infra.targets.context import Context
from infra.targets.deployment import Login
from infra.targets.gcp import names

CONNECT_ROLE = "roles/memorystore.dbConnectionUser"

DEFAULT_USER = "default"
"""The user of every member if there is no ACL policy."""


@dataclass(frozen=True)
class MemberAccess:
    """policy: the full name of the ACL policy, or None. depends_on: the resources that create it."""

    logins: Mapping[str, Login]
    policy: str | None
    depends_on: Sequence[pulumi.Resource]


def members(settings: StackSettings) -> dict[str, tuple[str, ...]]:
    """The members of each role."""
    return {role: getattr(settings.gcp, key) for role, key in MEMBER_KEYS.items()}


def acl_rules(settings: StackSettings) -> list[dict[str, str]]:
    """The rules of the ACL policy, one for each member. Without `on` a rule rejects all logins."""
    permissions = {user.name: user.rules for user in hardening.USERS}
    return [
        {"username": _address(member), "rule": f"on {permissions[role]}"}
        for role, role_members in members(settings).items()
        for member in role_members
    ]


def logins(settings: StackSettings) -> dict[str, Login]:
    """The first member of each role, without a password: with IAM, clients sign their logins."""
    return {role: Login(_user(settings, role_members)) for role, role_members in members(settings).items()}


def acl_policy_name(context: Context) -> str | None:
    """The full name of the ACL policy; None if there is none."""
    return names.acl_policy(context) if context.settings.gcp.acl and acl_rules(context.settings) else None


def create_acl_policy(context: Context) -> MemberAccess:
    """The ACL policy, which the instance refers to."""
    settings, name = context.settings, acl_policy_name(context)
    if name is None:
        return MemberAccess(logins(settings), None, [])
    rules: list[Any] = list(acl_rules(settings))
    policy = AclPolicy(
        context.resource("acl"),
        acl_policy_id=context.name,
        location=settings.gcp.location,
        project=settings.gcp.project,
        # They contain no secret, but rules can contain passwords, and the SDK does not mark them.
        rules=pulumi.Output.secret(rules),
        opts=context.options(),
    )
    return MemberAccess(logins(settings), name, [policy])


def grant_connect(context: Context) -> None:
    """Let the members connect to this instance only."""
    condition: Any = {
        "title": f"only {context.name}",
        "expression": f'resource.name == "{names.instance(context)}"',
    }
    for role_members in members(context.settings).values():
        for member in role_members:
            IAMMember(
                context.resource(f"connect-{_address(member)}"),
                project=context.settings.gcp.project,
                role=CONNECT_ROLE,
                member=member,
                condition=condition,
                opts=context.options(),
            )


def _user(settings: StackSettings, role_members: Sequence[str]) -> str:
    if settings.gcp.auth == "none":
        return ""
    return _address(role_members[0]) if settings.gcp.acl and role_members else DEFAULT_USER


def _address(member: str) -> str:
    """The address of a member, which is its user name on the server."""
    return member.partition(":")[2]
