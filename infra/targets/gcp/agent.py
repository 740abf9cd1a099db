"""Permissions of Memorystore's service agent: the encryption key, the CA pool, and the files to restore from."""

from __future__ import annotations

import pulumi
from pulumi_gcp.projects.service_identity import ServiceIdentity

from infra.settings import StackSettings
from infra.targets.context import Context

KEY_ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
POOL_ROLE = "roles/privateca.certificateRequester"
FILES_ROLE = "roles/storage.objectViewer"


def buckets(settings: StackSettings) -> list[str]:
    """The Cloud Storage buckets of the RDB files to restore from."""
    files = settings.restoreFrom.split(",") if settings.restoreFrom.startswith("gs://") else []
    return sorted({file.removeprefix("gs://").partition("/")[0] for file in files})


def grant_agent_access(context: Context) -> list[pulumi.Resource]:
    """The grants. Also creates the service agent, which does not exist before a project's first instance."""
    settings, gcp = context.settings, context.settings.gcp
    if not (gcp.kmsKey or gcp.caPool or buckets(settings)):
        return []
    account = ServiceIdentity(
        context.resource("agent"), service="memorystore.googleapis.com", project=gcp.project, opts=context.options()
    )
    grants = [_files(context, bucket, account) for bucket in buckets(settings)]
    if gcp.kmsKey:
        grants.append(_key(context, account))
    if gcp.caPool:
        grants.append(_pool(context, account))
    return grants


def _files(context: Context, bucket: str, account: ServiceIdentity) -> pulumi.Resource:
    from pulumi_gcp.storage.bucket_iam_member import BucketIAMMember

    grant: pulumi.Resource = BucketIAMMember(
        context.resource(f"read-{bucket}"),
        bucket=bucket,
        role=FILES_ROLE,
        member=account.member,
        opts=context.options(),
    )
    return grant


def _key(context: Context, account: ServiceIdentity) -> pulumi.Resource:
    from pulumi_gcp.kms.crypto_key_iam_member import CryptoKeyIAMMember

    key = context.settings.gcp.kmsKey
    grant: pulumi.Resource = CryptoKeyIAMMember(
        context.resource("key"), crypto_key_id=key, role=KEY_ROLE, member=account.member, opts=context.options()
    )
    return grant


def _pool(context: Context, account: ServiceIdentity) -> pulumi.Resource:
    from pulumi_gcp.certificateauthority.ca_pool_iam_member import CaPoolIamMember

    pool = context.settings.gcp.caPool
    grant: pulumi.Resource = CaPoolIamMember(
        context.resource("pool"), ca_pool=pool, role=POOL_ROLE, member=account.member, opts=context.options()
    )
    return grant
