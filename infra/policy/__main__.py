"""The policy pack: `make policy`, or `pulumi up --policy-pack infra/policy`."""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

# This project is not installed in the pack's environment.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "client"))
sys.path.insert(2, str(Path(__file__).resolve().parents[2] / "client" / "ops"))

from infra.policy.policies import POLICIES, CheckedResource, Policy

CONFIGURATION = PolicyConfigSchema(
    properties={
        "environment": {"type": "string", "enum": ["dev", "prod"], "default": "prod"},
        "allowed": {"type": "array", "items": {"type": "string"}, "default": []},
    }
)
"""Pulumi does not pass the stack's configuration to a pack; the default is prod."""


def _validation(policy: Policy) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for problem in policy.check(_resource(args)):
            report(problem, None)

    return ResourceValidationPolicy(
        name=policy.name,
        description=policy.description,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=CONFIGURATION,
    )


def _resource(args: ResourceValidationArgs) -> CheckedResource:
    config = args.get_config()
    return CheckedResource(
        kind=args.resource_type,
        props=args.props,
        is_protected=bool(args.opts.protect),
        is_prod=config["environment"] == "prod",
        allowed=config["allowed"],
    )


PolicyPack("valkey", [_validation(policy) for policy in POLICIES])
