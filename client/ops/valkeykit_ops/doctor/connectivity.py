"""Network checks below the protocol: DNS, TCP, TLS, and the service at the port. Each has a time limit."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from redis import exceptions as redis_errors
from valkeykit.url import Node

from valkeykit_ops.doctor import error_findings, shell_commands
from valkeykit_ops.doctor.deadline import Deadline, OutOfTimeError
from valkeykit_ops.doctor.finding import CERTAIN, LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.target import Target, is_local

DNS_SECONDS = 1.2
CONNECT_SECONDS = 0.7
TLS_SECONDS = 0.8
ANSWER_SECONDS = 0.9
SECOND_ANSWER_SECONDS = 0.5
"""Time limits of each layer, and of a second attempt without TLS."""

EXPIRY_DAYS = 14
"""A certificate that expires sooner is a warning."""

PING = b"*1\r\n$4\r\nPING\r\n"
UNKNOWN_COMMAND = b"*1\r\n$10\r\nVALKEYKIT?\r\n"
"""A server rejects it before the login, and even while it holds back all commands."""

_MAX_ADDRESSES = 16


@dataclass
class NodePath:
    """The network path to a node.

    Attributes:
        is_open: The server accepts commands without a login.
        answers: The server speaks the protocol.
        is_late: The time limit was reached first.
        connecting: Seconds until a TCP connection was open.
        round_trip: Seconds until PING was answered.
    """

    node: Node
    findings: list[Finding] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    is_open: bool = False
    answers: bool = False
    is_late: bool = False
    connecting: float = 0.0
    round_trip: float = 0.0


def examine_path(target: Target, node: Node, deadline: Deadline) -> NodePath:
    """Examine the four network layers of a node until one of them fails."""
    path = NodePath(node)
    address = _connect(target, path, deadline)
    if address is not None and (not target.address.tls or _handshake(target, path, address)):
        _ask(target, path, address)
    return path


def _connect(target: Target, path: NodePath, deadline: Deadline) -> str | None:
    """The first address that accepts connections."""
    node = path.node
    path.reached.append("dns")
    try:
        named = deadline.run(DNS_SECONDS, lambda: socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM))
    except OutOfTimeError:
        path.findings.append(
            error_findings.from_name("name-server", f"no DNS server responded for {node.host}", target, node)
        )
        return None
    except (OSError, UnicodeError) as problem:
        error = redis_errors.ConnectionError(f"Error connecting to {node}. {problem}")
        path.findings.append(error_findings.from_error(error, "dns", target, node))
        return None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in named))[:_MAX_ADDRESSES]
    path.reached.append("tcp")
    began = time.monotonic()
    with ThreadPoolExecutor(len(addresses)) as pool:
        failures = dict(zip(addresses, pool.map(lambda one: _try(one, node.port), addresses), strict=True))
    reachable = [one for one, failure in failures.items() if failure is None]
    if not reachable:
        path.findings.append(error_findings.from_error(next(filter(None, failures.values())), "tcp", target, node))
        return None
    if len(addresses) == 1:
        path.connecting = time.monotonic() - began
    path.findings.extend(_unreachable(node, reachable, [one for one in addresses if failures[one] is not None]))
    return reachable[0]


def _try(address: str, port: int) -> Exception | None:
    try:
        socket.create_connection((address, port), CONNECT_SECONDS).close()
    except TimeoutError:
        return redis_errors.TimeoutError("Timeout connecting to server")
    except OSError as problem:
        return redis_errors.ConnectionError(f"Error {problem.errno} connecting. {problem.strerror}")
    return None


def _unreachable(node: Node, reachable: list[str], unreachable: list[str]) -> list[Finding]:
    """An unused address family, often IPv6, is harmless; an unreachable address next to reachable ones is not."""
    families = {ipaddress.ip_address(one).version for one in reachable}
    missed = [one for one in unreachable if ipaddress.ip_address(one).version in families]
    if missed:
        what = f"{node.host} has {len(reachable) + len(unreachable)} addresses, and {', '.join(missed)} is unreachable"
        why = "clients that use it wait for a timeout or fail"
        return [Finding("tcp", WARNING, "dead-address", what, why, shell_commands.resolve(node.host), node=str(node))]
    if unreachable:
        what = f"{', '.join(unreachable)} of {node.host} is not in use"
        return [
            Finding(
                "tcp",
                NOTE,
                "unused-family",
                what,
                "clients try it first, then use the next address",
                shell_commands.resolve(node.host),
                node=str(node),
            )
        ]
    return []


def _handshake(target: Target, path: NodePath, address: str) -> bool:
    node = path.node
    path.reached.append("tls")
    try:
        with _wrapped(address, node, target.settings.trust.context()) as connection:
            certificate = connection.getpeercert() or {}
            path.findings.append(_expiry(target, node, str(connection.version()), str(certificate["notAfter"])))
            return True
    except (ssl.SSLError, OSError) as problem:
        path.findings.append(_refusal(target, node, address, problem))
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
        return error_findings.from_error(redis_errors.ConnectionError(str(problem)), "tls", target, node)
    if _accepts_plain(address, node):
        return error_findings.from_name("no-tls", "the URL uses TLS, but the port does not", target, node)
    if isinstance(problem, TimeoutError):
        return error_findings.from_name(
            "no-answer", "the server does not respond to the TLS handshake", target, node, LIKELY
        )
    return error_findings.from_error(redis_errors.ConnectionError(f"TLS failed: {problem}"), "tls", target, node)


def _expiry(target: Target, node: Node, version: str, not_after: str) -> Finding:
    """The TLS version and the expiry of the certificate."""
    end = ssl.cert_time_to_seconds(not_after)
    days = (end - time.time()) / 86_400
    date = datetime.fromtimestamp(end, timezone.utc)
    what = f"{version}; the server's certificate expires in {days:.0f} days, on {date:%Y-%m-%d}"
    fix = error_findings.from_name("expired", what, target, node).fix
    if days < EXPIRY_DAYS:
        return Finding("tls", WARNING, "expires-soon", what, "after that no client can connect", fix, node=str(node))
    return Finding("tls", NOTE, "encrypted", what, "its chain and host name are valid", fix, node=str(node))


def _ask(target: Target, path: NodePath, address: str) -> None:
    """Identify the service. A Valkey server responds to PING before the login, if only with an error."""
    node = path.node
    path.reached.append("protocol")
    try:
        with _open(target, node, address) as connection:
            began = time.monotonic()
            reply, ended = _answer(connection)
            path.round_trip = time.monotonic() - began
    except (ssl.SSLError, OSError) as problem:
        error = redis_errors.ConnectionError(f"{problem}".replace("_", " "))
        path.findings.append(_closed(target, node, address, error))
        return
    if reply.startswith((b"+PONG", b"-")) and reply.endswith(b"\n"):
        path.answers = True
        path.is_open = reply.startswith(b"+PONG")
        return
    if not reply and not ended and holds_commands(target, node, address):
        path.findings.append(paused(target, node))
        return
    path.findings.append(
        _closed(target, node, address, None) if ended and not reply else _not_valkey(target, node, reply)
    )


def _open(target: Target, node: Node, address: str) -> socket.socket:
    if target.address.tls:
        return _wrapped(address, node, target.settings.trust.context())
    return socket.create_connection((address, node.port), CONNECT_SECONDS)


def holds_commands(target: Target, node: Node, address: str) -> bool:
    """Whether a server that does not answer PING still rejects an unknown command: it works, but is paused."""
    try:
        with _open(target, node, address) as connection:
            reply, _ = _answer(connection, SECOND_ANSWER_SECONDS, UNKNOWN_COMMAND)
    except OSError:
        return False
    return reply.lower().startswith(b"-err unknown command")


def paused(target: Target, node: Node) -> Finding:
    """The finding for a server that holds back all commands."""
    finding = error_findings.from_name("paused", "all commands are held back by CLIENT PAUSE ALL", target, node)
    why = "clients wait until its timeout, which no command can shorten; PING is answered when it ends"
    return replace(finding, why=why, fix=target.cli(node, "PING"))


def _answer(connection: socket.socket, seconds: float = ANSWER_SECONDS, command: bytes = PING) -> tuple[bytes, bool]:
    """The reply, up to the end of a line or the time limit, and whether the server closed the connection."""
    connection.sendall(command)
    reply, end = b"", time.monotonic() + seconds
    while not reply.endswith(b"\n") and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            more = connection.recv(256)
        except TimeoutError:
            break
        if not more:
            return reply, True
        reply += more
    return reply, False


def _closed(target: Target, node: Node, address: str, error: Exception | None) -> Finding:
    """The finding for a connection that the server closed at the first command."""
    if target.address.tls:
        if error is not None and "certificate required" in str(error).lower():
            return error_findings.from_error(error, "tls", target, node)
        what = "the server closes TLS connections at the first command; usually it requires a client certificate"
        return error_findings.from_name("client-certificate", what, target, node, LIKELY)
    if _accepts_tls(address, node):
        return Finding(
            "tls",
            PROBLEM,
            "tls-port",
            "the port uses TLS, but the URL does not",
            "the server closes all connections",
            target.edit_url(shell_commands.WITH_TLS),
            CERTAIN,
            str(node),
        )
    return Finding(
        "protocol",
        PROBLEM,
        "ends-connections",
        "the server closes connections at the first command",
        "a proxy without a server, or a server that restricts its clients",
        target.cli(node, "PING"),
        LIKELY,
        str(node),
    )


def _not_valkey(target: Target, node: Node, reply: bytes) -> Finding:
    if not reply:
        return error_findings.from_name(
            "no-answer", "the port accepts connections but does not respond", target, node, LIKELY
        )
    if reply[:2] == b"\x15\x03":
        return _closed(target, node, node.host, None)
    if not reply.endswith(b"\n"):
        what = f"the reply is too slow: {len(reply)} bytes in {ANSWER_SECONDS} s"
        return Finding(
            "protocol",
            PROBLEM,
            "too-slow",
            what,
            "every command takes seconds",
            shell_commands.connect(node),
            CERTAIN,
            str(node),
        )
    return error_findings.from_name("not-valkey", f"{_service(reply)} responds on this port", target, node)


def _service(reply: bytes) -> str:
    lower = reply.lower()
    if b"http" in lower or b"<html" in lower or b"<!doctype" in lower:
        return "an HTTP server"
    if reply.startswith((b"ERROR\r\n", b"CLIENT_ERROR")):
        return "a Memcached server"
    return "another service"


def _accepts_plain(address: str, node: Node) -> bool:
    """Whether the port responds to a PING without TLS."""
    try:
        with socket.create_connection((address, node.port), CONNECT_SECONDS) as connection:
            return _answer(connection, SECOND_ANSWER_SECONDS)[0].startswith((b"+", b"-"))
    except OSError:
        return False


def _accepts_tls(address: str, node: Node) -> bool:
    """Whether a TLS handshake succeeds, with any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _wrapped(address, node, context).close()
    except OSError:
        return False
    return True


def open_access(target: Target, node: Node) -> list[Finding]:
    """The finding for a default user without a password."""
    severity = NOTE if is_local(node.host) else PROBLEM if _is_public(node.host) else WARNING
    what = "anonymous clients are accepted: the default user is enabled without a password"
    if target.address.password is not None:
        what += ", although the URL has one"
    if target.stack is None and (target.address.username or "default") == "default":
        fix = target.new_password(node, "default")
    else:
        fix = target.restore_setting(node, "ACL", "SETUSER", "default", "off")
    return [
        Finding(
            "authentication",
            severity,
            "open",
            what,
            "any client that reaches the port can read and delete all data",
            fix,
            CERTAIN,
            str(node),
        )
    ]


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False
