"""Check of a stack against the policy pack of infra/policy."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from infra.policy.policies import POLICIES
from stackctl.stack import Stack


def check(stack: Stack) -> None:
    """Preview the stack with the policy pack, which gets parts of the stack's configuration.

    Raises:
        StackError: there is no such stack, or a policy is violated; Pulumi has printed which.
    """
    configuration = stack.configuration()
    config = {
        "enforcementLevel": "mandatory",
        "environment": configuration.get("environment", "dev"),
        "allowed": _listed(configuration.get("docker", {}).get("allowedCidrs", "")),
    }
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "policies.json"
        settings.write_text(json.dumps({policy.name: config for policy in POLICIES}))
        pack = str(stack.root / "infra" / "policy" / "pack")
        stack.preview("--policy-pack", pack, "--policy-pack-config", str(settings))


def _listed(value: str | list[str]) -> list[str]:
    """The items of a list, or of comma-separated text."""
    parts = value.split(",") if isinstance(value, str) else value
    return [part.strip() for part in parts if part.strip()]
