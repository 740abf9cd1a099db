"""Access for resources of the caller's program: a security group, or an IAM role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws.iam.role_policy_attachment import RolePolicyAttachment
from valkeykit.errors import ConfigurationError

from infra.settings.config_keys import set_command
from infra.targets.aws import network
from infra.targets.context import Context
from infra.targets.deployment import Grants


@dataclass(frozen=True)
class AwsGrants(Grants):
    """servers: the cache's security group. policies: the connect policy of each user; none without IAM."""

    context: Context
    servers: pulumi.Output[str]
    policies: Mapping[str, Mapping[str, pulumi.Output[str]]]

    def allow_security_group(self, name: str, group: pulumi.Input[str]) -> None:
        for port in network.ports(self.context.settings):
            network.create_ingress_rule(
                self.context, f"grant-{name}-{port}", port, self.servers, referenced_security_group_id=group
            )

    def attach_connect_policy(self, name: str, role: pulumi.Input[str], user: str) -> None:
        """
        Raises:
            ConfigurationError: clients log in with passwords, or there is no such user.
        """
        if not self.policies:
            raise ConfigurationError(
                "connect policies exist with IAM authentication only, but aws.auth is password",
                fix=set_command("aws.auth", "iam"),
            )
        if user not in self.policies:
            raise ConfigurationError(f"the user {user!r} does not exist", fix=f"use one of {', '.join(self.policies)}")
        RolePolicyAttachment(
            self.context.resource(f"grant-{name}"),
            role=role,
            policy_arn=self.policies[user]["arn"],
            opts=self.context.options(),
        )
