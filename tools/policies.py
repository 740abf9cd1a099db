"""A stack held against the policy pack of infra/policy."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from infra.policy.policies import POLICIES
from tools.stack import Stack


def check(stack: Stack) -> None:
    """Preview the stack with the pack, which is told what the stack's configuration says.

    Raises:
        ToolError: there is no such stack, or a policy is violated; Pulumi has said which.
    """
    known = stack.configuration()
    said = {
        "enforcementLevel": "mandatory",
        "environment": known.get("environment", "dev"),
        "allowed": _listed(known.get("docker", {}).get("allowedCidrs", "")),
    }
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "policies.json"
        settings.write_text(json.dumps({policy.name: said for policy in POLICIES}))
        pack = str(stack.root / "infra" / "policy" / "pack")
        stack.preview("--policy-pack", pack, "--policy-pack-config", str(settings))


def _listed(value: str | list[str]) -> list[str]:
    """A list, or text with commas between."""
    parts = value.split(",") if isinstance(value, str) else value
    return [part.strip() for part in parts if part.strip()]
