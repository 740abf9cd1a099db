"""The endpoints and the certificate authority of an instance, from the API's response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from valkeykit.errors import ConfigurationError
from valkeykit.url import Node

from infra import project
from infra.errors import ProvisioningError
from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.settings.gcp.catalogue import PORT

DISCOVERY = "CONNECTION_TYPE_DISCOVERY"
PRIMARY = "CONNECTION_TYPE_PRIMARY"
READER = "CONNECTION_TYPE_READER"


def connection_types(settings: StackSettings) -> tuple[str, ...]:
    """The connection types that clients use."""
    if settings.topology == "cluster":
        return (DISCOVERY,)
    return (PRIMARY, READER) if settings.replica_count else (PRIMARY,)


def nodes(endpoints: Sequence[Any] | None, types: Sequence[str]) -> tuple[Node, ...]:
    """The address of each type. The API returns them in any order, some without a type.

    Raises:
        ProvisioningError: the instance has no such endpoint.
    """
    by_type = {connection.connection_type: connection for connection in _connections(endpoints)}
    missing = [kind for kind in types if not (by_type.get(kind) and by_type[kind].ip_address)]
    if missing:
        raise ProvisioningError(
            f"the instance has no endpoint of type {' or '.join(missing)}",
            fix="pulumi up --refresh; if that does not help, check the service connection policy in Google's console",
        )
    return tuple(Node(str(by_type[kind].ip_address), int(by_type[kind].port or PORT)) for kind in types)


def addresses(endpoints: Sequence[Any] | None) -> list[str]:
    """Every address that clients may be redirected to, including those without a type."""
    return sorted({str(connection.ip_address) for connection in _connections(endpoints) if connection.ip_address})


def authority(server_cas: Sequence[Any] | None, configured: str | None) -> str | None:
    """Every certificate of every chain; None if connections aren't encrypted.

    configured: the certificates of an authority that the API does not return.
    """
    if configured:
        return configured
    chains = (chain for ca in server_cas or () for chain in ca.ca_certs or ())
    certificates = [certificate.strip() for chain in chains for certificate in chain.certificates or ()]
    return "\n".join([*certificates, ""]) if certificates else None


def check_authority(settings: StackSettings, found: str | None) -> str | None:
    """
    Raises:
        ProvisioningError: the API did not return the shared authority of the region, so clients could not verify it.
    """
    if found is None and settings.gcp.tls and settings.gcp.serverCa == "shared":
        location = settings.gcp.location
        raise ProvisioningError(
            "the API did not return the certificates of the shared authority",
            fix=f"gcloud memorystore get-shared-regional-certificate-authority --location={location}, "
            f"write its certificates to authority.pem, then {set_command('gcp.caFile', 'authority.pem')}",
        )
    return found


def read_authority(settings: StackSettings) -> str | None:
    """The certificates in `caFile`.

    Raises:
        ConfigurationError: it cannot be read, or contains something else; no resource was registered.
    """
    if not settings.gcp.caFile:
        return None
    path = project.root() / Path(settings.gcp.caFile)
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not a PEM file"
        raise _invalid_authority(settings, f"cannot be read: {reason}") from None
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise _invalid_authority(settings, "must contain certificates only")
    return text


def _invalid_authority(settings: StackSettings, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"gcp.caFile {settings.gcp.caFile!r} {reason}; nothing was changed",
        fix="pulumi config set --path gcp.caFile authority.pem",
    )


def _connections(endpoints: Sequence[Any] | None) -> Iterator[Any]:
    for endpoint in endpoints or ():
        for connection in endpoint.connections or ():
            if connection.psc_auto_connection:
                yield connection.psc_auto_connection
