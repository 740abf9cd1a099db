"""Query parameters of connection URLs, also those of other clients, as options of `connect`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from urllib.parse import unquote

from valkeykit.errors import ConfigurationError

Parameters = tuple[tuple[str, Any], ...]
"""Options of `connect` by name; `database` for the database's number."""

EXPECTED_CLIENT_NAME = "printable ASCII without spaces"

MAX_POOL_CONNECTIONS = 100_000
"""Maximum of `max_connections`, since a pool allocates a slot for each."""

MAX_TIMEOUT_SECONDS = 86_400.0
"""Maximum of a timeout, a day; sockets don't support any length."""

EXPECTED_COUNT = f"a whole number from 1 to {MAX_POOL_CONNECTIONS}"
EXPECTED_SECONDS = f"a number of seconds above 0, {MAX_TIMEOUT_SECONDS:.0f} at most"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def read(query: str) -> Parameters:
    """Read a query.

    Raises:
        ConfigurationError: A parameter is unknown, repeated or has an invalid value. The error names it without its
            value.
    """
    options: dict[str, Any] = {}
    for name, value in _pairs(query):
        if name in _REFUSED:
            reason, fix = _REFUSED[name]
            raise ConfigurationError(f"the connection URL's parameter {name} is not supported: {reason}", fix=fix)
        if name not in _PARAMETERS:
            raise ConfigurationError(
                f"the connection URL has an unknown parameter {name}", fix=f"remove it, or use one of {', '.join(_OWN)}"
            )
        option, convert = _PARAMETERS[name]
        converted = convert(name, value)
        if option is None:
            continue
        if option in options:
            raise ConfigurationError(f"the connection URL sets {option} twice", fix=f"remove {name} or the other one")
        options[option] = converted
    return tuple(options.items())


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ConfigurationError(
                "the connection URL's query can't be read", fix="write it as ?name=value&name=value, percent-encoded"
            )
        if name in seen:
            raise ConfigurationError(f"the connection URL has the parameter {name} twice", fix="keep one of them")
        seen.add(name)
        yield name, unquote(value)


def _reject(name: str, expected: str, example: str) -> NoReturn:
    raise ConfigurationError(f"the connection URL's parameter {name} is not {expected}", fix=f"?{name}={example}")


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        _reject(name, EXPECTED_SECONDS, "2.5")
    return seconds


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < len(value) < 10 and 1 <= int(value) <= MAX_POOL_CONNECTIONS):
        _reject(name, EXPECTED_COUNT, "50")
    return int(value)


def _database(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        _reject(name, "a whole number", "0")
    return int(value)


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        _reject(name, "a boolean", "true")
    return _BOOLEANS[value.lower()]


def _text(name: str, value: str) -> str:
    if not value:
        _reject(name, "given a value", "...")
    return value


def is_client_name(value: object) -> bool:
    """Whether a server accepts this name of a connection."""
    return isinstance(value, str) and bool(value) and all("!" <= character <= "~" for character in value)


def _client_name(name: str, value: str) -> str:
    if not is_client_name(value):
        _reject(name, EXPECTED_CLIENT_NAME, "web-1")
    return value


def _required(name: str, value: str) -> None:
    """Reject any other value, since certificates are always verified."""
    if value.lower().removeprefix("cert_") != "required":
        raise ConfigurationError(
            f"the connection URL's parameter {name} turns off the verification of the server's certificate",
            fix="pass its authority: connect(…, ca=…); for another host name also check_hostname=False",
        )


def _once(name: str, value: str) -> None:
    if _boolean(name, value):
        raise ConfigurationError(
            f"the connection URL's parameter {name} is not supported: a command whose answer is lost may have run",
            fix=f"remove {name}; Cache and Queue retry what is safe to repeat",
        )


def _resp3(name: str, value: str) -> None:
    if value != "3":
        _reject(name, "3, the only version of the protocol that is used here", "3")


def _kept_alive(name: str, value: str) -> None:
    if not _boolean(name, value):
        _reject(name, "true: TCP keepalive is always on", "true")


_PARAMETERS: dict[str, tuple[str | None, Callable[[str, str], Any]]] = {
    "db": ("database", _database),
    "database": ("database", _database),
    "socket_timeout": ("read_timeout", _seconds),
    "read_timeout": ("read_timeout", _seconds),
    "socket_connect_timeout": ("connect_timeout", _seconds),
    "connect_timeout": ("connect_timeout", _seconds),
    "timeout": ("connect_timeout", _seconds),
    "max_connections": ("max_connections", _count),
    "client_name": ("client_name", _client_name),
    "decode_responses": ("decode", _boolean),
    "decode": ("decode", _boolean),
    "ssl_ca_certs": ("ca", _text),
    "ca": ("ca", _text),
    "ssl_certfile": ("certificate", _text),
    "certificate": ("certificate", _text),
    "ssl_keyfile": ("key", _text),
    "key": ("key", _text),
    "ssl_check_hostname": ("check_hostname", _boolean),
    "check_hostname": ("check_hostname", _boolean),
    "ssl_cert_reqs": (None, _required),
    "protocol": (None, _resp3),
    "retry_on_timeout": (None, _once),
    "socket_keepalive": (None, _kept_alive),
}
"""The option that each parameter sets, None for one without effect, and the function that reads its value."""

_OWN = ("db", "connect_timeout", "read_timeout", "max_connections", "client_name", "decode", "ca", "certificate",
        "key", "check_hostname")  # fmt: skip

_REFUSED = {
    "health_check_interval": ("an idle connection is checked each time before it is used", "remove it"),
    "read_from_replicas": ("it is an option of connect()", "connect(…, read_from_replicas=True)"),
    "topology": ("the scheme names it", "valkey+cluster://host:6379"),
    "username": ("a user in a query ends up in logs", "put it before the host: redis://user:password@host"),
    "password": ("a password in a query ends up in logs", "put it before the host: redis://user:password@host"),
    "ssl": ("the scheme determines whether TLS is used", "use rediss://, or redis:// without TLS, and remove it"),
    "tls": ("the scheme determines whether TLS is used", "use rediss://, or redis:// without TLS, and remove it"),
    "ssl_password": ("the key must not be encrypted", "store the key without a passphrase, readable by its user only"),
    "ssl_ca_data": ("a certificate is too long for a URL", "connect(…, ca=…), or VALKEY_CA"),
    "ssl_ca_path": ("a folder of certificates is not read", "connect(…, ca=…) with one file that holds them all"),
}
"""Why a parameter is rejected, and its replacement."""
