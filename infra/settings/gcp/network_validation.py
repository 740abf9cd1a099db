"""Cross-key validation of the network on gcp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.gcp.resource_names import project_of
from infra.settings.keys import ConfigProblem, remove_command, set_command

if TYPE_CHECKING:
    from infra.settings.stack import StackSettings


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp = settings.gcp
    if not gcp.network:
        for key in ("subnetworks", "connectionPolicy"):
            if getattr(gcp, key):
                yield ConfigProblem(f"gcp.{key}", "is set, but network is empty", remove_command(f"gcp.{key}"))
        return
    if "subnetCidr" in gcp.model_fields_set:
        reason = "is set, but the network already exists"
        yield ConfigProblem("gcp.subnetCidr", reason, remove_command("gcp.subnetCidr"))
    yield from _with_policy(settings) if gcp.connectionPolicy else _with_subnetworks(settings)


def _with_policy(settings: StackSettings) -> Iterator[ConfigProblem]:
    """An existing policy has its own subnets."""
    gcp = settings.gcp
    for key in ("subnetworks", "connectionLimit"):
        if getattr(gcp, key):
            reason = "is set, but an existing policy has its own"
            yield ConfigProblem(f"gcp.{key}", reason, remove_command(f"gcp.{key}"))
    fix = set_command("gcp.connectionPolicy", _matching_policy(settings))
    if gcp.location and f"/locations/{gcp.location}/" not in gcp.connectionPolicy:
        reason = f"is {gcp.connectionPolicy}, which is not in {gcp.location}"
        yield ConfigProblem("gcp.connectionPolicy", reason, fix)
    elif project_of(gcp.connectionPolicy) != project_of(gcp.network):
        reason = f"is {gcp.connectionPolicy}, but the network belongs to {project_of(gcp.network)}"
        yield ConfigProblem("gcp.connectionPolicy", reason, fix)


def _matching_policy(settings: StackSettings) -> str:
    gcp = settings.gcp
    name = gcp.connectionPolicy.rpartition("/")[2]
    return f"projects/{project_of(gcp.network)}/locations/{gcp.location}/serviceConnectionPolicies/{name}"


def _with_subnetworks(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp, owner = settings.gcp, project_of(settings.gcp.network)
    fix = set_command(
        "gcp.subnetworks", f"projects/{owner}/regions/{gcp.location or 'europe-west3'}/subnetworks/default"
    )
    if not gcp.subnetworks:
        yield ConfigProblem("gcp.network", "is set without subnetworks or connectionPolicy", fix)
    if gcp.location and any(f"/regions/{gcp.location}/" not in name for name in gcp.subnetworks):
        yield ConfigProblem("gcp.subnetworks", f"are not all in {gcp.location}", fix)
    elif any(project_of(name) != owner for name in gcp.subnetworks):
        yield ConfigProblem("gcp.subnetworks", f"do not all belong to {owner}, the network's project", fix)
    elif len(set(gcp.subnetworks)) < len(gcp.subnetworks):
        unique = ",".join(dict.fromkeys(gcp.subnetworks))
        yield ConfigProblem("gcp.subnetworks", "lists a subnet twice", set_command("gcp.subnetworks", unique))
