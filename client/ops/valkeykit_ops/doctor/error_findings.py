"""Findings for known errors: their layer, their consequence and the command that fixes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from valkeykit.error_translation import classify
from valkeykit.url import Node
from valkeykit.vocabulary import Confidence

from valkeykit_ops.doctor.finding import CERTAIN, LIKELY, POSSIBLE, PROBLEM, Finding
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


def _shell(line: str) -> Fix:
    return lambda _, node: line.format(host=node.host, port=node.port)


def _memory(target: Target, node: Node) -> str:
    return target.configure("valkey:memory", "2gb") or target.cli(node, "CONFIG", "SET", "maxmemory", "2gb")


def edited(expression: str) -> str:
    """The command that edits the URL in its variable, so its password is neither shown nor typed."""
    return f"""export VALKEY_URL="$(printf %s "$VALKEY_URL" | sed -E '{expression}')\""""


WITH_TLS = edited(r"s/^(redis|valkey)([+:])/\1s\2/")
WITHOUT_TLS = edited(r"s/^(redis|valkey)s/\1/")
AS_CLUSTER = edited(r"s/^([a-z]+)([+][a-z]+)?:/\1+cluster:/")
AS_SENTINEL = edited(r"s/^([a-z]+)([+][a-z]+)?:/\1+sentinel:/")
AS_SINGLE = edited("s/[+]cluster:/:/")


def _user(target: Target) -> str:
    return target.address.username or "default"


def _login(target: Target, node: Node) -> str:
    if target.stack:
        return f"pulumi stack output url --show-secrets --stack {target.stack}"
    return f"valkey-cli -h {node.host} -p {node.port} --user {_user(target)} --askpass ACL WHOAMI"


_S_CLIENT = (
    "openssl s_client -connect {host}:{port} -servername {host} </dev/null"
    " | openssl x509 -noout -dates -subject -ext subjectAltName"
)
_LISTENERS = "nc -zv {host} {port}"
_READ = "applications cannot use it in this state"
_WRITE = "all writes are rejected; reads may work"

_ROWS: dict[str, _Row] = {
    "no-credentials": _Row("authentication", _READ, _login),
    "wrong-password": _Row("authentication", _READ, _login),
    "not-permitted": _Row("permissions", "these commands fail for this user", lambda target, node: target.cli(
        node, "ACL", "GETUSER", _user(target))),
    "out-of-memory": _Row("memory", _WRITE, _memory),
    "cluster-met-by-single": _Row("topology", "keys of other nodes fail with MOVED", lambda *_: AS_CLUSTER),
    "cross-slot": _Row("topology", "commands with several keys fail", _shell(
        "grep -rnE 'mset|mget|pipeline|eval' . --include='*.py'")),
    "cluster-down": _Row("topology", "keys of the missing slots, or all keys, fail", _cli("CLUSTER", "NODES")),
    "single-met-by-cluster": _Row("topology", "cluster clients fail to start", lambda *_: AS_SINGLE),
    "replica-written": _Row("topology", _WRITE, _cli("INFO", "replication")),
    "demoted": _Row("topology", _WRITE, _cli("INFO", "replication")),
    "loading": _Row("persistence", "commands are rejected until the data is loaded", _cli("INFO", "persistence")),
    "primary-down": _Row("replication", "the replica rejects all reads", _cli("INFO", "replication")),
    "disk-refuses": _Row("persistence", _WRITE, _cli("CONFIG", "GET", "dir")),
    "too-few-replicas": _Row("replication", _WRITE, _cli("INFO", "replication")),
    "busy-script": _Row("latency", "all other clients wait", _cli("SCRIPT", "KILL")),
    "protected-mode": _Row("authentication", "clients on other machines are rejected", lambda target, node: (
        target.new_password(node, "default"))),
    "no-database": _Row("topology", _READ, _cli("CONFIG", "GET", "databases")),
    "no-hello": _Row("protocol", "redis-py and other current clients cannot log in", _cli("INFO", "server")),
    "too-many-clients": _Row("clients", "new connections are rejected", _cli("CONFIG", "SET", "maxclients", "20000")),
    "wrong-host-name": _Row("tls", "clients that verify the certificate cannot connect", _shell(_S_CLIENT)),
    "expired": _Row("tls", "clients that verify the certificate cannot connect", lambda target, node: (
        f"pulumi up --stack {target.stack}" if target.stack else _S_CLIENT.format(host=node.host, port=node.port))),
    "not-yet-valid": _Row("tls", "clients that verify the certificate cannot connect", _shell("date -u")),
    "unknown-authority": _Row("tls", "clients that verify the certificate cannot connect", _shell(
        "valkeykit doctor --ca /path/to/ca.pem")),
    "client-certificate": _Row("tls", "the server closes every connection without a client certificate", _shell(
        "export VALKEY_CERTIFICATE=/path/to/certificate.pem VALKEY_KEY=/path/to/key.pem"), LIKELY),
    "old-tls": _Row("tls", "current clients reject it", _cli("CONFIG", "SET", "tls-protocols", "TLSv1.2 TLSv1.3")),
    "no-tls": _Row("tls", "clients that use TLS wait until their timeout", lambda *_: WITHOUT_TLS),
    "connect-timeout": _Row("tcp", "a firewall or a security group drops the packets, or the host is down", _shell(
        _LISTENERS), LIKELY),
    "no-answer": _Row("protocol", "the process is stopped, swapping or in a long command", _cli("--latency"), LIKELY),
    "refused": _Row("tcp", "no client can connect", _shell(_LISTENERS)),
    "unknown-host": _Row("dns", "no client can connect", _shell("getent ahosts {host}")),
    "name-server": _Row("dns", "no client can connect", _shell("getent ahosts {host}")),
    "not-valkey": _Row("protocol", "another service uses this port", _shell("curl -sv http://{host}:{port}/"), LIKELY),
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
