"""Users and permissions on AWS: passwords, two of which are valid during a rotation, or IAM."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws.elasticache.user import User
from pulumi_aws.elasticache.user_group import UserGroup
from pulumi_aws.iam.policy import Policy
from valkeykit.endpoint import Endpoint

from infra import hardening
from infra.hardening import Topology
from infra.providers.credentials import Password
from infra.settings.aws.users import names_restricted
from infra.targets.context import Context, safe_name
from infra.targets.deployment import Login
from infra.targets.previous_resources import Inputs
from infra.targets.update_checks import Obstacle, check_updates


@dataclass(frozen=True)
class UserAccess:
    """group: the id of the user group. logins: by role. others: the logins of `aws.users`, by name.
    arns: of all users, by role or name.
    """

    group: pulumi.Output[str]
    logins: dict[str, Login]
    others: dict[str, Login]
    arns: dict[str, pulumi.Output[str]]


MAX_USER_ID = 40


def access_string(user: hardening.User, topology: Topology) -> str:
    """Without `on`, ElastiCache creates the user but rejects its logins; restricted commands fail the request."""
    return " ".join(["on", *(rule for rule in user.rules.split() if not names_restricted(rule, topology))])


def group_name(context: Context) -> str:
    """IAM has another group: AWS may lose users in an update that adds and removes some, so all change at once."""
    return f"{context.name}-iam" if context.settings.aws.auth == "iam" else context.name


def create_users(context: Context) -> UserAccess:
    """The users of the hardening table and of `aws.users`, in a group that disables the default user."""
    settings = context.settings
    prefix, uses_iam = group_name(context), settings.aws.auth == "iam"
    wanted = [*hardening.USERS, *(hardening.User(name, rules, "") for name, rules in settings.aws.users.items())]
    users: dict[str, User] = {}
    logins = {}
    for user in wanted:
        # The resources of the operator's users have a prefix, so that no name of the program's own can be theirs.
        resource = f"user-{user.name}" if user.name in settings.aws.users else user.name
        user_id = safe_name(f"{prefix}-{user.name}", MAX_USER_ID)
        password = None if uses_iam else _password(context, resource)
        logins[user.name] = Login(user.name, password.value) if password else Login(user_id)
        users[user.name] = User(
            context.resource(f"{resource}-iam" if uses_iam else resource),
            user_id=user_id,
            user_name=logins[user.name].user,
            engine="valkey",
            access_string=access_string(user, settings.topology),
            authentication_mode=_mode(password, keep_previous=settings.previous_passwords_valid),
            tags=context.tags,
            # One after another: AWS rejects a change of a user while another user of the group changes.
            opts=context.options(pulumi.ResourceOptions(depends_on=list(users.values())[-1:])),
        )
    group = UserGroup(
        context.resource("users-iam" if uses_iam else "users"),
        user_group_id=prefix,
        engine="valkey",
        user_ids=[user.user_id for user in users.values()],
        tags=context.tags,
        opts=context.options(check_updates(context.resource("checks of the user group"), swapped_users)),
    )
    return UserAccess(
        group.user_group_id,
        {name: login for name, login in logins.items() if name not in settings.aws.users},
        {name: login for name, login in logins.items() if name in settings.aws.users},
        {role: user.arn for role, user in users.items()},
    )


def swapped_users(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    """AWS may lose users in an update that adds some and removes others."""
    before, after = set(previous.get("userIds") or ()), set(new.get("userIds") or ())
    if before - after and after - before:
        added, removed = ", ".join(sorted(after - before)), ", ".join(sorted(before - after))
        reason = f"users cannot be added ({added}) and removed ({removed}) in the same update"
        yield Obstacle(reason, "add them first: keep the removed ones for one more `pulumi up`")


def user_urls(users: Mapping[str, Login], endpoint: pulumi.Output[Endpoint]) -> dict[str, pulumi.Output[str]]:
    """A URL for each user of `aws.users`; it is secret if it has a password."""
    return {name: _url(endpoint, login) for name, login in users.items()}


def _url(endpoint: pulumi.Output[Endpoint], login: Login) -> pulumi.Output[str]:
    return pulumi.Output.all(endpoint, login.password).apply(lambda parts: parts[0].url(login.user, parts[1]))


def create_connect_policies(
    context: Context, access: UserAccess, cache_arn: pulumi.Output[str]
) -> dict[str, dict[str, pulumi.Output[str]]]:
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
        context.resource(f"connect-{role}"),
        name=f"{context.name}-connect-{role}",
        description=f"May log in to Valkey as {role}",
        policy=document,
        tags=context.tags,
        opts=context.options(),
    )
    return {"arn": policy.arn, "document": document}


def _password(context: Context, name: str) -> Password:
    settings = context.settings
    return Password(
        context.resource(name), settings.passwordRotation, settings.completedRotation, context.child_options
    )


def _mode(password: Password | None, *, keep_previous: bool) -> Any:
    """During a rotation the previous password is valid too."""
    if password is None:
        return {"type": "iam"}
    passwords = pulumi.Output.all(password.value, password.previous if keep_previous else None)
    valid = passwords.apply(lambda values: [value for value in values if value])
    # The SDK doesn't mark them as secret here.
    return {"type": "password", "passwords": pulumi.Output[list[str]].secret(valid)}
