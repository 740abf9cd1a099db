"""The layers below the protocol: names, addresses, TLS, and who answers. Sockets only, each with a limit."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone

from redis import exceptions as redis_errors

from valkeykit.ops.doctor import causes
from valkeykit.ops.doctor.deadline import Deadline, OutOfTimeError
from valkeykit.ops.doctor.finding import CERTAIN, LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit.ops.doctor.target import Target, is_local
from valkeykit.url import Node

DNS_SECONDS = 1.2
CONNECT_SECONDS = 0.7
TLS_SECONDS = 0.8
ANSWER_SECONDS = 0.9
AGAIN_SECONDS = 0.5
"""Limits of each layer, and of a second look at a server that has answered nothing in TLS."""

EXPIRY_DAYS = 14
"""A certificate that ends sooner is a warning."""

PING = b"*1\r\n$4\r\nPING\r\n"
_ADDRESSES = 16


@dataclass
class Way:
    """How far a node could be reached. is_open: it serves whoever comes, without a login.
    answers: it speaks the protocol. is_late: the time was over before that was known.
    """

    node: Node
    findings: list[Finding] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    is_open: bool = False
    answers: bool = False
    is_late: bool = False


def walk(target: Target, node: Node, deadline: Deadline) -> Way:
    """The four layers of a node, until one of them fails."""
    way = Way(node)
    address = _connect(target, way, deadline)
    if address is not None and (not target.address.tls or _handshake(target, way, address)):
        _ask(target, way, address)
    return way


def _connect(target: Target, way: Way, deadline: Deadline) -> str | None:
    """An address that takes connections."""
    node = way.node
    way.reached.append("dns")
    try:
        named = deadline.run(DNS_SECONDS, lambda: socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM))
    except OutOfTimeError:
        way.findings.append(causes.found("name-server", f"no name server answered for {node.host}", target, node))
        return None
    except (OSError, UnicodeError) as problem:
        error = redis_errors.ConnectionError(f"Error connecting to {node}. {problem}")
        way.findings.append(causes.finding(error, "dns", target, node))
        return None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in named))[:_ADDRESSES]
    way.reached.append("tcp")
    with ThreadPoolExecutor(len(addresses)) as pool:
        failures = dict(zip(addresses, pool.map(lambda one: _try(one, node.port), addresses), strict=True))
    living = [one for one, failure in failures.items() if failure is None]
    if not living:
        way.findings.append(causes.finding(next(filter(None, failures.values())), "tcp", target, node))
        return None
    way.findings.extend(_dead(node, living, [one for one in addresses if failures[one] is not None]))
    return living[0]


def _try(address: str, port: int) -> Exception | None:
    try:
        socket.create_connection((address, port), CONNECT_SECONDS).close()
    except TimeoutError:
        return redis_errors.TimeoutError("Timeout connecting to server")
    except OSError as problem:
        return redis_errors.ConnectionError(f"Error {problem.errno} connecting. {problem.strerror}")
    return None


def _dead(node: Node, living: list[str], dead: list[str]) -> list[Finding]:
    """A family that nobody serves, IPv6 most often, costs nothing; a dead address beside living ones does."""
    families = {ipaddress.ip_address(one).version for one in living}
    missed = [one for one in dead if ipaddress.ip_address(one).version in families]
    if missed:
        what = f"{node.host} names {len(living) + len(dead)} addresses, and {', '.join(missed)} doesn't answer"
        why = "clients that come upon it wait for a time-out or fail"
        return [Finding("tcp", WARNING, "dead-address", what, why, f"getent ahosts {node.host}", node=str(node))]
    if dead:
        what = f"{', '.join(dead)} of {node.host} isn't served"
        return [Finding("tcp", NOTE, "unused-family", what, "clients try it first, and go on",
                        f"getent ahosts {node.host}", node=str(node))]  # fmt: skip
    return []


def _handshake(target: Target, way: Way, address: str) -> bool:
    node = way.node
    way.reached.append("tls")
    try:
        with _wrapped(address, node, target.settings.trust.context()) as connection:
            certificate = connection.getpeercert() or {}
            way.findings.append(_expiry(target, node, str(connection.version()), str(certificate["notAfter"])))
            return True
    except (ssl.SSLError, OSError) as problem:
        way.findings.append(_refusal(target, node, address, problem))
        return False


def _wrapped(address: str, node: Node, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((address, node.port), CONNECT_SECONDS)
    plain.settimeout(TLS_SECONDS)
    try:
        return context.wrap_socket(plain, server_hostname=node.host)
    except BaseException:
        plain.close()
        raise


def _refusal(target: Target, node: Node, address: str, problem: Exception) -> Finding:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return causes.finding(redis_errors.ConnectionError(str(problem)), "tls", target, node)
    if _speaks(address, node):
        return causes.found("no-tls", "the port speaks no TLS, and the URL says that it does", target, node)
    if isinstance(problem, TimeoutError):
        return causes.found("no-answer", "the TLS handshake isn't answered", target, node, LIKELY)
    return causes.finding(redis_errors.ConnectionError(f"TLS failed: {problem}"), "tls", target, node)


def _expiry(target: Target, node: Node, version: str, not_after: str) -> Finding:
    """What was agreed upon, and for how long it will go well."""
    end = ssl.cert_time_to_seconds(not_after)
    days = (end - time.time()) / 86_400
    date = datetime.fromtimestamp(end, timezone.utc)
    what = f"{version}; the server's certificate ends in {days:.0f} days, on {date:%Y-%m-%d}"
    fix = causes.found("expired", what, target, node).fix
    if days < EXPIRY_DAYS:
        return Finding("tls", WARNING, "expires-soon", what, "then no client can connect", fix, node=str(node))
    return Finding("tls", NOTE, "encrypted", what, "its chain and its host name fit", fix, node=str(node))


def _ask(target: Target, way: Way, address: str) -> None:
    """Who is there? A Valkey answers PING before any login, if only with a refusal."""
    node = way.node
    way.reached.append("protocol")
    try:
        if target.address.tls:
            connection: socket.socket = _wrapped(address, node, target.settings.trust.context())
        else:
            connection = socket.create_connection((address, node.port), CONNECT_SECONDS)
        with connection:
            said, ended = _answer(connection)
    except (ssl.SSLError, OSError) as problem:
        error = redis_errors.ConnectionError(f"{problem}".replace("_", " "))
        way.findings.append(_closed(target, node, address, error))
        return
    if said.startswith((b"+PONG", b"-")) and said.endswith(b"\n"):
        way.answers = True
        way.is_open = said.startswith(b"+PONG")
        return
    way.findings.append(_closed(target, node, address, None) if ended and not said else _stranger(target, node, said))


def _answer(connection: socket.socket, seconds: float = ANSWER_SECONDS) -> tuple[bytes, bool]:
    """What is said to a PING until a line is whole, the time is up, or the other side ends; and whether it ended."""
    connection.sendall(PING)
    said, end = b"", time.monotonic() + seconds
    while not said.endswith(b"\n") and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            more = connection.recv(256)
        except TimeoutError:
            break
        if not more:
            return said, True
        said += more
    return said, False


def _closed(target: Target, node: Node, address: str, error: Exception | None) -> Finding:
    """The other side ended the connection at the first command."""
    if target.address.tls:
        if error is not None and "certificate required" in str(error).lower():
            return causes.finding(error, "tls", target, node)
        what = "the server ends each TLS connection at its first command; most often it requires a client certificate"
        return causes.found("client-certificate", what, target, node, LIKELY)
    if _does_tls(address, node):
        return Finding("tls", PROBLEM, "tls-port", "the port speaks TLS, and the URL says that it doesn't",
                       "the server ends each connection", causes.WITH_TLS, CERTAIN, str(node))  # fmt: skip
    return Finding("protocol", PROBLEM, "ends-connections", "the server ends each connection at its first command",
                   "a proxy without a server behind it, or a server that lists who may come",
                   target.cli(node, "PING"), LIKELY, str(node))  # fmt: skip


def _stranger(target: Target, node: Node, said: bytes) -> Finding:
    if not said:
        return causes.found("no-answer", "the port takes connections and answers nothing", target, node, LIKELY)
    if said[:2] == b"\x15\x03":
        return _closed(target, node, node.host, None)
    if not said.endswith(b"\n"):
        what = f"the answer comes too slowly: {len(said)} bytes in {ANSWER_SECONDS} s"
        return Finding("protocol", PROBLEM, "too-slow", what, "every command takes seconds",
                       f"ping -c 5 {node.host}", CERTAIN, str(node))  # fmt: skip
    return causes.found("not-valkey", f"{_service(said)} answers at this port", target, node)


def _service(said: bytes) -> str:
    lower = said.lower()
    if b"http" in lower or b"<html" in lower or b"<!doctype" in lower:
        return "an HTTP server"
    if said.startswith((b"ERROR\r\n", b"CLIENT_ERROR")):
        return "a Memcached"
    return "another service"


def _speaks(address: str, node: Node) -> bool:
    """Whether a plain PING is answered."""
    try:
        with socket.create_connection((address, node.port), CONNECT_SECONDS) as connection:
            return _answer(connection, AGAIN_SECONDS)[0].startswith((b"+", b"-"))
    except OSError:
        return False


def _does_tls(address: str, node: Node) -> bool:
    """Whether a TLS handshake succeeds, with whatever certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _wrapped(address, node, context).close()
    except OSError:
        return False
    return True


def open_door(target: Target, node: Node) -> list[Finding]:
    """The default user needs no password."""
    severity = NOTE if is_local(node.host) else PROBLEM if _is_public(node.host) else WARNING
    what = "the server serves whoever comes: its default user is on and has no password"
    if target.address.password is not None:
        what += ", though the URL has one"
    if target.stack is None and (target.address.username or "default") == "default":
        fix = target.new_password(node, "default")
    else:
        fix = target.repaired(node, "ACL", "SETUSER", "default", "off")
    return [Finding("authentication", severity, "open", what, "whoever reaches the port reads and removes everything",
                    fix, CERTAIN, str(node))]  # fmt: skip


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False
