"""Translation of exceptions of redis-py into errors of valkeykit, with their fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from redis import exceptions as redis_errors

from valkeykit import errors
from valkeykit.credential_errors import ProviderError
from valkeykit.errors import ValkeykitError
from valkeykit.transport import ClosedBeforeLoginError, InvalidTrustError, TlsClosedBeforeLoginError

_CODE = re.compile(r"[A-Z]{2,20}")
_CONNECTING = re.compile(r"connecting to (?:unix socket: )?(\S+?)\.(?:\s|$)")

REDIS_ERRORS = (redis_errors.RedisError, redis_errors.RedisClusterException, OSError)
"""Exceptions that redis-py raises; OSError is not a RedisError."""

_Rule = tuple[str, type[Exception], str, type[ValkeykitError], str, str]


class ErrorCause(NamedTuple):
    """The cause of an exception.

    Attributes:
        name: A stable identifier.
        kind: The class of the valkeykit error.
        message: Its message.
        fix: The step that fixes it.
    """

    name: str
    kind: type[ValkeykitError]
    message: str
    fix: str


_CLUSTER = 'connect again now that it responds, or connect(…, topology="cluster")'
_CLIENT_CERTIFICATE = "pass one that the server's tls-ca-cert-file has signed: connect(…, certificate=…, key=…)"
_ENDED = "the server ended the connection"
_WHY_ENDED = (
    "check its log for a restart, a failover, or a client over maxmemory-clients; in that case send less at once"
)

# The first rule whose class and lower-case text both match applies.
_RULES: tuple[_Rule, ...] = (
    ("no-credentials", redis_errors.AuthenticationError, "must be called with the client already authenticated", errors.LoginError,
     "the server requires a user and a password, and none was given", "put them into the URL: redis://user:password@host"),
    ("no-credentials", redis_errors.AuthenticationError, "authentication required", errors.LoginError,
     "the server requires a user and a password, and none was given", "put them into the URL: redis://user:password@host"),
    ("wrong-password", redis_errors.AuthenticationError, "", errors.LoginError,
     "the server rejected the login: unknown user, wrong password, or disabled user",
     "use the user and password of the deployment's outputs; a rotation invalidates previous passwords"),
    ("not-permitted", redis_errors.NoPermissionError, "", errors.NotPermittedError,
     "the user may not run this command or use this key", "extend the user's ACL rule, or use another user"),
    ("out-of-memory", redis_errors.OutOfMemoryError, "", errors.OutOfMemoryError,
     "the server is full: maxmemory is reached and no key can be evicted", "raise maxmemory or remove data"),
    ("cluster-met-by-single", redis_errors.MovedError, "", errors.TopologyError,
     "the server is a node of a cluster, but the client is for a single server", _CLUSTER),
    ("cluster-met-by-single", redis_errors.AskError, "", errors.TopologyError,
     "the server is a node of a cluster, but the client is for a single server", _CLUSTER),
    ("cross-slot", redis_errors.ClusterCrossSlotError, "", errors.TopologyError,
     "the command's keys are in different slots of the cluster", "give the keys the same {tag}, or send one command for each"),
    ("primary-down", redis_errors.MasterDownError, "", errors.UnreachableError,
     "the replica has lost its primary and serves no stale data", "wait for the failover, or check INFO replication"),
    ("cluster-down", redis_errors.ClusterDownError, "", errors.UnreachableError,
     "the cluster is down: some of its slots have no primary", "check CLUSTER INFO on a node"),
    ("slots-moving", redis_errors.ClusterError, "", errors.UnreachableError,
     "the cluster's slots are moving, and no node accepted the command", "try again in a moment"),
    ("slots-moving", redis_errors.TryAgainError, "", errors.UnreachableError,
     "the command's keys are being moved to another node", "try again in a moment"),
    ("single-met-by-cluster", redis_errors.RedisClusterException, "cluster mode is not enabled", errors.TopologyError,
     "the server is a single node, but the client is for a cluster", "connect(…, topology=\"single\")"),
    ("no-cluster-node", redis_errors.RedisClusterException, "", errors.UnreachableError,
     "no node of the cluster can be used", "check the hosts and CLUSTER INFO on a node"),
    ("replica-written", redis_errors.ReadOnlyError, "", errors.ReadOnlyError,
     "a write was sent to a replica",
     "after a failover, send it again; otherwise connect to the primary, or pass topology=\"replicated\" to connect"),
    ("demoted", redis_errors.ResponseError, "unblocked force", errors.ReadOnlyError,
     "the primary has become a replica", "send it again: the next connection goes to the new primary"),
    ("demoted", redis_errors.RedisError, "the previous master is now a slave", errors.ReadOnlyError,
     "the primary has become a replica", "send it again: the next connection goes to the new primary"),
    ("loading", redis_errors.BusyLoadingError, "", errors.UnreachableError,
     "the server is still loading its data", "wait and try again"),
    ("disk-refuses", redis_errors.ResponseError, "misconf", errors.RefusedError,
     "the server can't write to its disk, so it rejects writes", "check its log, the free disk space and the folder's owner"),
    ("too-few-replicas", redis_errors.ResponseError, "noreplicas", errors.RefusedError,
     "fewer replicas are in sync than min-replicas-to-write requires", "restart the missing replicas"),
    ("busy-script", redis_errors.ResponseError, "busy ", errors.RefusedError,
     "a script has kept the server busy for too long", "SCRIPT KILL on the server"),
    ("protected-mode", redis_errors.RedisError, "protected mode", errors.UnreachableError,
     "the server accepts only local connections, since it has no password (protected mode)", "set a password on the server"),
    ("no-database", redis_errors.ResponseError, "db index is out of range", errors.RefusedError,
     "the server has no database with this number", "end the URL with /0, or raise databases in the server's configuration"),
    ("no-hello", redis_errors.ResponseError, "unknown command 'hello'", errors.UnreachableError,
     "the server doesn't support HELLO: it is older than 6.0, or behind a proxy", "connect to the server directly"),
    ("too-many-clients", redis_errors.RedisError, "max number of clients", errors.UnreachableError,
     "the server has reached maxclients", "raise maxclients, or use smaller pools"),
    ("pool-empty", redis_errors.MaxConnectionsError, "", errors.UnreachableError,
     "every connection of the pool is in use", "raise max_connections, or run fewer commands at once"),
    ("pool-empty", redis_errors.RedisError, "no connection available", errors.UnreachableError,
     "every connection of the pool is in use", "raise max_connections, or run fewer commands at once"),
    ("wrong-host-name", redis_errors.RedisError, "hostname mismatch", errors.TlsError,
     "the server's certificate is for another host name", "connect by a name that is on the certificate"),
    ("wrong-host-name", redis_errors.RedisError, "ip address mismatch", errors.TlsError,
     "the server's certificate doesn't contain this IP address", "connect by a name that is on the certificate"),
    ("expired", redis_errors.RedisError, "certificate has expired", errors.TlsError,
     "the server's certificate has expired", "renew it; `pulumi up` renews the one of a stack"),
    ("not-yet-valid", redis_errors.RedisError, "certificate is not yet valid", errors.TlsError,
     "the server's certificate isn't valid yet", "correct the clock of this machine or of the server"),
    ("unknown-authority", redis_errors.RedisError, "certificate_verify_failed", errors.TlsError,
     "the server's certificate is signed by an untrusted authority", "pass the authority's certificate: connect(…, ca=…)"),
    ("client-certificate", redis_errors.RedisError, "certificate required", errors.TlsError,
     "the server requires a client certificate", _CLIENT_CERTIFICATE),
    ("client-certificate-refused", redis_errors.RedisError, "alert unknown ca", errors.TlsError,
     "the server doesn't trust the authority of this client's certificate", "pass a certificate that the server's tls-ca-cert-file has signed"),
    ("client-certificate-refused", redis_errors.RedisError, "alert certificate expired", errors.TlsError,
     "this client's certificate has expired", "renew it"),
    ("client-certificate-refused", redis_errors.RedisError, "alert bad certificate", errors.TlsError,
     "the server rejected this client's certificate", "pass a certificate that the server's tls-ca-cert-file has signed"),
    ("client-certificate", redis_errors.RedisError, "alert handshake failure", errors.TlsError,
     "the server ended the TLS connection; most often it requires a client certificate", _CLIENT_CERTIFICATE),
    ("client-certificate", TlsClosedBeforeLoginError, "", errors.TlsError,
     "the server ended the TLS connection before the login; most often it requires a client certificate, or doesn't trust this one",
     _CLIENT_CERTIFICATE),
    ("old-tls", redis_errors.RedisError, "unsupported_protocol", errors.TlsError,
     "the server supports only versions of TLS older than 1.2", "set tls-protocols \"TLSv1.2 TLSv1.3\" on the server"),
    ("old-tls", redis_errors.RedisError, "alert protocol version", errors.TlsError,
     "client and server have no version of TLS in common", "set tls-protocols \"TLSv1.2 TLSv1.3\" on the server"),
    ("no-tls", redis_errors.RedisError, "wrong_version_number", errors.TlsError,
     "the port doesn't use TLS", "use redis:// instead of rediss://, or the TLS port"),
    ("connect-timeout", redis_errors.RedisError, "timeout connecting", errors.OperationTimeoutError,
     "the server didn't accept the connection in time", "check host, port and firewall, and use redis:// for a port without TLS"),
    ("no-answer", redis_errors.TimeoutError, "", errors.OperationTimeoutError,
     "the server didn't respond in time; whether the command ran is unknown", "check the server's load and SLOWLOG, or raise read_timeout"),
    ("reset", ClosedBeforeLoginError, "", errors.UnreachableError,
     "the server ended the connection before the login", "if the port uses TLS, use rediss://"),
    ("ended", redis_errors.ConnectionError, "connection reset", errors.UnreachableError, _ENDED, _WHY_ENDED),
    ("ended", redis_errors.ConnectionError, "closed by server", errors.UnreachableError, _ENDED, _WHY_ENDED),
    ("ended", redis_errors.ConnectionError, "while writing to socket", errors.UnreachableError, _ENDED, _WHY_ENDED),
    ("no-socket", redis_errors.ConnectionError, "no such file or directory", errors.UnreachableError,
     "no unix socket exists at this path", "start the server with unixsocket set, or correct the path"),
    ("socket-closed-to-user", redis_errors.ConnectionError, "permission denied", errors.UnreachableError,
     "this process may not use the unix socket", "set unixsocketperm 770 on the server, and add this process's user to its group"),
    ("refused", redis_errors.RedisError, "error 111", errors.UnreachableError,
     "nothing listens at {address}", "start the server, or correct host and port (or the path of the unix socket)"),
    ("refused", redis_errors.RedisError, "connection refused", errors.UnreachableError,
     "nothing listens at {address}", "start the server, or correct host and port (or the path of the unix socket)"),
    ("unknown-host", redis_errors.RedisError, "name or service not known", errors.UnreachableError,
     "the host name of {address} is unknown", "correct the host, or this machine's name server"),
    ("name-server", redis_errors.RedisError, "temporary failure in name resolution", errors.UnreachableError,
     "the name server didn't respond", "check this machine's network"),
    ("not-valkey", redis_errors.InvalidResponse, "", errors.UnreachableError,
     "the service at this port isn't Valkey", "correct the port"),
    ("broken", redis_errors.ConnectionError, "", errors.UnreachableError,
     "the connection was interrupted", "check the server's log and the network"),
    ("wrong-type", redis_errors.ResponseError, "wrongtype", errors.RefusedError,
     "the key has a value of another type (WRONGTYPE)", "use another key, or delete the value"),
    ("unknown-command", redis_errors.ResponseError, "unknown command", errors.RefusedError,
     "the server doesn't support this command", "use a newer server, or load the command's module"),
    ("refused-command", redis_errors.ResponseError, "", errors.RefusedError,
     "the server rejected the command", "the exception's cause has the server's text"),
)  # fmt: skip


def translate_error(error: Exception) -> ValkeykitError:
    """Translate an exception of redis-py. The server's text is not repeated, since it may quote data.

    Args:
        error: What redis-py raised.

    Returns:
        The valkeykit error, whose `fix` is the step that fixes it. Errors of valkeykit are returned as they are.
    """
    if isinstance(error, ValkeykitError):
        return error
    if isinstance(error, ProviderError | InvalidTrustError):
        return type(error.ours)(str(error.ours.args[0]), fix=error.ours.fix)
    cause = classify(error)
    return cause.kind(cause.message, fix=cause.fix)


def classify(error: Exception) -> ErrorCause:
    """Find the cause of an exception of redis-py."""
    text = str(error).lower()
    for name, kind, part, ours, message, fix in _RULES:
        if isinstance(error, kind) and part in text:
            code = _code(error) if name == "refused-command" else ""
            described = message.replace("{address}", _address(error))
            return ErrorCause(name, ours, f"{described}{code and f' ({code})'}", fix)
    return ErrorCause(
        "unknown",
        errors.UnreachableError,
        f"the connection failed: {type(error).__name__}",
        "the exception's cause has the details",
    )


def _address(error: Exception) -> str:
    """What redis-py tried to connect to, such as localhost:6379; never a part of a command."""
    match = _CONNECTING.search(str(error))
    return match[1] if match else "this address"


def _code(error: Exception) -> str:
    """The first word of the server's answer, such as ERR. What follows may quote data."""
    word = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return word if _CODE.fullmatch(word) else ""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise exceptions of redis-py as valkeykit errors.

    Raises:
        ValkeykitError: redis-py raised an exception inside; it is the `__cause__`.

    Example:
        >>> with valkeykit.translate_errors():
        ...     client.set("greeting", "hello")
    """
    try:
        yield
    except REDIS_ERRORS as error:
        raise translate_error(error) from error
