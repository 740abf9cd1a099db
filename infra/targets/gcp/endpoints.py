"""Where an instance answers, and who signs its certificates: read from what the API says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from valkeykit.errors import ConfigurationError
from valkeykit.url import Node

from infra import project
from infra.errors import ProvisioningError
from infra.settings import Settings
from infra.settings.gcp.catalogue import PORT

DISCOVERY = "CONNECTION_TYPE_DISCOVERY"
PRIMARY = "CONNECTION_TYPE_PRIMARY"
READER = "CONNECTION_TYPE_READER"


def wanted(settings: Settings) -> tuple[str, ...]:
    """The types of the connections that clients use."""
    if settings.topology == "cluster":
        return (DISCOVERY,)
    return (PRIMARY, READER) if settings.replica_count else (PRIMARY,)


def nodes(endpoints: Sequence[Any] | None, types: Sequence[str]) -> tuple[Node, ...]:
    """The address of each type. Their order says nothing, and some have no type.

    Raises:
        ProvisioningError: the instance has no such endpoint.
    """
    known = {connection.connection_type: connection for connection in _connections(endpoints)}
    missing = [kind for kind in types if not (known.get(kind) and known[kind].ip_address)]
    if missing:
        raise ProvisioningError(
            f"the instance has no endpoint of the type {' or '.join(missing)}",
            fix="pulumi up --refresh; if it stays so, see the service connection policy in Google's console",
        )
    return tuple(Node(str(known[kind].ip_address), int(known[kind].port or PORT)) for kind in types)


def addresses(endpoints: Sequence[Any] | None) -> list[str]:
    """Every address that clients may be led to, also those without a type."""
    return sorted({str(connection.ip_address) for connection in _connections(endpoints) if connection.ip_address})


def authority(server_cas: Sequence[Any] | None, own: str | None) -> str | None:
    """Every certificate of every chain, one after another; None where connections aren't encrypted.

    own: the certificates of an authority that the API doesn't tell.
    """
    if own:
        return own
    chains = (chain for ca in server_cas or () for chain in ca.ca_certs or ())
    certificates = [certificate.strip() for chain in chains for certificate in chain.certificates or ()]
    return "\n".join([*certificates, ""]) if certificates else None


def read_authority(settings: Settings) -> str | None:
    """The certificates in `caFile`.

    Raises:
        ConfigurationError: it can't be read, or holds something else; nothing was registered.
    """
    if not settings.gcp.caFile:
        return None
    path = project.root() / Path(settings.gcp.caFile)
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it isn't PEM"
        raise _no_authority(settings, f"can't be read: {reason}") from None
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise _no_authority(settings, "must hold certificates, and nothing else")
    return text


def _no_authority(settings: Settings, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"valkey:gcp.caFile {settings.gcp.caFile!r} {reason}, nothing was touched",
        fix="pulumi config set --path valkey:gcp.caFile authority.pem",
    )


def _connections(endpoints: Sequence[Any] | None) -> Iterator[Any]:
    for endpoint in endpoints or ():
        for connection in endpoint.connections or ():
            if connection.psc_auto_connection:
                yield connection.psc_auto_connection
