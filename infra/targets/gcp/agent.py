"""Permissions of Memorystore's service agent: the encryption key, and the files to restore from."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_gcp.projects.service_identity import ServiceIdentity

from infra.settings import StackSettings
from infra.targets.context import Context

KEY_ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
FILES_ROLE = "roles/storage.objectViewer"


def buckets(settings: StackSettings) -> list[str]:
    """The Cloud Storage buckets of the RDB files to restore from."""
    files = settings.restoreFrom.split(",") if settings.restoreFrom.startswith("gs://") else []
    return sorted({file.removeprefix("gs://").partition("/")[0] for file in files})


def grant_agent_access(context: Context, apis: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
    """The grants. Also creates the service agent, which does not exist before a project's first instance."""
    settings, gcp = context.settings, context.settings.gcp
    if not (gcp.kmsKey or buckets(settings)):
        return []
    account = ServiceIdentity(
        "agent",
        service="memorystore.googleapis.com",
        project=gcp.project,
        opts=context.options(pulumi.ResourceOptions(depends_on=list(apis))),
    )
    grants = [_files(context, bucket, account) for bucket in buckets(settings)]
    return [*grants, _key(context, account)] if gcp.kmsKey else grants


def _files(context: Context, bucket: str, account: ServiceIdentity) -> pulumi.Resource:
    from pulumi_gcp.storage.bucket_iam_member import BucketIAMMember

    grant: pulumi.Resource = BucketIAMMember(
        f"read-{bucket}", bucket=bucket, role=FILES_ROLE, member=account.member, opts=context.options()
    )
    return grant


def _key(context: Context, account: ServiceIdentity) -> pulumi.Resource:
    from pulumi_gcp.kms.crypto_key_iam_member import CryptoKeyIAMMember

    key = context.settings.gcp.kmsKey
    grant: pulumi.Resource = CryptoKeyIAMMember(
        "key", crypto_key_id=key, role=KEY_ROLE, member=account.member, opts=context.options()
    )
    return grant
