"""Who may log in, and how connections are encrypted: what doesn't go together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.keys import Mistake, drop, put

if TYPE_CHECKING:
    from infra.settings.stack import Settings

MEMBERS = {"app": "appMembers", "admin": "adminMembers", "monitor": "monitorMembers"}
"""The key with the members of each role."""


def mistakes(settings: Settings) -> Iterator[Mistake]:
    yield from _login(settings)
    yield from _authority(settings)


def _login(settings: Settings) -> Iterator[Mistake]:
    gcp, is_production = settings.gcp, settings.environment == "prod"
    if gcp.auth == "iam" and not gcp.tls:
        yield Mistake("gcp.tls", "is false, but IAM's tokens need encrypted connections", put("gcp.tls", "true"))
    elif is_production and not gcp.tls:
        yield Mistake("gcp.tls", "is false, which production doesn't allow", put("gcp.tls", "true"))
    if is_production and gcp.auth == "none":
        yield Mistake("gcp.auth", "is none, which production doesn't allow", put("gcp.auth", "iam"))
    given = {key: getattr(gcp, key) for key in MEMBERS.values() if getattr(gcp, key)}
    if gcp.auth == "none":
        for key in given:
            yield Mistake(f"gcp.{key}", "are set, but nobody logs in", drop(f"gcp.{key}"))
    elif not gcp.acl:
        for key in given.keys() - {"appMembers"}:
            reason = "are set, but without the ACL policy every member has all rights"
            yield Mistake(f"gcp.{key}", reason, put("gcp.acl", "true"))
    for member, times in Counter(member for members in given.values() for member in members).items():
        if times > 1:
            key = next(key for key in reversed(given) if member in given[key])
            yield Mistake(f"gcp.{key}", f"names {member}, which is named before", drop(f"gcp.{key}"))


def _authority(settings: Settings) -> Iterator[Mistake]:
    gcp = settings.gcp
    if not gcp.tls:
        for key in ("serverCa", "caFile", "caPool", "checkHostname"):
            if key in gcp.model_fields_set and getattr(gcp, key) != type(gcp).model_fields[key].default:
                yield Mistake(f"gcp.{key}", "is set, but connections aren't encrypted", drop(f"gcp.{key}"))
        return
    if gcp.serverCa == "instance" and gcp.caFile:
        yield Mistake("gcp.caFile", "is set, but Memorystore tells an instance's own authority", drop("gcp.caFile"))
    if gcp.serverCa != "instance" and not gcp.caFile:
        reason = f"is {gcp.serverCa}, an authority that Memorystore doesn't tell, and no caFile is named"
        yield Mistake("gcp.serverCa", reason, drop("gcp.serverCa"))
    elif gcp.serverCa == "customer" and not gcp.caPool:
        yield Mistake("gcp.serverCa", "is customer, but no caPool is named", put("gcp.serverCa", "shared"))
    if gcp.serverCa != "customer" and gcp.caPool:
        yield Mistake("gcp.caPool", "is set, but serverCa isn't customer", drop("gcp.caPool"))
    elif gcp.caPool and gcp.location and f"/{gcp.location}/" not in gcp.caPool:
        yield Mistake("gcp.caPool", f"isn't in {gcp.location}", put("gcp.caPool", _moved(gcp.caPool, gcp.location)))


def _moved(resource: str, location: str) -> str:
    """A resource's full name in another location."""
    project, _, rest = resource.partition("/locations/")
    return f"{project}/locations/{location}/{rest.partition('/')[2]}"
