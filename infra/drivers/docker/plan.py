"""The plan of a container deployment, with its derived names, addresses and ports."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from infra import hardening
from infra.drivers.certificates import CertificatePair
from infra.drivers.topology import cluster
from infra.drivers.topology.node_executor import NodeAddress
from infra.hardening import Topology

SENTINEL_COUNT = 3

_FIRST_NODE, _FIRST_SENTINEL = 10, 110
"""Host parts of the fixed addresses; a cluster that finds others after a restart doesn't recover."""

OVERHEAD_BYTES = 48 * 1024**2
"""Bytes for the program, connections and buffers."""

_HOUR_SECONDS = 3600
_S3 = "s3://"

DATA_SHARE = 0.45
"""The maximal share of data in a container's memory; a fork needs the rest (measured: at 0.58 it was killed)."""


@dataclass(frozen=True)
class Secrets:
    """passwords: of every user, the system's too. previous: passwords that stay valid.

    login: the administrator's password before a change, which servers accept until it is applied; "" without one.
    bucket: access key and secret key of the bucket for backups.
    """

    passwords: Mapping[str, str] = field(repr=False)
    previous: Mapping[str, str] = field(repr=False)
    certificate: CertificatePair
    ca: str
    login: str = field(default="", repr=False)
    bucket: tuple[str, str] | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Backups:
    """interval: seconds between backups; 0 for none. keep: how many. folder: on the engine's host; "" for a volume."""

    interval: int = 0
    keep: int = 7
    folder: str = ""

    @property
    def is_scheduled(self) -> bool:
        return self.interval > 0


@dataclass(frozen=True)
class Upload:
    """Where backups are copied to. image: has rclone. bucket: with the path; "" for no copies. endpoint: "" for AWS."""

    image: str = ""
    bucket: str = ""
    endpoint: str = ""
    region: str = ""

    @property
    def is_configured(self) -> bool:
        return bool(self.bucket)


@dataclass(frozen=True)
class DeploymentPlan:
    """
    project: the name of the compose project, and the prefix of volumes and containers.
    stack: project/stack, a label of the volumes.
    image: with a digest if one is configured.
    ports: of the data nodes, then of the Sentinels, the exporter and the uploader; the same inside and outside.
    bind: the engine's address on which they are published. host: the name that clients use.
    subnet: of the deployment's own network, a /24.
    certificate: a digest of the servers' certificate; Sentinels read another one only when they start.
    login: a digest of the exporter's password, which it reads only when it starts.
    bucket: a digest of the uploader's bucket and keys: it restarts with new ones.
    directives: of valkey.conf, the same on every data node.
    """

    project: str
    stack: str
    image: str
    topology: Topology
    shards: int
    replicas: int
    ports: tuple[int, ...]
    bind: str
    host: str
    subnet: str
    directives: Mapping[str, str]
    certificate: str = ""
    login: str = ""
    bucket: str = ""
    backups: Backups = Backups()
    upload: Upload = Upload()
    exporter: str = ""

    def to_props(self) -> dict[str, Any]:
        """The plan as plain values for the state of a stack; image, ports and digests are not part of it."""
        return {
            "project": self.project,
            "stack": self.stack,
            "topology": self.topology,
            "shards": self.shards,
            "replicas": self.replicas,
            "bind": self.bind,
            "host": self.host,
            "subnet": self.subnet,
            "directives": dict(self.directives),
            "backupEvery": self.backups.interval // _HOUR_SECONDS,
            "backupKeep": self.backups.keep,
            "backupFolder": self.backups.folder,
            "backupUrl": f"{_S3}{self.upload.bucket}" if self.upload.is_configured else "",
            "backupEndpoint": self.upload.endpoint,
            "backupRegion": self.upload.region,
            "uploader": self.upload.image,
            "exporter": self.exporter,
        }

    @classmethod
    def from_props(cls, props: Mapping[str, Any]) -> DeploymentPlan:
        """The inverse of `to_props`. Pulumi returns numbers as floats."""
        return cls(
            project=props["project"],
            stack=props["stack"],
            image="",
            topology=props["topology"],
            shards=int(props["shards"]),
            replicas=int(props["replicas"]),
            ports=(),
            bind=props["bind"],
            host=props["host"],
            subnet=props["subnet"],
            directives=props["directives"],
            backups=Backups(int(props["backupEvery"]) * _HOUR_SECONDS, int(props["backupKeep"]), props["backupFolder"]),
            upload=Upload(
                props.get("uploader", ""),
                props.get("backupUrl", "").removeprefix(_S3),
                props.get("backupEndpoint", ""),
                props.get("backupRegion", ""),
            ),
            exporter=props["exporter"],
        )

    @property
    def stack_name(self) -> str:
        """The stack without its project, as `make` takes it."""
        return self.stack.rpartition("/")[2]

    @cached_property
    def nodes(self) -> tuple[NodeAddress, ...]:
        """The data nodes, those that start as primaries first."""
        count = self.shards * (1 + self.replicas)
        return self._members("node", count, _FIRST_NODE, self.ports[:count])

    @cached_property
    def sentinels(self) -> tuple[NodeAddress, ...]:
        first = len(self.nodes)
        ports = self.ports[first : first + self._sentinel_count]
        return self._members("sentinel", self._sentinel_count, _FIRST_SENTINEL, ports)

    @property
    def port_count(self) -> int:
        """The number of ports that the deployment publishes."""
        helpers = 1 + self.has_uploader if self.exporter else 0
        return len(self.addresses) + helpers

    @property
    def exporter_port(self) -> int:
        return self.ports[len(self.addresses)]

    @property
    def uploader_port(self) -> int | None:
        """The port of the uploader's metrics; None without an exporter, or in a state of an earlier release."""
        servers_and_exporter = len(self.addresses) + 1
        return self.ports[servers_and_exporter] if len(self.ports) > servers_and_exporter else None

    @property
    def has_uploader(self) -> bool:
        return self.backups.is_scheduled and self.upload.is_configured

    def published(self, port: int) -> str:
        """A container's port in a compose file, published on the bind address."""
        return f"[{self.bind}]:{port}:{port}" if ":" in self.bind else f"{self.bind}:{port}:{port}"

    @property
    def addresses(self) -> list[str]:
        """The addresses of all members; they need no ports."""
        network, count = ipaddress.ip_network(self.subnet), self.shards * (1 + self.replicas)
        numbers = [
            *range(_FIRST_NODE, _FIRST_NODE + count),
            *range(_FIRST_SENTINEL, _FIRST_SENTINEL + self._sentinel_count),
        ]
        return [str(network[number]) for number in numbers]

    @property
    def memory_limit(self) -> int:
        """The memory limit of a data node's container, in bytes."""
        return OVERHEAD_BYTES + int(int(self.directives["maxmemory"]) / DATA_SHARE)

    @property
    def users(self) -> tuple[hardening.User, ...]:
        """The users of data nodes; a service that isn't deployed has none."""
        return self._present(hardening.node_users(self.topology))

    @property
    def sentinel_users(self) -> tuple[hardening.User, ...]:
        return self._present(hardening.SENTINEL_USERS)

    @property
    def _sentinel_count(self) -> int:
        return SENTINEL_COUNT if self.topology == "replicated" else 0

    def primary_of(self, node: NodeAddress) -> NodeAddress | None:
        """The initial primary of a node; None for one that starts as a primary."""
        index = self.nodes.index(node)
        return None if index < self.shards else self.nodes[index % self.shards]

    def slots_of(self, node: NodeAddress) -> tuple[int, int]:
        """First and last slot of a node that starts as a primary."""
        return cluster.slot_range(self.nodes.index(node), self.shards)

    def _present(self, users: tuple[hardening.User, ...]) -> tuple[hardening.User, ...]:
        return tuple(user for user in users if user.name != hardening.EXPORTER or self.exporter)

    def _members(self, kind: str, count: int, first: int, ports: tuple[int, ...]) -> tuple[NodeAddress, ...]:
        network = ipaddress.ip_network(self.subnet)
        return tuple(
            NodeAddress(f"{kind}-{number}", str(network[first + number]), port, port + cluster.BUS_OFFSET)
            for number, port in zip(range(count), ports, strict=True)
        )


def default_subnet(stack: str) -> str:
    """A private /24 derived from the stack's name, one of 4,096 that few networks use."""
    number = int(hashlib.sha256(stack.encode()).hexdigest(), 16) % 2**12
    return f"10.{208 + number // 256}.{number % 256}.0/24"
