"""What a connection is made with: the one place where our defaults become redis-py's arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from valkeykit import environment
from valkeykit import url as urls
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError
from valkeykit.url import TOPOLOGIES, Address, Node

if TYPE_CHECKING:
    from redis.credentials import CredentialProvider

CONNECT_TIMEOUT = 1.0
"""Seconds to wait for a connection."""

READ_TIMEOUT = 2.0
"""Seconds to wait for an answer."""

MAX_CONNECTIONS = 50
"""Connections of a pool; a caller waits CONNECT_TIMEOUT for one, then gets an error."""

Source = str | Address | Endpoint | None


@dataclass(frozen=True)
class Settings:
    """Where to connect and how, all of it known before anything is sent."""

    address: Address
    topology: str | None
    ca: str | None = field(repr=False)
    check_hostname: bool
    connect_timeout: float
    read_timeout: float
    max_connections: int
    decode: bool
    read_from_replicas: bool
    credentials: CredentialProvider | None = field(repr=False)
    sentinel_credentials: tuple[str | None, str | None] | None = field(repr=False)

    def client_arguments(self) -> dict[str, Any]:
        """What a client of redis-py takes in any topology, less host and port. Holds the password."""
        from redis.maint_notifications import MaintNotificationsConfig

        return self.login() | {
            "socket_connect_timeout": self.connect_timeout,
            "socket_timeout": self.read_timeout,
            "decode_responses": self.decode,
            # Both are commands that Valkey refuses or that tell it nothing, sent on each connect.
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
            "driver_info": None,
        }

    def pool_arguments(self, node: Node) -> dict[str, Any]:
        """What a pool of connections to one node takes."""
        return {
            "host": node.host,
            "port": node.port,
            "db": self.address.database,
            "max_connections": self.max_connections,
            "timeout": self.connect_timeout,
            **self.client_arguments(),
            **self.tls_arguments(),
        }

    def cluster_arguments(self) -> dict[str, Any]:
        """What a cluster's client takes, less its nodes."""
        from redis.cluster import LoadBalancingStrategy

        return {
            "load_balancing_strategy": LoadBalancingStrategy.ROUND_ROBIN_REPLICAS if self.read_from_replicas else None,
            "max_connections": self.max_connections,
            "ssl": self.address.tls,
            **self.client_arguments(),
            **self.tls_arguments(),
        }

    def sentinel_pool_arguments(self) -> dict[str, Any]:
        """What a pool takes that asks for its primary at each connect."""
        return {
            "is_master": not self.read_from_replicas,
            "ssl": self.address.tls,
            "db": self.address.database,
            "max_connections": self.max_connections,
            **self.client_arguments(),
            **self.tls_arguments(),
        }

    @property
    def sentinels(self) -> tuple[Node, ...]:
        """Who is asked for the primary; a Sentinel URL has no other nodes."""
        return self.address.sentinels or self.address.nodes

    def login(self) -> dict[str, Any]:
        """User and password; a provider is asked at each connect instead."""
        if self.credentials is not None:
            return {"credential_provider": self.credentials}
        return {"username": self.address.username, "password": self.address.password}

    def tls_arguments(self) -> dict[str, Any]:
        """redis-py refuses them on a plain connection. It checks the chain by default."""
        return {"ssl_ca_data": self.ca, "ssl_check_hostname": self.check_hostname} if self.address.tls else {}


class ConnectOptions(TypedDict, total=False):
    """How to connect: the keyword arguments of everything here that connects.

    username, password: the user, for an Endpoint; a URL has its own.
    ca: the authority that signed the server's certificate, PEM text or a path; None for the Endpoint's or
        the environment's own, else the system's.
    check_hostname: whether the certificate's name is compared with the host; None for what the Endpoint or the
        environment says, else yes. The chain is checked always.
    topology: single, replicated, sentinel or cluster. None: what the URL or the Endpoint says,
        else the server is asked once; where it doesn't answer, it counts as single.
    connect_timeout, read_timeout: seconds; CONNECT_TIMEOUT and READ_TIMEOUT.
    max_connections: of the pool (of each node, in a cluster); a caller waits connect_timeout for one.
    decode: text (True) instead of bytes.
    read_from_replicas: all reads of this client go to replicas (a cluster's writes still find their primary).
    credentials: signs the login at each connect (valkeykit.credentials).
    sentinel_credentials: user and password of the Sentinels themselves; None: an Endpoint's or the environment's
        Sentinels know the user, others ask for none.
    """

    username: str | None
    password: str | None
    ca: str | Path | None
    check_hostname: bool | None
    topology: str | None
    connect_timeout: float
    read_timeout: float
    max_connections: int
    decode: bool
    read_from_replicas: bool
    credentials: CredentialProvider | None
    sentinel_credentials: tuple[str | None, str | None] | None


def settle(
    source: Source,
    *,
    username: str | None = None,
    password: str | None = None,
    ca: str | Path | None = None,
    check_hostname: bool | None = None,
    topology: str | None = None,
    connect_timeout: float = CONNECT_TIMEOUT,
    read_timeout: float = READ_TIMEOUT,
    max_connections: int = MAX_CONNECTIONS,
    decode: bool = True,
    read_from_replicas: bool = False,
    credentials: CredentialProvider | None = None,
    sentinel_credentials: tuple[str | None, str | None] | None = None,
) -> Settings:
    """Check the arguments of `connect`, which ConnectOptions describes, and fill in what they leave open.

    Raises:
        ConfigurationError: one of them can't be used; it is named.
    """
    for name, seconds in (("connect_timeout", connect_timeout), ("read_timeout", read_timeout)):
        if not 0 < seconds < float("inf"):
            raise ConfigurationError(f"{name} is {seconds!r}, not a number of seconds above 0", fix=f"{name}=1.0")
    if max_connections < 1:
        raise ConfigurationError(f"max_connections is {max_connections}, below 1", fix="max_connections=50")
    if topology not in (None, *TOPOLOGIES):
        raise ConfigurationError(
            f"topology is {topology!r}, not one of {', '.join(TOPOLOGIES)}", fix='topology="cluster", or leave it out'
        )
    address, authority, strict = _locate(source, username, password)
    settled = topology or ("sentinel" if address.sentinels else address.topology)
    if address.sentinels and sentinel_credentials is None:
        sentinel_credentials = (address.username, address.password)
    if settled == "cluster" and address.database:
        raise ConfigurationError(
            f"the URL names database {address.database}, and a cluster has only 0", fix="end the URL with /0"
        )
    return Settings(
        address=address,
        topology=settled,
        ca=_pem(ca if ca is not None else authority),
        check_hostname=strict if check_hostname is None else check_hostname,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_connections=max_connections,
        decode=decode,
        read_from_replicas=read_from_replicas,
        credentials=credentials,
        sentinel_credentials=sentinel_credentials,
    )


def _locate(source: Source, username: str | None, password: str | None) -> tuple[Address, str | None, bool]:
    """The address, the authority that belongs to it, and whether its host name is checked."""
    if isinstance(source, Endpoint):
        return source.address(username, password), source.ca, source.check_hostname
    if username is not None or password is not None:
        raise ConfigurationError(
            "username and password belong to an Endpoint; a URL has its own", fix="put them into the URL"
        )
    if isinstance(source, Address):
        return source, None, True
    if source is not None:
        return urls.parse(source), None, True
    address = environment.resolve()
    if address is None:
        raise ConfigurationError("DISABLE_REDIS is on, so there is no server to connect to", fix="unset DISABLE_REDIS")
    return address, environment.authority(), environment.checks_hostname()


def _pem(ca: str | Path | None) -> str | None:
    """The authority's certificate itself, from its text or its path."""
    if ca is None or (isinstance(ca, str) and "-----BEGIN" in ca):
        return ca
    try:
        text = Path(ca).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not a PEM file"
        raise ConfigurationError(f"ca: can't read {str(ca)!r}: {reason}", fix="pass the PEM file's path") from None
    if "-----BEGIN CERTIFICATE" not in text:
        raise ConfigurationError(f"ca: {str(ca)!r} holds no PEM certificate", fix="pass the PEM file's path")
    return text
