"""The policy pack: `pulumi up --policy-pack infra/policy`."""

from __future__ import annotations

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

from infra.policy.rules import POLICIES, Policy, Subject


def _policy(known: Policy) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        subject = Subject(args.resource_type, args.props, bool(args.opts.protect), is_prod, allowed)
        for problem in known.check(subject):
            report(problem, None)

    return ResourceValidationPolicy(
        name=known.name,
        description=known.description,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


config = pulumi.Config("valkey")
is_prod = config.get("environment") == "prod"
allowed = (config.get_object("docker") or {}).get("allow", ())

PolicyPack("valkey", [_policy(known) for known in POLICIES])
