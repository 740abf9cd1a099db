"""Google's errors in the operator's words, with the fix. The engine prints Google's own words too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import ErrorHook, ErrorHookArgs, ResourceHookBinding

from infra.settings.config_keys import set_command
from infra.targets.identity import Identity


@dataclass(frozen=True)
class Explanation:
    """pattern: in Google's error. meaning, fix: with the names in braces of `explain`."""

    pattern: str
    meaning: str
    fix: str


_EXPLANATIONS = (
    Explanation(
        r"[Bb]illing",
        "the project {project} has no active billing account",
        "gcloud billing projects link {project} --billing-account=<an account>, then repeat the update",
    ),
    Explanation(
        r"constraints/(?P<constraint>[\w.]*\w)",
        "the organization policy {constraint} forbids it in the project {project}",
        "gcloud org-policies describe {constraint} --effective --project={project}; the organization's administrator "
        "can make an exception",
    ),
    Explanation(
        r"API has not been used in project|SERVICE_DISABLED|it is disabled",
        "an API is off in the project {project}",
        f"{set_command('gcp.enableApis', 'true')}, or enable the API that Google names; then repeat the update",
    ),
    Explanation(
        r"pscAutoConnection\.project_id shall be the same",
        "the project {project} is not attached to the host project of the network",
        "gcloud compute shared-vpc associated-projects add {project} --host-project=<the network's project>",
    ),
    Explanation(
        r"IPCidrRange|[Oo]verlap",
        "the address range of the subnet overlaps with another one",
        set_command("gcp.subnetCidr", "<a free private network>"),
    ),
    Explanation(
        r"[Qq]uota|RESOURCE_EXHAUSTED",
        "a quota of the project {project} is used up",
        "raise it in Google's console (IAM & Admin, Quotas)",
    ),
)
"""The first one whose pattern matches counts."""


def explain(inputs: Mapping[str, Any], errors: Sequence[str]) -> str | None:
    """What an error of a resource with these inputs means; None if it speaks for itself."""
    text = "\n".join(errors)
    for known in _EXPLANATIONS:
        if match := re.search(known.pattern, text):
            names = {"project": str(inputs.get("project")), **match.groupdict()}
            return f"{known.meaning} -> {known.fix}".format(**names)
    return None


def explaining(identity: Identity) -> pulumi.ResourceOptions:
    """Options with which the errors of a resource are explained."""

    def on_error(failure: ErrorHookArgs) -> bool:
        """Nothing is tried again."""
        if meaning := explain(failure.new_inputs or failure.old_inputs or {}, failure.errors):
            pulumi.log.error(meaning)
        return False

    hook = ErrorHook(identity.resource("explanations of errors"), on_error)
    return pulumi.ResourceOptions(hooks=ResourceHookBinding(on_error=[hook]))
