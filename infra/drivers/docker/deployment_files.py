"""Files of a deployment, in one volume or folder that every container can read and none can write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infra import hardening
from infra.drivers.certificates import CertificatePair
from infra.drivers.docker.plan import DeploymentPlan, Secrets, Upload
from infra.drivers.topology.cluster import PLAN_SCRIPT
from infra.drivers.topology.node_executor import NodeAddress
from infra.drivers.topology.replication import sentinel_conf

HOME = "/etc/valkey"
FOLDER = Path(__file__).with_name("container")
SERVICES = FOLDER / "services.yaml"
SCRIPTS = FOLDER / "bin"

_TLS = {
    "tls-cert-file": f"{HOME}/tls/server.crt",
    "tls-key-file": f"{HOME}/tls/server.key",
    "tls-ca-cert-file": f"{HOME}/tls/ca.crt",
}
EXPORTER_PASSWORDS = "exporter/passwords.json"

CERTIFICATES = tuple(_TLS.items())
"""Setting these again to the same paths makes a server load the new files."""


def render(plan: DeploymentPlan, secrets: Secrets) -> dict[str, str]:
    """The texts of all files, by path."""
    with_file = [user.name for user in plan.users if user in hardening.SYSTEM_USERS and user.name != hardening.EXPORTER]
    return {
        "users.acl": hardening.acl(secrets.passwords, plan.users, secrets.previous),
        "tls/ca.crt": secrets.ca,
        "tls/server.crt": secrets.certificate.certificate,
        "tls/server.key": secrets.certificate.key,
        **{f"passwords/{name}": secrets.passwords[name] for name in with_file},
        **{f"bin/{name}": text for name, text in scripts().items()},
        **{f"nodes/{node.name}.conf": node_conf(plan, node, secrets) for node in plan.nodes},
        "nodes/list": "".join(_line(plan, node) for node in plan.nodes),
        "nodes/primaries": f"{plan.shards}\n",
        **(_of_sentinels(plan, secrets) if plan.sentinels else {}),
        **({EXPORTER_PASSWORDS: _exporter_passwords(plan, secrets)} if plan.exporter else {}),
        **({"upload/rclone.conf": _rclone_conf(plan.upload, secrets)} if plan.upload.is_configured else {}),
    }


def scripts() -> dict[str, str]:
    """The scripts that the containers run, by name."""
    return {path.name: path.read_text() for path in sorted((*SCRIPTS.iterdir(), PLAN_SCRIPT))}


def digest(plan: DeploymentPlan) -> str:
    """A digest of all files without ports and secrets; an upgrade of this package may change it."""
    ports = tuple(range(len(plan.addresses)))
    names = [user.name for user in (*plan.users, *plan.sentinel_users)]
    rendered = render(replace(plan, ports=ports), Secrets(dict.fromkeys(names, ""), {}, CertificatePair("", ""), ""))
    return hashlib.sha256(json.dumps([SERVICES.read_text(), rendered], sort_keys=True).encode()).hexdigest()[:16]


def monitored(member: NodeAddress) -> str:
    """The URL by which the exporter is asked for a server's metrics."""
    return f"rediss://{hardening.EXPORTER}@{member.host}:{member.port}"


def node_conf(plan: DeploymentPlan, node: NodeAddress, secrets: Secrets) -> str:
    """The configuration of one data node."""
    values = {**fixed(plan, node), **plan.directives, **hardening.topology_directives(plan.topology, plan.replicas)}
    if plan.topology != "single":
        values |= {
            "primaryuser": hardening.REPLICA,
            "primaryauth": hardening.quoted(secrets.passwords[hardening.REPLICA]),
        }
    if plan.topology == "replicated" and (primary := plan.primary_of(node)):
        values["replicaof"] = f"{primary.host} {primary.port}"
    return hardening.valkey_conf(values)


def fixed(plan: DeploymentPlan, node: NodeAddress) -> dict[str, str]:
    """Settings that need a restart: the addresses on which a node listens and which it announces."""
    values = {
        "bind": "* -::*",
        "port": "0",
        "tls-port": str(node.port),
        **_TLS,
        "tls-auth-clients": "no",
        "tls-protocols": hardening.TLS_PROTOCOLS,
        "aclfile": f"{HOME}/users.acl",
        "dir": "/data",
    }
    if plan.topology == "replicated":
        values |= {"tls-replication": "yes", "replica-announce-ip": node.host, "replica-announce-port": str(node.port)}
    if plan.topology == "cluster":
        values |= {
            "tls-replication": "yes",
            "tls-cluster": "yes",
            "cluster-port": str(node.bus),
            "cluster-announce-ip": node.host,
            "cluster-announce-tls-port": str(node.port),
            "cluster-announce-bus-port": str(node.bus),
            "cluster-announce-hostname": plan.host,
            "cluster-preferred-endpoint-type": "hostname",
        }
    return values


def _line(plan: DeploymentPlan, node: NodeAddress) -> str:
    """IP, port and name; then first and last slot, or `-` and the primary's IP."""
    primary = plan.primary_of(node)
    slots = f"- {primary.host}" if primary else "{} {}".format(*plan.slots_of(node))
    return f"{node.host} {node.port} {node.name} {slots}\n"


def _of_sentinels(plan: DeploymentPlan, secrets: Secrets) -> Mapping[str, str]:
    return {
        "sentinel.acl": hardening.acl(secrets.passwords, plan.sentinel_users, secrets.previous),
        "sentinels/addresses": "".join(f"{sentinel.host} {sentinel.port}\n" for sentinel in plan.sentinels),
        **{f"sentinels/{s.name}.conf": _sentinel_conf(plan, s, secrets) for s in plan.sentinels},
    }


def _sentinel_conf(plan: DeploymentPlan, sentinel: NodeAddress, secrets: Secrets) -> str:
    password = hardening.quoted(secrets.passwords[hardening.SENTINEL])
    values = {  # no `bind`: the server drops the line, as it is the default, and start-sentinel expects each of these
        "port": "0",
        "tls-port": str(sentinel.port),
        **_TLS,
        "tls-auth-clients": "no",
        "tls-protocols": hardening.TLS_PROTOCOLS,
        "tls-replication": "yes",
        "aclfile": f"{HOME}/sentinel.acl",
        "dir": "/data",
        "sentinel announce-ip": sentinel.host,
        "sentinel announce-port": str(sentinel.port),
        "sentinel deny-scripts-reconfig": "yes",
    }
    watched = sentinel_conf(plan.nodes[0], len(plan.sentinels), hardening.SENTINEL, password)
    return hardening.valkey_conf(values) + watched


def _exporter_passwords(plan: DeploymentPlan, secrets: Secrets) -> str:
    password = secrets.passwords[hardening.EXPORTER]
    return json.dumps({monitored(member): password for member in (*plan.nodes, *plan.sentinels)})


def _rclone_conf(upload: Upload, secrets: Secrets) -> str:
    access, secret = secrets.bucket or ("", "")
    values = {
        "type": "s3",
        "provider": "Other" if upload.endpoint else "AWS",
        "endpoint": upload.endpoint,
        "region": upload.region,
        "access_key_id": access,
        "secret_access_key": secret,
    }
    return "".join(["[backups]\n", *(f"{name} = {value}\n" for name, value in values.items() if value)])
