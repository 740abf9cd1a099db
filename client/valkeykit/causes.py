"""What redis-py and the server say went wrong, as one error of ours that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from redis import exceptions as redis_errors

from valkeykit import errors
from valkeykit.errors import ValkeykitError

FOREIGN = (redis_errors.RedisError, redis_errors.RedisClusterException, OSError)
"""What redis-py raises for a server; the second is no RedisError."""

_Rule = tuple[str, type[Exception], str, type[ValkeykitError], str, str]


class Cause(NamedTuple):
    """name: a stable word for it. kind: our error. message and fix: as the error has them."""

    name: str
    kind: type[ValkeykitError]
    message: str
    fix: str


# The first rule fits whose class and whose text (in lower case) both do.
_RULES: tuple[_Rule, ...] = (
    ("no-credentials", redis_errors.AuthenticationError, "must be called with the client already authenticated", errors.LoginError,
     "the server asks for a user and a password, and none was given", "put them into the URL: redis://user:password@host"),
    ("no-credentials", redis_errors.AuthenticationError, "authentication required", errors.LoginError,
     "the server asks for a user and a password, and none was given", "put them into the URL: redis://user:password@host"),
    ("wrong-password", redis_errors.AuthenticationError, "", errors.LoginError,
     "the server refused the login: unknown user, wrong password, or the user is off",
     "take user and password from the deployment's outputs; an old password ends with a rotation"),
    ("not-permitted", redis_errors.NoPermissionError, "", errors.PermissionError,
     "the user may not run this command or touch this key", "widen the user's ACL rule, or use another user"),
    ("out-of-memory", redis_errors.OutOfMemoryError, "", errors.OutOfMemoryError,
     "the server is full: maxmemory is reached and nothing may be evicted", "raise maxmemory or remove data"),
    ("cluster-met-by-single", redis_errors.MovedError, "", errors.TopologyError,
     "the server is a node of a cluster, and the client is one for a single node", "connect(…, topology=\"cluster\")"),
    ("cluster-met-by-single", redis_errors.AskError, "", errors.TopologyError,
     "the server is a node of a cluster, and the client is one for a single node", "connect(…, topology=\"cluster\")"),
    ("cross-slot", redis_errors.ClusterCrossSlotError, "", errors.TopologyError,
     "the command's keys live on different nodes of the cluster", "give the keys one {tag}, or send a command for each"),
    ("primary-down", redis_errors.MasterDownError, "", errors.UnreachableError,
     "the replica has lost its primary and serves no stale data", "wait for the failover, or look at INFO replication"),
    ("cluster-down", redis_errors.ClusterDownError, "", errors.UnreachableError,
     "the cluster is down: a part of its slots has no primary", "look at CLUSTER INFO on a node"),
    ("single-met-by-cluster", redis_errors.RedisClusterException, "cluster mode is not enabled", errors.TopologyError,
     "the server is a single node, and the client is one for a cluster", "connect(…, topology=\"single\")"),
    ("no-cluster-node", redis_errors.RedisClusterException, "", errors.UnreachableError,
     "no node of the cluster can be used", "check the hosts and CLUSTER INFO on a node"),
    ("replica-written", redis_errors.ReadOnlyError, "", errors.ReadOnlyError,
     "a replica was asked to write", "connect to the primary, or by connect(…, topology=\"replicated\")"),
    ("demoted", redis_errors.RedisError, "the previous master is now a slave", errors.ReadOnlyError,
     "the primary has become a replica", "send it again: the next connection goes to the new primary"),
    ("loading", redis_errors.BusyLoadingError, "", errors.UnreachableError,
     "the server is still loading its data", "wait and try again"),
    ("disk-refuses", redis_errors.ResponseError, "misconf", errors.RefusedError,
     "the server can't write to its disk, so it refuses writes", "look at its log, the disk's space and the folder's owner"),
    ("too-few-replicas", redis_errors.ResponseError, "noreplicas", errors.RefusedError,
     "fewer replicas are in sync than min-replicas-to-write asks for", "bring the replicas back"),
    ("busy-script", redis_errors.ResponseError, "busy ", errors.RefusedError,
     "a script has kept the server busy for too long", "SCRIPT KILL on the server"),
    ("protected-mode", redis_errors.RedisError, "protected mode", errors.UnreachableError,
     "the server takes connections from its own machine only, since it has no password", "give it a password; then it takes others"),
    ("no-database", redis_errors.ResponseError, "db index is out of range", errors.RefusedError,
     "the server has no database of this number", "end the URL with /0, or raise databases in the server's configuration"),
    ("no-hello", redis_errors.ResponseError, "unknown command 'hello'", errors.UnreachableError,
     "the server doesn't know HELLO: it is older than 6.0, or a proxy stands before it", "connect to the server itself"),
    ("too-many-clients", redis_errors.RedisError, "max number of clients", errors.UnreachableError,
     "the server has as many clients as maxclients allows", "raise maxclients, or use smaller pools"),
    ("pool-empty", redis_errors.RedisError, "no connection available", errors.UnreachableError,
     "every connection of the pool is in use", "raise max_connections, or run fewer commands at once"),
    ("wrong-host-name", redis_errors.RedisError, "hostname mismatch", errors.TlsError,
     "the server's certificate is for another host name", "connect by a name that is on the certificate"),
    ("wrong-host-name", redis_errors.RedisError, "ip address mismatch", errors.TlsError,
     "the server's certificate doesn't hold this IP address", "connect by a name that is on the certificate"),
    ("expired", redis_errors.RedisError, "certificate has expired", errors.TlsError,
     "the server's certificate has expired", "renew it; `pulumi up` renews the one of a stack"),
    ("not-yet-valid", redis_errors.RedisError, "certificate is not yet valid", errors.TlsError,
     "the server's certificate isn't valid yet", "set this machine's clock, or the server's"),
    ("unknown-authority", redis_errors.RedisError, "certificate_verify_failed", errors.TlsError,
     "the server's certificate is signed by an authority that isn't trusted here", "pass its certificate: connect(…, ca=…)"),
    ("client-certificate", redis_errors.RedisError, "certificate required", errors.TlsError,
     "the server asks for a client certificate", "set tls-auth-clients no on the server"),
    ("client-certificate", redis_errors.RedisError, "alert handshake failure", errors.TlsError,
     "the server ended the TLS connection; most often it asks for a client certificate", "set tls-auth-clients no on the server"),
    ("old-tls", redis_errors.RedisError, "unsupported_protocol", errors.TlsError,
     "the server speaks only a version of TLS older than 1.2", "set tls-protocols \"TLSv1.2 TLSv1.3\" on the server"),
    ("old-tls", redis_errors.RedisError, "alert protocol version", errors.TlsError,
     "client and server have no version of TLS in common", "set tls-protocols \"TLSv1.2 TLSv1.3\" on the server"),
    ("client-certificate", redis_errors.RedisError, "while writing to socket", errors.TlsError,
     "the server ended the TLS connection; most often it asks for a client certificate", "set tls-auth-clients no on the server"),
    ("no-tls", redis_errors.RedisError, "wrong_version_number", errors.TlsError,
     "the port speaks no TLS", "use redis:// instead of rediss://, or the TLS port"),
    ("connect-timeout", redis_errors.RedisError, "timeout connecting", errors.TimedOutError,
     "the server didn't take the connection in time", "check host, port and firewall; rediss:// on a port without TLS ends so too"),
    ("no-answer", redis_errors.TimeoutError, "", errors.TimedOutError,
     "the server didn't answer in time; whether the command ran is unknown", "check the server's load and SLOWLOG, or raise read_timeout"),
    ("reset", redis_errors.RedisError, "connection reset", errors.UnreachableError,
     "the server ended the connection", "if its port speaks TLS, use rediss://"),
    ("refused", redis_errors.RedisError, "error 111", errors.UnreachableError,
     "nothing listens at this host and port", "start the server, or correct host and port"),
    ("refused", redis_errors.RedisError, "connection refused", errors.UnreachableError,
     "nothing listens at this host and port", "start the server, or correct host and port"),
    ("unknown-host", redis_errors.RedisError, "name or service not known", errors.UnreachableError,
     "the host name is unknown", "correct the host, or the name server that this machine asks"),
    ("name-server", redis_errors.RedisError, "temporary failure in name resolution", errors.UnreachableError,
     "the name server didn't answer", "check this machine's network"),
    ("not-valkey", redis_errors.InvalidResponse, "", errors.UnreachableError,
     "what answers at this port isn't a Valkey", "correct the port"),
    ("broken", redis_errors.ConnectionError, "", errors.UnreachableError,
     "the connection broke", "check the server's log and the network between"),
    ("refused-command", redis_errors.ResponseError, "", errors.RefusedError,
     "the server refused the command", "look at the original error"),
)  # fmt: skip


def explain(error: Exception) -> ValkeykitError:
    """The error of ours for one of redis-py's. Text of the server is not repeated, since it may quote data."""
    if isinstance(error, ValkeykitError):
        return error
    cause = recognise(error)
    return cause.kind(cause.message, fix=cause.fix)


def recognise(error: Exception) -> Cause:
    """What is behind an error of redis-py's."""
    text = str(error).lower()
    for name, kind, part, ours, message, fix in _RULES:
        if isinstance(error, kind) and part in text:
            return Cause(name, ours, message, fix)
    return Cause(
        "unknown",
        errors.UnreachableError,
        f"the connection failed: {type(error).__name__}",
        "look at the original error",
    )


@contextmanager
def explained() -> Iterator[None]:
    """Turns what redis-py raises inside into our errors.

    with valkeykit.explained():
        client.set("greeting", "hello")
    """
    try:
        yield
    except FOREIGN as error:
        raise explain(error) from error
