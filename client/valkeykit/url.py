"""Connection URLs: parsing and building.

A URL has the form `scheme://user:password@host:port/database`. `valkey://` and `valkeys://` mean the same as
`redis://` and `rediss://`. URLs are built with the latter, which all clients support.

A scheme may contain the topology. Such a URL may have several hosts, separated by commas:

    valkey+cluster://user:password@a:6379,b:6379
    valkeys+replicated://user:password@a:6379,b:6379
    valkey+sentinel://user:password@a:26379,b:26379/primary-name/database

A unix socket is `unix://user:password@/path/of/the.sock?db=1`. Other parameters are read by `valkeykit.query`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import get_args
from urllib.parse import SplitResult, quote, unquote, urlsplit

from valkeykit import query
from valkeykit.errors import ConfigurationError
from valkeykit.vocabulary import Topology

DEFAULT_PORT = 6379

TOPOLOGIES: tuple[Topology, ...] = get_args(Topology)
_TOPOLOGY_OF_SCHEME: dict[str, Topology | None] = {"": None} | {name: name for name in TOPOLOGIES}

_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_SOCKETS = ("unix", "valkey+unix", "redis+unix")
_LONGEST_SOCKET = 107
"""Maximum bytes of a unix socket's path, a limit of the kernel."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_EXAMPLE = "write it as redis://user:password@host:6379/0"
_SOCKET_EXAMPLE = "write it as unix:///run/valkey.sock?db=0"
_ENCODE = (
    "percent-encode the user and the password: "
    "python3 -c 'import getpass,urllib.parse as u;print(u.quote(getpass.getpass(),\"\"))'"
)


@dataclass(frozen=True)
class Node:
    """The address of one server.

    Attributes:
        host: Its host, or the path of its unix socket.
        port: Its port; 0 for a unix socket.
    """

    host: str
    port: int

    @property
    def socket(self) -> str | None:
        """The path of a unix socket; None for host and port."""
        return self.host if self.host.startswith("/") else None

    def __str__(self) -> str:
        if self.socket:
            return self.socket
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True)
class Address:
    """The parts of a connection URL. `repr` never shows the password.

    Attributes:
        host: The first host.
        port: Its port.
        tls: Whether connections are encrypted.
        username: The user; None for the default one.
        password: Its password; None for no login.
        database: The database's number.
        topology: How to connect; None if the URL doesn't set it.
        service: The name of the primary that Sentinels monitor; None for the only one.
        fallback_nodes: Further nodes, used if the first one doesn't respond.
        sentinels: The Sentinels of a replicated deployment, which have the same users.
        socket: The path of a unix socket, in place of host and port.
        options: Options of `connect` that the URL's query sets. Those passed to `connect` take precedence.
    """

    host: str = "localhost"
    port: int = DEFAULT_PORT
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    topology: Topology | None = None
    service: str | None = None
    fallback_nodes: tuple[Node, ...] = ()
    sentinels: tuple[Node, ...] = ()
    socket: str | None = None
    options: query.Parameters = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes of the URL, in their order."""
        return (Node(self.socket, 0) if self.socket else Node(self.host, self.port), *self.fallback_nodes)

    def at(self, node: Node) -> Address:
        """The address of one node alone, for the same user.

        Args:
            node: The node.

        Returns:
            An address of topology single.
        """
        alone = replace(self, topology="single", service=None, fallback_nodes=(), sentinels=())
        if node.socket:
            return replace(alone, socket=node.socket)
        return replace(alone, host=node.host, port=node.port, socket=None)

    @property
    def url(self) -> str:
        """`redis://`, `rediss://` or `unix://`, with user and password percent-encoded, without options."""
        if self.socket:
            database = f"?db={self.database}" if self.database else ""
            return f"unix://{self._credentials()}{quote(self.socket)}{database}"
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{self._credentials()}{Node(self.host, self.port)}/{self.database}"

    def _credentials(self) -> str:
        if self.password is None:
            return f"{quote(self.username, safe='')}@" if self.username else ""
        return f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"


def parse(url: str) -> Address:
    """Read a connection URL.

    Args:
        url: `redis://`, `rediss://`, `valkey://`, `valkeys://` or `unix://`; with `+cluster`, `+sentinel` or
            `+replicated` before the `://` it may name several hosts.

    Returns:
        The parts of the URL.

    Raises:
        ConfigurationError: The URL can't be read. The message never repeats it, since it may contain a password.

    Example:
        >>> valkeykit.parse("valkey+cluster://a:6379,b:6379").nodes
        (Node(host='a', port=6379), Node(host='b', port=6379))
    """
    if any(character in url.strip() for character in "\r\n"):
        raise ConfigurationError(
            "the connection URL contains a line break, most often from a file with the password",
            fix=_ENCODE,
        )
    scheme, separator, rest = url.strip().partition("://")
    if separator and scheme.lower() in _SOCKETS:
        return _socket(rest)
    name, plus, topology = scheme.lower().partition("+")
    if not separator or name not in _SCHEMES or (plus and topology not in TOPOLOGIES):
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ConfigurationError(
            f"the connection URL must start with one of {known} or unix:// "
            "(or have +cluster, +sentinel, +replicated before the ://)",
            fix=_EXAMPLE,
        )
    rest, parameters = _without_query(rest)
    authority, slash, tail = rest.partition("/")
    first, *further = authority.split(",") if plus else [authority]
    if any("@" in node for node in further):
        raise _raw_characters()
    parts, port = _split(f"{first}{slash}{tail}")
    service, path = _service(parts.path) if topology == "sentinel" else (None, parts.path)
    return Address(
        host=parts.hostname or "localhost",
        port=port,
        tls=_SCHEMES[name],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=_database(path, parameters),
        topology=_TOPOLOGY_OF_SCHEME[topology],
        service=service,
        fallback_nodes=tuple(_node(node) for node in further),
        options=_options(parameters),
    )


def _socket(rest: str) -> Address:
    rest, parameters = _without_query(rest)
    authority, slash, path = rest.partition("/")
    credentials, at, host = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    socket = slash + unquote(path)
    if host or not path or "\0" in socket:
        raise ConfigurationError("the connection URL has no absolute path of a unix socket", fix=_SOCKET_EXAMPLE)
    if len(socket.encode()) > _LONGEST_SOCKET:
        raise ConfigurationError(
            f"the path of the unix socket is longer than {_LONGEST_SOCKET} bytes", fix="use a shorter path, or a link"
        )
    return Address(
        socket=socket,
        username=unquote(user) or None if at else None,
        password=unquote(password) or None if at else None,
        database=_database("", parameters),
        topology="single",
        options=_options(parameters),
    )


def _without_query(rest: str) -> tuple[str, query.Parameters]:
    if _holds_raw_characters(rest):
        raise _raw_characters()
    rest, _, parameters = rest.partition("?")
    return rest, query.read(parameters)


def _options(parameters: query.Parameters) -> query.Parameters:
    return tuple((name, value) for name, value in parameters if name != "database")


def parse_nodes(text: str) -> tuple[Node, ...]:
    """Read `host:port,host:port`.

    Raises:
        ConfigurationError: The text can't be read.
    """
    return tuple(_node(part.strip()) for part in text.split(",") if part.strip())


def join_nodes(nodes: Iterable[Node]) -> str:
    """Format nodes as `host:port,host:port`, the input of `parse_nodes`."""
    return ",".join(map(str, nodes))


def _split(rest: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(f"//{rest}")
        port = parts.port
    except ValueError:  # its text may quote a part of a password
        raise ConfigurationError("the connection URL has no valid host and port", fix=_EXAMPLE) from None
    if port == 0:
        raise ConfigurationError("the connection URL's port is 0", fix=_EXAMPLE)
    return parts, DEFAULT_PORT if port is None else port


def _node(text: str) -> Node:
    parts, port = _split(text)
    return Node(parts.hostname or "localhost", port)


def _service(path: str) -> tuple[str | None, str]:
    """The primary's name, which comes before the database in a Sentinel URL."""
    service, _, database = path.strip("/").partition("/")
    return unquote(service) or None, database


def _holds_raw_characters(rest: str) -> bool:
    """Whether the user or the password isn't percent-encoded, so that the parts of the URL are ambiguous."""
    authority, _, tail = rest.partition("/")
    credentials, _, _ = authority.rpartition("@")
    return (
        "@" in tail
        or "#" in rest
        or any(character in credentials for character in "@?[]")
        or any(character.isspace() for character in rest)
        or bool(_BAD_ESCAPE.search(credentials))
    )


def _raw_characters() -> ConfigurationError:
    return ConfigurationError(
        "the connection URL contains a character that has a meaning of its own in a URL "
        "(one of @ / ? # % [ ] or a space, and with several hosts a comma, in the user or the password)",
        fix=_ENCODE,
    )


def _database(path: str, parameters: query.Parameters) -> int:
    """The database of the path, or of the query."""
    name, number = path.strip("/"), dict(parameters).get("database")
    if not name:
        return int(number or 0)
    if not name.isascii() or not name.isdigit() or len(name) > 9:
        raise ConfigurationError("the connection URL's database must be a whole number", fix=_EXAMPLE)
    if number is not None and number != int(name):
        raise ConfigurationError("the connection URL has two databases", fix="remove the parameter db")
    return int(name)
