"""Who logs in: members of the project, by IAM; each with the rights of its role, by an ACL policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp.memorystore.acl_policy import AclPolicy
from pulumi_gcp.projects.iam_member import IAMMember

from infra import hardening
from infra.settings import Settings
from infra.settings.gcp.access import MEMBERS
from infra.targets import Login
from infra.targets.context import Context
from infra.targets.gcp import names

CONNECT_ROLE = "roles/memorystore.dbConnectionUser"

EVERYBODY = "default"
"""Who a member is on the server where there is no ACL policy."""


@dataclass(frozen=True)
class Access:
    """policy: the ACL policy's full name and what makes it; None where there is none."""

    logins: Mapping[str, Login]
    policy: str | None
    needs: Sequence[pulumi.Resource]


def members(settings: Settings) -> dict[str, tuple[str, ...]]:
    """By role."""
    return {role: getattr(settings.gcp, key) for role, key in MEMBERS.items()}


def rules(settings: Settings) -> list[dict[str, str]]:
    """The ACL policy's: the hardening's rights for the address of each member. A rule without `on` lets nobody in."""
    rights = {user.name: user.rules for user in hardening.USERS}
    return [
        {"username": _address(member), "rule": f"on {rights[role]}"}
        for role, named in members(settings).items()
        for member in named
    ]


def logins(settings: Settings) -> dict[str, Login]:
    """The first member of each role. Nobody has a password: with IAM each client signs, without it nobody logs in."""
    return {role: Login(_user(settings, named)) for role, named in members(settings).items()}


def make(context: Context, apis: Sequence[pulumi.Resource]) -> Access:
    """The policy, before the instance that it belongs to."""
    settings = context.settings
    found: list[Any] = list(rules(settings)) if settings.gcp.acl else []
    if not found:
        return Access(logins(settings), None, [])
    policy = AclPolicy(
        "acl",
        acl_policy_id=context.name,
        location=settings.gcp.location,
        project=settings.gcp.project,
        # Nothing in them is secret here, but the SDK's own mark is missing where passwords may stand.
        rules=pulumi.Output.secret(found),
        opts=context.options(pulumi.ResourceOptions(depends_on=list(apis))),
    )
    return Access(logins(settings), names.acl_policy(context), [policy])


def bind(context: Context) -> None:
    """May connect to this instance, and to no other one."""
    condition: Any = {
        "title": f"only {context.name}",
        "expression": f'resource.name == "{names.instance(context)}"',
    }
    for named in members(context.settings).values():
        for member in named:
            IAMMember(
                f"connect-{_address(member)}",
                project=context.settings.gcp.project,
                role=CONNECT_ROLE,
                member=member,
                condition=condition,
                opts=context.options(),
            )


def _user(settings: Settings, named: Sequence[str]) -> str:
    if settings.gcp.auth == "none":
        return ""
    return _address(named[0]) if settings.gcp.acl and named else EVERYBODY


def _address(member: str) -> str:
    """An account's, as the server knows it."""
    return member.partition(":")[2]
