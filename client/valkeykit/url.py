"""Connection URLs: the one place where they are read and built.

A URL reads `scheme://user:password@host:port/database`. `valkey://` and
`valkeys://` mean the same as `redis://` and `rediss://`; those are the ones that
are built, since most clients know no others.

A scheme may say the topology, and then name several hosts, with commas between:

    valkey+cluster://user:password@a:6379,b:6379
    valkeys+replicated://user:password@a:6379,b:6379
    valkey+sentinel://user:password@a:26379,b:26379/primary-name/database
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, quote, unquote, urlsplit

from valkeykit.errors import ConfigurationError

DEFAULT_PORT = 6379

TOPOLOGIES = ("single", "replicated", "sentinel", "cluster")

_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_EXAMPLE = "write it as redis://user:password@host:6379/0"
_ENCODE = (
    "percent-encode the user and the password: "
    "python3 -c 'import getpass,urllib.parse as u;print(u.quote(getpass.getpass(),\"\"))'"
)


@dataclass(frozen=True)
class Node:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True)
class Address:
    """What a URL says. The password never shows in `repr`.

    topology: one of TOPOLOGIES; None where the URL doesn't say.
    service: the name by which Sentinel knows the primary; None for the only one it knows.
    others: further nodes, used where the first one doesn't answer.
    sentinels: who knows the primary of a replicated deployment; they know this user and password too.
    """

    host: str = "localhost"
    port: int = DEFAULT_PORT
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    topology: str | None = None
    service: str | None = None
    others: tuple[Node, ...] = ()
    sentinels: tuple[Node, ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that the URL names, the first one first."""
        return (Node(self.host, self.port), *self.others)

    def at(self, node: Node) -> Address:
        """One node alone, for the same user."""
        return replace(self, host=node.host, port=node.port, topology="single", service=None, others=(), sentinels=())

    @property
    def url(self) -> str:
        """`redis://` or `rediss://`, with user and password percent-encoded."""
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{self._credentials()}{Node(self.host, self.port)}/{self.database}"

    def _credentials(self) -> str:
        if self.password is None:
            return f"{quote(self.username, safe='')}@" if self.username else ""
        return f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"


def parse(url: str) -> Address:
    """Read a connection URL.

    Raises:
        ConfigurationError: the URL can't be read; the message never repeats it,
            since it may hold a password.
    """
    if any(character in url.strip() for character in "\r\n"):
        raise ConfigurationError(
            "the connection URL holds a line break; most often a password was read from a file together with its end",
            fix=_ENCODE,
        )
    scheme, separator, rest = url.strip().partition("://")
    name, plus, topology = scheme.lower().partition("+")
    if not separator or name not in _SCHEMES or (plus and topology not in TOPOLOGIES):
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ConfigurationError(
            f"the connection URL must start with one of {known} (or +cluster, +sentinel, +replicated before the ://)",
            fix=_EXAMPLE,
        )
    if _holds_raw_characters(rest):
        raise ConfigurationError(
            "the connection URL holds a character that has a meaning of its own in a URL "
            "(one of @ / ? # % [ ] or a space, in the user or the password)",
            fix=_ENCODE,
        )
    authority, slash, tail = rest.partition("/")
    first, *further = authority.split(",") if plus else [authority]
    parts, port = _split(f"{first}{slash}{tail}")
    if parts.query:
        raise ConfigurationError("the connection URL has a query (?…), which nothing here reads", fix=_EXAMPLE)
    service, path = _service(parts.path) if topology == "sentinel" else (None, parts.path)
    return Address(
        host=parts.hostname or "localhost",
        port=port,
        tls=_SCHEMES[name],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=_database(path),
        topology=topology or None,
        service=service,
        others=tuple(_node(node) for node in further),
    )


def parse_nodes(text: str) -> tuple[Node, ...]:
    """Read `host:port,host:port`.

    Raises:
        ConfigurationError: it can't be read.
    """
    return tuple(_node(part.strip()) for part in text.split(",") if part.strip())


def join_nodes(nodes: Iterable[Node]) -> str:
    """`host:port,host:port`, as `parse_nodes` reads it."""
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
    """True where the user or the password wasn't encoded, so that the parts can't be told apart."""
    authority, _, tail = rest.partition("/")
    credentials, _, _ = authority.rpartition("@")
    return (
        "@" in tail
        or "#" in rest
        or any(character in credentials for character in "@?[]")
        or any(character.isspace() for character in rest)
        or bool(_BAD_ESCAPE.search(credentials))
    )


def _database(path: str) -> int:
    name = path.strip("/")
    if not name:
        return 0
    if not name.isascii() or not name.isdigit():
        raise ConfigurationError("the connection URL's database must be a whole number", fix=_EXAMPLE)
    return int(name)
