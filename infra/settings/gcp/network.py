"""Where the endpoints lie: what doesn't go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.keys import Mistake, drop, put

if TYPE_CHECKING:
    from infra.settings.stack import Settings


def project_of(resource: str) -> str:
    """The project in a resource's full name."""
    return resource.split("/")[1]


def mistakes(settings: Settings) -> Iterator[Mistake]:
    gcp = settings.gcp
    if not gcp.network:
        for key in ("subnetworks", "connectionPolicy", "endpointProject"):
            if getattr(gcp, key):
                yield Mistake(f"gcp.{key}", "is set, but no network", drop(f"gcp.{key}"))
        return
    if "subnetCidr" in gcp.model_fields_set:
        yield Mistake("gcp.subnetCidr", "is set, but the network is an existing one", drop("gcp.subnetCidr"))
    yield from _with_policy(settings) if gcp.connectionPolicy else _with_subnetworks(settings)


def _with_policy(settings: Settings) -> Iterator[Mistake]:
    """An existing policy says itself where the addresses come from."""
    gcp = settings.gcp
    for key in ("subnetworks", "connectionLimit"):
        if getattr(gcp, key):
            yield Mistake(f"gcp.{key}", "is set, but an existing policy has its own", drop(f"gcp.{key}"))
    if gcp.location and f"/locations/{gcp.location}/" not in gcp.connectionPolicy:
        reason = f"is {gcp.connectionPolicy}, which holds for another region than {gcp.location}"
        yield Mistake("gcp.connectionPolicy", reason, put("gcp.connectionPolicy", _policy_here(settings)))
    elif project_of(gcp.connectionPolicy) != project_of(gcp.network):
        reason = f"is {gcp.connectionPolicy}, but the network belongs to {project_of(gcp.network)}"
        yield Mistake("gcp.connectionPolicy", reason, put("gcp.connectionPolicy", _policy_here(settings)))


def _policy_here(settings: Settings) -> str:
    gcp = settings.gcp
    name = gcp.connectionPolicy.rpartition("/")[2]
    return f"projects/{project_of(gcp.network)}/locations/{gcp.location}/serviceConnectionPolicies/{name}"


def _with_subnetworks(settings: Settings) -> Iterator[Mistake]:
    gcp, owner = settings.gcp, project_of(settings.gcp.network)
    example = f"projects/{owner}/regions/{gcp.location or 'europe-west3'}/subnetworks/default"
    if not gcp.subnetworks:
        reason = "is set, but neither subnetworks for a policy nor a connectionPolicy"
        yield Mistake("gcp.network", reason, put("gcp.subnetworks", example))
    if gcp.location and any(f"/regions/{gcp.location}/" not in name for name in gcp.subnetworks):
        yield Mistake("gcp.subnetworks", f"aren't all in {gcp.location}", put("gcp.subnetworks", example))
    elif any(project_of(name) != owner for name in gcp.subnetworks):
        yield Mistake("gcp.subnetworks", f"aren't all of {owner}'s, as the network", put("gcp.subnetworks", example))
    elif len(set(gcp.subnetworks)) < len(gcp.subnetworks):
        once = ",".join(dict.fromkeys(gcp.subnetworks))
        yield Mistake("gcp.subnetworks", "names a subnet twice", put("gcp.subnetworks", once))
