"""Cross-key validation of the network on gcp."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.config_keys import ConfigProblem, remove_command, set_command
from infra.settings.gcp.resource_names import project_of

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp = settings.gcp
    yield from _endpoint_networks(settings)
    if not gcp.network:
        for key in ("subnetworks", "connectionPolicy", "allowedProducers"):
            if getattr(gcp, key):
                yield ConfigProblem(f"gcp.{key}", "is set, but network is empty", remove_command(f"gcp.{key}"))
        return
    if "subnetCidr" in gcp.model_fields_set:
        reason = "is set, but the network already exists"
        yield ConfigProblem("gcp.subnetCidr", reason, remove_command("gcp.subnetCidr"))
    yield from _with_policy(settings) if gcp.connectionPolicy else _with_subnetworks(settings)


def _endpoint_networks(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp = settings.gcp
    fix = remove_command("gcp.endpointNetworks")
    for network, subnetwork in gcp.endpointNetworks.items():
        if network == gcp.network:
            yield ConfigProblem("gcp.endpointNetworks", f"lists {network}, which is gcp.network", fix)
        elif gcp.location and f"/regions/{gcp.location}/" not in subnetwork:
            yield ConfigProblem("gcp.endpointNetworks", f"has {subnetwork}, which is not in {gcp.location}", fix)
        elif project_of(subnetwork) != project_of(network):
            reason = f"has {subnetwork}, which does not belong to {project_of(network)}, the network's project"
            yield ConfigProblem("gcp.endpointNetworks", reason, fix)
    if gcp.endpointNetworks and gcp.allowReplacement:
        reason = "is true, but an instance with endpoints in further networks cannot be replaced; remove them first"
        yield ConfigProblem("gcp.allowReplacement", reason, remove_command("gcp.allowReplacement"))


def _with_policy(settings: StackSettings) -> Iterator[ConfigProblem]:
    """An existing policy has its own subnets."""
    gcp = settings.gcp
    for key in ("subnetworks", "connectionLimit", "allowedProducers"):
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
    if _rejects_own_project(settings):
        allowed = ",".join([*gcp.allowedProducers, f"projects/{gcp.project}"])
        reason = f"does not contain projects/{gcp.project}, the instance's own project"
        yield ConfigProblem("gcp.allowedProducers", reason, set_command("gcp.allowedProducers", allowed))


def _rejects_own_project(settings: StackSettings) -> bool:
    """A number, a folder or an organization may contain it."""
    allowed, project = settings.gcp.allowedProducers, settings.gcp.project
    names_projects = all(re.fullmatch(r"projects/[a-z].*", name) for name in allowed)
    return bool(allowed and project and names_projects and f"projects/{project}" not in allowed)
