"""A finding for an error that valkeykit classifies: where it belongs, what follows, and the command that mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from valkeykit.error_translation import classify
from valkeykit.ops.doctor.finding import CERTAIN, LIKELY, POSSIBLE, PROBLEM, Finding
from valkeykit.ops.doctor.target import Target
from valkeykit.url import Node

Mend = Callable[[Target, Node], str]


class _Row(NamedTuple):
    """layer None: that of whoever asked."""

    layer: str | None
    why: str
    mend: Mend
    sure: str = CERTAIN


def _cli(*command: str) -> Mend:
    return lambda target, node: target.cli(node, *command)


def _shell(line: str) -> Mend:
    return lambda _, node: line.format(host=node.host, port=node.port)


def _memory(target: Target, node: Node) -> str:
    return target.configure("valkey:memory", "2gb") or target.cli(node, "CONFIG", "SET", "maxmemory", "2gb")


def edited(expression: str) -> str:
    """The command that edits the URL where it stands, so that its password is neither shown nor typed."""
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
_READ = "an application can't use it as it is"
_WRITE = "every write is refused, reads may work"

_ROWS: dict[str, _Row] = {
    "no-credentials": _Row("authentication", _READ, _login),
    "wrong-password": _Row("authentication", _READ, _login),
    "not-permitted": _Row("permissions", "the commands behind it fail for this user", lambda target, node: target.cli(
        node, "ACL", "GETUSER", _user(target))),
    "out-of-memory": _Row("memory", _WRITE, _memory),
    "cluster-met-by-single": _Row("topology", "keys of other nodes are answered with MOVED", lambda *_: AS_CLUSTER),
    "cross-slot": _Row("topology", "commands with several keys fail", _shell(
        "grep -rnE 'mset|mget|pipeline|eval' . --include='*.py'")),
    "cluster-down": _Row("topology", "keys of the missing slots, or all keys, are refused", _cli("CLUSTER", "NODES")),
    "single-met-by-cluster": _Row("topology", "a cluster's client refuses to start", lambda *_: AS_SINGLE),
    "replica-written": _Row("topology", _WRITE, _cli("INFO", "replication")),
    "demoted": _Row("topology", _WRITE, _cli("INFO", "replication")),
    "loading": _Row("persistence", "commands are refused until the data is loaded", _cli("INFO", "persistence")),
    "primary-down": _Row("replication", "the replica answers nothing", _cli("INFO", "replication")),
    "disk-refuses": _Row("persistence", _WRITE, _cli("CONFIG", "GET", "dir")),
    "too-few-replicas": _Row("replication", _WRITE, _cli("INFO", "replication")),
    "busy-script": _Row("latency", "nobody else is served meanwhile", _cli("SCRIPT", "KILL")),
    "protected-mode": _Row("authentication", "clients of other machines are refused", lambda target, node: (
        target.new_password(node, "default"))),
    "no-database": _Row("topology", _READ, _cli("CONFIG", "GET", "databases")),
    "no-hello": _Row("protocol", "redis-py and other clients of today can't log in", _cli("INFO", "server")),
    "too-many-clients": _Row("clients", "new connections are refused", _cli("CONFIG", "SET", "maxclients", "20000")),
    "wrong-host-name": _Row("tls", "whoever checks the certificate can't connect", _shell(_S_CLIENT)),
    "expired": _Row("tls", "whoever checks the certificate can't connect", lambda target, node: (
        f"pulumi up --stack {target.stack}" if target.stack else _S_CLIENT.format(host=node.host, port=node.port))),
    "not-yet-valid": _Row("tls", "whoever checks the certificate can't connect", _shell("date -u")),
    "unknown-authority": _Row("tls", "whoever checks the certificate can't connect", _shell(
        "valkeykit doctor --ca /path/of/the/authority.pem")),
    "client-certificate": _Row("tls", "the server ends every connection without one", _shell(
        "export VALKEY_CERTIFICATE=/path/of/the/certificate.pem VALKEY_KEY=/path/of/the/key.pem"), LIKELY),
    "old-tls": _Row("tls", "clients of today refuse it", _cli("CONFIG", "SET", "tls-protocols", "TLSv1.2 TLSv1.3")),
    "no-tls": _Row("tls", "a client that wants TLS waits until its time-out", lambda *_: WITHOUT_TLS),
    "connect-timeout": _Row("tcp", "a firewall or a security group drops the packets, or the host is down", _shell(
        _LISTENERS), LIKELY),
    "no-answer": _Row("protocol", "the process is stopped, swaps, or runs one long command", _cli("--latency"), LIKELY),
    "refused": _Row("tcp", "no client can connect", _shell(_LISTENERS)),
    "unknown-host": _Row("dns", "no client can connect", _shell("getent ahosts {host}")),
    "name-server": _Row("dns", "no client can connect", _shell("getent ahosts {host}")),
    "not-valkey": _Row("protocol", "another service listens there", _shell("curl -sv http://{host}:{port}/"), LIKELY),
}  # fmt: skip


def finding(error: Exception, layer: str, target: Target, node: Node) -> Finding:
    """What an error of redis-py's is, with the severity of something that doesn't work."""
    cause = classify(error)
    row = _ROWS.get(cause.name)
    if row is None:
        return Finding(layer, PROBLEM, cause.name, cause.message, _READ, target.cli(node, "PING"), POSSIBLE, str(node))
    return Finding(
        row.layer or layer, PROBLEM, cause.name, cause.message, row.why, row.mend(target, node), row.sure, str(node)
    )


def found(name: str, what: str, target: Target, node: Node, sure: str = CERTAIN) -> Finding:
    """What was seen otherwise, under the same name and with the same mend."""
    row = _ROWS[name]
    return Finding(row.layer or "protocol", PROBLEM, name, what, row.why, row.mend(target, node), sure, str(node))
