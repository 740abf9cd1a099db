"""Dynamic providers of passwords, their rotation, and certificates."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from infra.drivers.passwords import new_password
from infra.providers import Props


class PasswordProvider(ResourceProvider):
    """A random password; a new rotation creates a new one and keeps the previous one."""

    serialize_as_secret_always = False

    def check(self, olds: Props, news: Props) -> CheckResult:
        """A new password can't revoke the previous one in the same step: every application would be locked out."""
        if not olds or olds.get("rotation", "") == news["rotation"] or news["rotation"] != news["completed"]:
            return CheckResult(news, [])
        previous = olds.get("rotation", "")
        fix = f"pulumi config set completedRotation {previous}" if previous else "pulumi config rm completedRotation"
        reason = f"ends the passwords before the rotation {news['rotation']!r}, which is not carried out yet -> {fix}"
        return CheckResult(news, [CheckFailure("completed", reason)])

    def create(self, props: Props) -> CreateResult:
        return CreateResult(uuid.uuid4().hex, {"rotation": props["rotation"], "value": new_password(), "previous": ""})

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        return DiffResult(changes=olds.get("rotation", "") != news["rotation"])

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult({"rotation": news["rotation"], "value": new_password(), "previous": olds["value"]})


class Password(Resource, module="valkey", name="Password"):
    """value: the current password. previous: the one before the last rotation, or nothing."""

    value: pulumi.Output[str]
    previous: pulumi.Output[str | None]

    def __init__(
        self, name: str, rotation: pulumi.Input[str], completed: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """
        rotation: a name; a new one creates a new password.
        completed: the last rotation whose previous passwords were revoked.
        """
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value", "previous"])
        props = {"rotation": rotation, "completed": completed, "value": None, "previous": None}
        super().__init__(PasswordProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class RotationProvider(ResourceProvider):
    """The rotation that the servers have; it is updated after them."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        return CreateResult(uuid.uuid4().hex, _current_rotation(props))

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """A refresh passes inputs that an earlier version stored."""
        before, after = ((props["rotation"], completed_rotation(props)) for props in (olds, news))
        return DiffResult(changes=before != after)

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        is_new = olds["rotation"] != news["rotation"]
        return UpdateResult(
            _current_rotation(news) if is_new else {**_current_rotation(news), "loaded": olds["loaded"]}
        )


def completed_rotation(props: Mapping[str, Any]) -> str:
    """The completed rotation in the inputs or the state of a `Rotation`; an earlier version stored it as `retired`."""
    return str(props["completed"] if "completed" in props else props["retired"])


def _current_rotation(props: Props) -> Props:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"rotation": props["rotation"], "completed": props["completed"], "loaded": now}


class Rotation(Resource, module="valkey", name="Rotation"):
    """The values of the keys `passwordRotation` and `completedRotation` that the servers have.

    loaded: when the last server loaded the passwords of this rotation, UTC in ISO 8601.
    """

    loaded: pulumi.Output[str]

    def __init__(self, name: str, rotation: str, completed: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """opts: must depend on all resources with the passwords."""
        props = {"rotation": rotation, "completed": completed, "loaded": None}
        super().__init__(RotationProvider(), name, props, opts)


class AuthorityProvider(ResourceProvider):
    """A CA, which is replaced long before its end; then the previous one is trusted too."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        return CreateResult(uuid.uuid4().hex, _authority(props["name"], previous=""))

    def diff(self, _id: str, olds: Props, _news: Props) -> DiffResult:
        from infra.drivers.certificates import RENEW_AUTHORITY_BEFORE, expires_at

        return DiffResult(changes=expires_at(olds["certificate"]) - datetime.now(timezone.utc) < RENEW_AUTHORITY_BEFORE)

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(_authority(news["name"], previous=olds["certificate"]))


class Authority(Resource, module="valkey", name="Authority"):
    """A CA. bundle: the certificates to trust. certificate, key: of the CA itself. All PEM."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]
    bundle: pulumi.Output[str]

    def __init__(self, name: str, common_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["key"])
        props = {"name": common_name, "certificate": None, "key": None, "bundle": None}
        super().__init__(AuthorityProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class CertificateProvider(ResourceProvider):
    """A leaf certificate, which `pulumi up` renews well before its end."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        return CreateResult(uuid.uuid4().hex, _leaf(props))

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        from infra.drivers.certificates import must_renew

        other = olds["authority"] != news["authority"]
        return DiffResult(changes=other or must_renew(olds["certificate"], news["names"]))

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(_leaf(news))


class Certificate(Resource, module="valkey", name="Certificate"):
    """A certificate for host names and addresses, signed by a CA."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]

    def __init__(
        self, name: str, authority: Authority, names: list[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["key", "authorityKey"])
        props = {
            "authority": authority.certificate,
            "authorityKey": authority.key,
            "names": names,
            "certificate": None,
            "key": None,
        }
        super().__init__(CertificateProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


def _authority(name: str, previous: str) -> Props:
    from infra.drivers import certificates

    pair = certificates.create_authority(name)
    return {"name": name, "certificate": pair.certificate, "key": pair.key, "bundle": pair.certificate + previous}


def _leaf(props: Props) -> Props:
    from infra.drivers.certificates import CertificatePair, issue_certificate

    pair = issue_certificate(CertificatePair(props["authority"], props["authorityKey"]), props["names"])
    return {**props, "certificate": pair.certificate, "key": pair.key}
