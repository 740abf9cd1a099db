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

# The pack's environment doesn't have this project.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "client" / "ops"))

from infra.policy.rules import POLICIES, Policy, Subject

CONFIGURATION = PolicyConfigSchema(
    properties={
        "environment": {"type": "string", "enum": ["dev", "prod"], "default": "prod"},
        "allowed": {"type": "array", "items": {"type": "string"}, "default": []},
    }
)
"""A pack isn't told the stack's configuration: what isn't said is taken for prod."""


def _policy(known: Policy) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for problem in known.check(_subject(args)):
            report(problem, None)

    return ResourceValidationPolicy(
        name=known.name,
        description=known.description,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=CONFIGURATION,
    )


def _subject(args: ResourceValidationArgs) -> Subject:
    config = args.get_config()
    return Subject(
        kind=args.resource_type,
        props=args.props,
        is_protected=bool(args.opts.protect),
        is_prod=config["environment"] == "prod",
        allowed=config["allowed"],
    )


PolicyPack("valkey", [_policy(known) for known in POLICIES])
