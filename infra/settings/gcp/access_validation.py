"""Cross-key validation of logins and encryption on gcp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.config_keys import ConfigProblem, remove_command, set_command
from infra.settings.gcp.catalogue import MEMBER_KEYS
from infra.settings.gcp.resource_names import is_elsewhere, moved

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    yield from _login(settings)
    yield from _members(settings)
    yield from _authority(settings)


def _login(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp, is_production = settings.gcp, settings.environment == "prod"
    if gcp.auth == "iam" and not gcp.tls:
        reason = "is false, but IAM tokens require encrypted connections"
        yield ConfigProblem("gcp.tls", reason, set_command("gcp.tls", "true"))
    elif is_production and not gcp.tls:
        yield ConfigProblem("gcp.tls", "is false, which is not allowed in production", set_command("gcp.tls", "true"))
    if is_production and gcp.auth == "none":
        yield ConfigProblem("gcp.auth", "is none, which is not allowed in production", set_command("gcp.auth", "iam"))


def _members(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp = settings.gcp
    present = {key: getattr(gcp, key) for key in MEMBER_KEYS.values() if getattr(gcp, key)}
    if gcp.auth == "none":
        for key in present:
            yield ConfigProblem(f"gcp.{key}", "is set, but authentication is off", remove_command(f"gcp.{key}"))
    elif not gcp.acl:
        for key in present.keys() - {"appMembers"}:
            reason = "is set, but without the ACL policy every member has all permissions"
            yield ConfigProblem(f"gcp.{key}", reason, set_command("gcp.acl", "true"))
    for member, times in Counter(member for members in present.values() for member in members).items():
        if times > 1:
            key = next(key for key in reversed(present) if member in present[key])
            reason = f"lists {member}, which is already listed"
            yield ConfigProblem(f"gcp.{key}", reason, remove_command(f"gcp.{key}"))


def _authority(settings: StackSettings) -> Iterator[ConfigProblem]:
    gcp = settings.gcp
    if not gcp.tls:
        for key in ("serverCa", "caFile", "caPool", "checkHostname"):
            if key in gcp.model_fields_set and getattr(gcp, key) != type(gcp).model_fields[key].default:
                reason = "is set, but connections aren't encrypted"
                yield ConfigProblem(f"gcp.{key}", reason, remove_command(f"gcp.{key}"))
        return
    if gcp.serverCa == "instance" and gcp.caFile:
        reason = "is set, but the API returns the authority of an instance"
        yield ConfigProblem("gcp.caFile", reason, remove_command("gcp.caFile"))
    if gcp.serverCa == "customer" and not gcp.caFile:
        reason = "is customer, an authority that the API does not return, but caFile is empty"
        yield ConfigProblem("gcp.serverCa", reason, remove_command("gcp.serverCa"))
    elif gcp.serverCa == "customer" and not gcp.caPool:
        yield ConfigProblem("gcp.serverCa", "is customer, but caPool is empty", set_command("gcp.serverCa", "shared"))
    if gcp.serverCa != "customer" and gcp.caPool:
        yield ConfigProblem("gcp.caPool", "is set, but serverCa isn't customer", remove_command("gcp.caPool"))
    elif is_elsewhere(gcp.caPool, gcp.location):
        fix = set_command("gcp.caPool", moved(gcp.caPool, gcp.location))
        yield ConfigProblem("gcp.caPool", f"isn't in {gcp.location}", fix)
