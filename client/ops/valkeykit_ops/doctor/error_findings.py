"""Findings for known errors: their layer, their consequence and the command that fixes them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import NamedTuple

from valkeykit.error_translation import classify
from valkeykit.url import Node
from valkeykit.vocabulary import Confidence

from valkeykit_ops.doctor import shell_commands
from valkeykit_ops.doctor.finding import CERTAIN, LIKELY, POSSIBLE, PROBLEM, Finding
from valkeykit_ops.doctor.shell_commands import UrlEdit
from valkeykit_ops.doctor.target import Target

Fix = Callable[[Target, Node], str]


class _Row(NamedTuple):
    """Cause and fix of an error.

    Attributes:
        layer: None for the layer of the caller.
    """

    layer: str | None
    why: str
    fix: Fix
    confidence: Confidence = CERTAIN


def _cli(*command: str) -> Fix:
    return lambda target, node: target.cli(node, *command)


def _on_node(command: Callable[[Node], str]) -> Fix:
    return lambda _, node: command(node)


def _edit(edit: UrlEdit) -> Fix:
    return lambda target, _: target.edit_url(edit)


def _fixed(command: str) -> Fix:
    return lambda *_: command


def _set(command: str) -> Fix:
    return lambda target, _: target.set_variables(command)


def _start(target: Target, node: Node) -> str:
    return f"pulumi up --refresh --stack {shlex.quote(target.stack)}" if target.stack else shell_commands.connect(node)


def _renew(target: Target, node: Node) -> str:
    return f"pulumi up --stack {shlex.quote(target.stack)}" if target.stack else shell_commands.certificate(node)


def _free_slot(target: Target, node: Node) -> str:
    """Retried until a client disconnects, since the server rejects all others."""
    return f"until {target.cli(node, 'CONFIG', 'SET', 'maxclients', str(DEFAULT_MAX_CLIENTS))}; do sleep 1; done"


def _protect(target: Target, node: Node) -> str:
    """Protected mode accepts only clients on the server's machine."""
    return target.new_password(Node("127.0.0.1", node.port), "default")


DEFAULT_MAX_CLIENTS = 10_000
"""The server's default."""

_CLIENT_CERTIFICATE = (
    "read -rp 'Client certificate file: ' VALKEY_CERTIFICATE && read -rp 'Private key file: ' VALKEY_KEY"
    " && export VALKEY_CERTIFICATE VALKEY_KEY"
)
_AUTHORITY = "read -rp 'CA certificate file: ' VALKEY_CA && export VALKEY_CA"
_READ = "applications cannot use it in this state"
_WRITE = "all writes are rejected; reads may work"

_TLS = "clients that verify the certificate cannot connect"
_INFO = _cli("INFO", "replication")

_ROWS: dict[str, _Row] = {
    "no-credentials": _Row("authentication", _READ, lambda target, _: target.log_in()),
    "wrong-password": _Row("authentication", _READ, lambda target, _: target.log_in()),
    "not-permitted": _Row("permissions", "these commands fail for this user", lambda target, node: target.cli(
        node, "ACL", "GETUSER", target.address.username or "default")),
    "out-of-memory": _Row("memory", _WRITE, lambda target, _: target.tool("stats")),
    "cluster-met-by-single": _Row("topology", "keys of other nodes fail with MOVED", _edit(shell_commands.AS_CLUSTER)),
    "cross-slot": _Row("topology", "commands with several keys fail", _fixed(
        "grep -rnE 'mset|mget|pipeline|eval' . --include='*.py'")),
    "cluster-down": _Row("topology", "keys of the missing slots, or all keys, fail", _cli("CLUSTER", "NODES")),
    "single-met-by-cluster": _Row("topology", "cluster clients fail to start", _edit(shell_commands.AS_SINGLE)),
    "replica-written": _Row("topology", _WRITE, _INFO),
    "demoted": _Row("topology", _WRITE, _INFO),
    "loading": _Row("persistence", "commands are rejected until the data is loaded", _cli("INFO", "persistence")),
    "primary-down": _Row("replication", "the replica rejects all reads", _INFO),
    "disk-refuses": _Row("persistence", f"{_WRITE}; free disk space or correct the permissions of its directory first",
                         _cli("BGSAVE")),
    "too-few-replicas": _Row("replication", f"{_WRITE}; start the replicas, or accept writes without them",
                             _cli("CONFIG", "SET", "min-replicas-to-write", "0")),
    "busy-script": _Row("latency", "all other clients wait", _cli("SCRIPT", "KILL")),
    "protected-mode": _Row("authentication", "clients on other machines are rejected; run this on the server's machine",
                           _protect),
    "no-database": _Row("topology", _READ, _edit(shell_commands.FIRST_DATABASE)),
    "no-hello": _Row("protocol", "redis-py and other current clients cannot log in", _on_node(
        lambda node: shell_commands.send(node, "INFO server"))),
    "too-many-clients": _Row("clients", "new connections are rejected until a client disconnects", _free_slot),
    "wrong-host-name": _Row("tls", f"{_TLS}; use a name of the certificate, or verify only the CA", _set(
        "export VALKEY_CHECK_HOSTNAME=false")),
    "expired": _Row("tls", _TLS, _renew),
    "not-yet-valid": _Row("tls", _TLS, _fixed("date -u")),
    "unknown-authority": _Row("tls", _TLS, _set(_AUTHORITY)),
    "client-certificate": _Row("tls", "the server closes every connection without a client certificate", _set(
        _CLIENT_CERTIFICATE), LIKELY),
    "old-tls": _Row("tls", "current clients reject it", _cli("CONFIG", "SET", "tls-protocols", "TLSv1.2 TLSv1.3")),
    "no-tls": _Row("tls", "clients that use TLS wait until their timeout", _edit(shell_commands.WITHOUT_TLS)),
    "connect-timeout": _Row("tcp", "a firewall or a security group drops the packets, or the host is down", _on_node(
        shell_commands.connect), LIKELY),
    "no-answer": _Row("protocol", "the process is stopped, swapping or in a long command", _cli("PING"), LIKELY),
    "proxy": _Row("protocol", "a proxy such as twemproxy, which redis-py and valkeykit cannot use; "
                  "connect to the servers behind it", _on_node(
                      lambda node: shell_commands.send(node, "INFO server")), LIKELY),
    "paused": _Row("latency", "clients wait until the pause ends", _cli("CLIENT", "UNPAUSE")),
    "refused": _Row("tcp", "no client can connect; start the server, or correct host and port", _start),
    "unknown-host": _Row("dns", "no client can connect", _on_node(lambda node: shell_commands.resolve(node.host))),
    "name-server": _Row("dns", "no client can connect", _on_node(lambda node: shell_commands.resolve(node.host))),
    "not-valkey": _Row("protocol", "another service uses this port", _on_node(
        lambda node: shell_commands.send(node, "PING")), LIKELY),
}  # fmt: skip


def from_error(error: Exception, layer: str, target: Target, node: Node) -> Finding:
    """The finding for an error of redis-py, with the severity problem."""
    cause = classify(error)
    row = _ROWS.get(cause.name)
    if row is None:
        return Finding(layer, PROBLEM, cause.name, cause.message, _READ, target.cli(node, "PING"), POSSIBLE, str(node))
    return Finding(
        row.layer or layer,
        PROBLEM,
        cause.name,
        cause.message,
        row.why,
        row.fix(target, node),
        row.confidence,
        str(node),
    )


def from_name(name: str, what: str, target: Target, node: Node, confidence: Confidence = CERTAIN) -> Finding:
    """A finding that was detected without an error, with the same name and fix."""
    row = _ROWS[name]
    return Finding(row.layer or "protocol", PROBLEM, name, what, row.why, row.fix(target, node), confidence, str(node))
