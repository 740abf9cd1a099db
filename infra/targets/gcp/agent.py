"""What Memorystore itself may reach: the key of the encryption, and the files that an instance starts with."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_gcp.projects.service_identity import ServiceIdentity

from infra.settings import Settings
from infra.targets.context import Context

KEY_ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
FILES_ROLE = "roles/storage.objectViewer"


def buckets(settings: Settings) -> list[str]:
    """Of the RDB files in Cloud Storage that an instance starts with."""
    files = settings.restoreFrom.split(",") if settings.restoreFrom.startswith("gs://") else []
    return sorted({file.removeprefix("gs://").partition("/")[0] for file in files})


def make(context: Context, apis: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
    """The grants. The service's account may not exist before a project's first instance; this makes it."""
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
