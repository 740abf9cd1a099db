"""Connection settings: validation, defaults, and their translation into arguments of redis-py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from valkeykit import environment
from valkeykit import url as urls
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError
from valkeykit.query import (
    EXPECTED_CLIENT_NAME,
    EXPECTED_COUNT,
    EXPECTED_SECONDS,
    MAX_POOL_CONNECTIONS,
    MAX_TIMEOUT_SECONDS,
    is_client_name,
)
from valkeykit.trust import Trust
from valkeykit.url import TOPOLOGIES, Address, Node
from valkeykit.vocabulary import Topology

if TYPE_CHECKING:
    from redis.credentials import CredentialProvider
    from typing_extensions import Unpack

CONNECT_TIMEOUT_SECONDS = 1.0
"""Seconds to wait for a connection."""

READ_TIMEOUT_SECONDS = 2.0
"""Seconds to wait for an answer."""

MAX_CONNECTIONS = 50
"""Connections of a pool; a caller waits CONNECT_TIMEOUT_SECONDS for one, then gets an error."""

ConnectTarget = str | Address | Endpoint | None


@dataclass(frozen=True)
class ConnectionSettings:
    """Where to connect and how, resolved before anything is sent."""

    address: Address
    topology: Topology | None
    trust: Trust = field(repr=False)
    connect_timeout: float
    read_timeout: float
    max_connections: int
    decode: bool
    read_from_replicas: bool
    client_name: str | None
    credentials: CredentialProvider | None = field(repr=False)
    sentinel_credentials: tuple[str | None, str | None] | None = field(repr=False)

    @property
    def ca(self) -> str | None:
        """The current certificate of the authority; None for the system's."""
        return self.trust.ca.text() if self.trust.ca is not None else None

    @property
    def check_hostname(self) -> bool:
        """Whether the certificate's name is compared with the host."""
        return self.trust.check_hostname

    def client_arguments(self) -> dict[str, Any]:
        """Arguments of a client of redis-py in any topology, without host and port. They contain the password."""
        from redis.maint_notifications import MaintNotificationsConfig

        return self.login() | {
            "socket_connect_timeout": self.connect_timeout,
            "socket_timeout": self.read_timeout,
            "decode_responses": self.decode,
            # Both are commands that Valkey refuses or that tell it nothing, sent on each connect.
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
            "driver_info": None,
        }

    def transport_arguments(self) -> dict[str, Any]:
        """Additional arguments of our own connections (valkeykit.transport)."""
        return {"name": self.client_name, "trust": self.trust if self.address.tls else None}

    def pool_arguments(self, node: Node) -> dict[str, Any]:
        """Arguments of a pool of connections to one node."""
        place = {"path": node.socket} if node.socket else {"host": node.host, "port": node.port}
        return {
            **place,
            "db": self.address.database,
            "max_connections": self.max_connections,
            "timeout": self.connect_timeout,
            **self.client_arguments(),
            **self.transport_arguments(),
        }

    def cluster_arguments(self) -> dict[str, Any]:
        """Arguments of a cluster's client, without its nodes and transport."""
        from redis.cluster import LoadBalancingStrategy

        return {
            "load_balancing_strategy": LoadBalancingStrategy.ROUND_ROBIN_REPLICAS if self.read_from_replicas else None,
            "max_connections": self.max_connections,
            **self.client_arguments(),
        }

    def sentinel_pool_arguments(self) -> dict[str, Any]:
        """Arguments of a pool that queries its primary at each connect."""
        return {
            "is_master": not self.read_from_replicas,
            "db": self.address.database,
            "max_connections": self.max_connections,
            **self.client_arguments(),
            **self.transport_arguments(),
        }

    @property
    def sentinels(self) -> tuple[Node, ...]:
        """The nodes that are queried for the primary; a Sentinel URL has no others."""
        return self.address.sentinels or self.address.nodes

    def at_sentinel(self, node: Node) -> ConnectionSettings:
        """The settings of a connection to one Sentinel, which may have other users."""
        user, password = self.sentinel_credentials or (None, None)
        address = replace(self.address.at(node), username=user, password=password, database=0)
        return replace(self, topology="single", address=address, credentials=None, decode=True)

    def login(self) -> dict[str, Any]:
        """User and password; without them, a provider is queried at each connect."""
        if self.credentials is not None:
            from valkeykit.credential_errors import guard

            return {"credential_provider": guard(self.credentials)}
        return {"username": self.address.username, "password": self.address.password}


class CommonOptions(TypedDict, total=False):
    """ConnectOptions without the topology, on which the type of the client depends."""

    username: str | None
    password: str | None
    ca: str | Path | None
    certificate: str | Path | None
    key: str | Path | None
    check_hostname: bool | None
    connect_timeout: float
    read_timeout: float
    max_connections: int
    decode: bool
    read_from_replicas: bool
    client_name: str | None
    credentials: CredentialProvider | None
    sentinel_credentials: tuple[str | None, str | None] | None


class ConnectOptions(CommonOptions, total=False):
    """Keyword arguments of `connect`, `aconnect`, Cache, AsyncCache, Queue and AsyncQueue.

    Attributes:
        username: The user of an Endpoint; a URL has its own.
        password: The user's password.
        ca: The authority that signed the server's certificate, PEM text or a path. None for the Endpoint's or the
            environment's, else the system's. A file that changes is read again at the next connect.
        certificate: The client certificate for mutual TLS, PEM text or a path; None for the environment's.
        key: Its private key, PEM text or a path; None for the environment's.
        check_hostname: Whether the certificate's name is compared with the host; None for the Endpoint's or the
            environment's value, else yes. The chain is always verified.
        topology: single, replicated, sentinel or cluster. None for the URL's or the Endpoint's, else the server is
            queried. A server that doesn't respond counts as single for the client that `connect` returns; Cache and
            Queue query it again at the next call.
        connect_timeout: Seconds to wait for a connection, and for a free one of the pool; 1.0 by default.
        read_timeout: Seconds to wait for a response; 2.0 by default.
        max_connections: Connections of the pool (of each node, in a cluster); 50 by default.
        decode: Whether responses are text instead of bytes; True by default.
        read_from_replicas: Send all reads of this client to replicas. Cache and Queue reject it.
        client_name: The name of the connections in CLIENT LIST.
        credentials: Signs the login at each connect; see `valkeykit.credentials`.
        sentinel_credentials: User and password of the Sentinels. None: the Sentinels of an Endpoint or of the
            environment have the same users, others require no login.
    """

    topology: Topology | None


def resolve_settings(
    source: ConnectTarget, *, defaults: ConnectOptions | None = None, **options: Unpack[ConnectOptions]
) -> ConnectionSettings:
    """Check the arguments of `connect` and fill in the missing ones.

    Args:
        source: As `url` of `connect`.
        defaults: The caller's defaults, for what neither the options nor the URL set.
        **options: See ConnectOptions.

    Returns:
        Complete settings.

    Raises:
        ConfigurationError: An option can't be used; the error names it.
    """
    check(options)
    given = {name: value for name, value in options.items() if value is not None}
    address, own = _locate(source, options.get("username"), options.get("password"))
    chosen: dict[str, Any] = {**_DEFAULTS, **own, **(defaults or {}), **dict(address.options), **given}
    check(cast("ConnectOptions", chosen))
    topology = options.get("topology") or ("sentinel" if address.sentinels else address.topology)
    _check_topology(address, topology)
    if (chosen["certificate"] is not None or chosen["key"] is not None) and not address.tls:
        raise ConfigurationError("certificate and key need TLS, which the URL doesn't use", fix="use rediss://")
    credentials = chosen["sentinel_credentials"]
    if address.sentinels and credentials is None:
        credentials = (address.username, address.password)
    return ConnectionSettings(
        address=address,
        topology=topology,
        trust=Trust(chosen["ca"], chosen["certificate"], chosen["key"], check_hostname=chosen["check_hostname"]),
        connect_timeout=chosen["connect_timeout"],
        read_timeout=chosen["read_timeout"],
        max_connections=chosen["max_connections"],
        decode=chosen["decode"],
        read_from_replicas=chosen["read_from_replicas"],
        client_name=chosen["client_name"],
        credentials=chosen["credentials"],
        sentinel_credentials=credentials,
    )


def check(options: ConnectOptions) -> None:
    """Check options by themselves, without a server's address.

    Raises:
        ConfigurationError: An option can't be used; the error names it.
    """
    for name, value in options.items():
        if name not in ConnectOptions.__annotations__:
            raise ConfigurationError(
                f"unknown option {name}", fix=f"use one of {', '.join(sorted(ConnectOptions.__annotations__))}"
            )
        if name in _CHECKS and (value is not None or name not in _OPEN):
            is_fit, expected, example = _CHECKS[name]
            if not is_fit(value):
                raise ConfigurationError(f"{name} is {value!r}, not {expected}", fix=f"{name}={example}")
    credentials = options.get("credentials")
    if credentials is not None and not callable(getattr(credentials, "get_credentials", None)):
        raise ConfigurationError(
            f"credentials is a {type(credentials).__name__}, which has no get_credentials",
            fix="pass a CredentialProvider, such as those of valkeykit.credentials",
        )
    pair = options.get("sentinel_credentials")
    if pair is not None and not (isinstance(pair, tuple | list) and len(pair) == 2):
        raise ConfigurationError(
            "sentinel_credentials is not a pair of user and password", fix='sentinel_credentials=("user", "password")'
        )


def refuse_replicas(options: ConnectOptions) -> None:
    """Reject `read_from_replicas`, for classes that read their own writes.

    Raises:
        ConfigurationError: `read_from_replicas` is on.
    """
    if options.get("read_from_replicas"):
        raise ConfigurationError(
            "read_from_replicas is for connect() only: a cache or a queue reads what it has just written",
            fix="remove read_from_replicas",
        )


def is_number(value: object) -> bool:
    """Whether the value is an int or a float; a bool or NaN is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124  (NaN)


def _is_seconds(value: Any) -> bool:
    return is_number(value) and 0 < value <= MAX_TIMEOUT_SECONDS


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_POOL_CONNECTIONS


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


_CHECKS: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "connect_timeout": (_is_seconds, EXPECTED_SECONDS, "1.0"),
    "read_timeout": (_is_seconds, EXPECTED_SECONDS, "2.0"),
    "max_connections": (_is_count, EXPECTED_COUNT, "50"),
    "decode": (_is_boolean, "a boolean", "True"),
    "read_from_replicas": (_is_boolean, "a boolean", "False"),
    "check_hostname": (_is_boolean, "a boolean", "True"),
    "client_name": (is_client_name, EXPECTED_CLIENT_NAME, '"web-1"'),
    "topology": (lambda value: value in TOPOLOGIES, f"one of {', '.join(TOPOLOGIES)}", '"cluster", or leave it out'),
}
"""For each option: the check of a value, the expected value, and an example."""

_OPEN = {"check_hostname", "client_name", "topology"}
"""Options whose value is that of the URL, the Endpoint or the environment if they are None."""

_DEFAULTS: dict[str, Any] = {
    "ca": None, "certificate": None, "key": None, "check_hostname": True, "decode": True, "read_from_replicas": False,
    "connect_timeout": CONNECT_TIMEOUT_SECONDS, "read_timeout": READ_TIMEOUT_SECONDS,
    "max_connections": MAX_CONNECTIONS, "client_name": None, "credentials": None, "sentinel_credentials": None,
}  # fmt: skip


def _check_topology(address: Address, topology: Topology | None) -> None:
    if address.socket and topology != "single":
        raise ConfigurationError(f"a unix socket needs the topology single, not {topology}", fix='topology="single"')
    if topology == "cluster" and address.database:
        raise ConfigurationError(
            f"the URL names database {address.database}, and a cluster has only 0", fix="end the URL with /0"
        )


def _locate(source: ConnectTarget, username: str | None, password: str | None) -> tuple[Address, dict[str, Any]]:
    """The address, and the options that its source sets."""
    if isinstance(source, Endpoint):
        return source.address(username, password), {"ca": source.ca, "check_hostname": source.check_hostname}
    if username is not None or password is not None:
        raise ConfigurationError(
            "username and password belong to an Endpoint; a URL has its own", fix="put them into the URL"
        )
    if isinstance(source, Address):
        return source, {}
    if isinstance(source, str):
        return urls.parse(source), {}
    if source is not None:
        raise ConfigurationError(
            f"the server is a {type(source).__name__}, not a URL, an Endpoint or an Address",
            fix='connect("redis://host:6379/0")',
        )
    address = environment.resolve()
    if address is None:
        raise ConfigurationError("DISABLE_REDIS is on, so there is no server to connect to", fix="unset DISABLE_REDIS")
    return address, environment.trust()
