"""Endpoint: what a consumer knows about a deployment. It holds no secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from valkeykit.errors import ConfigurationError
from valkeykit.url import Address, Node, join_nodes
from valkeykit.vocabulary import DeploymentTopology, Target, Workload

SCHEMA_VERSION = 1

SERVICE = "valkey"
"""The name by which a deployment's Sentinels know its primary."""


@dataclass(frozen=True)
class Endpoint:
    """Where a Valkey deployment answers, and what may be expected of it.

    target: where it runs: embedded, docker, aws, gcp.
    topology: single, replicated, cluster.
    nodes: every node with data; the first one is enough to connect, and is the primary where there is one.
    tls: whether connections are encrypted; `ca` is the PEM that signs the server, None for the system's.
    version: Valkey's version, such as 9.1.2.
    workload: cache, queue, mixed: it fixes the eviction policy.
    maxmemory: bytes that the data may take.
    users: names on the server, each of which has a URL of its own.
    sentinels: who knows the current primary, by the name SERVICE; they know the same users.
    check_hostname: whether the certificate's name is compared with the host; the chain is checked always.
    """

    target: Target
    topology: DeploymentTopology
    nodes: tuple[Node, ...]
    tls: bool
    version: str
    workload: Workload
    maxmemory: int
    users: tuple[str, ...]
    ca: str | None = None
    sentinels: tuple[Node, ...] = ()
    check_hostname: bool = True

    def url(self, username: str, password: str | None, database: int = 0) -> str:
        """The URL of the first node for one user; without a password where the client signs its logins."""
        return self.address(username, password, database).url

    def address(self, username: str | None = None, password: str | None = None, database: int = 0) -> Address:
        """All that a client needs of this record, for one user."""
        first, *others = self.nodes
        return Address(
            first.host,
            first.port,
            self.tls,
            username,
            password,
            database,
            # a serverless cache speaks the cluster protocol
            topology="cluster" if self.topology == "serverless" else self.topology,
            service=SERVICE if self.sentinels else None,
            fallback_nodes=tuple(others),
            sentinels=self.sentinels,
        )

    def variables(self, url: str) -> dict[str, str]:
        """The environment of an application that has this URL: `valkeykit.environment` reads it."""
        nodes = {"VALKEY_TOPOLOGY": str(self.address().topology), "VALKEY_NODES": join_nodes(self.nodes)}
        return {
            "VALKEY_URL": url,
            "REDIS_URL": url,
            **(nodes if self.topology != "single" else {}),
            **({"VALKEY_SENTINELS": join_nodes(self.sentinels)} if self.sentinels else {}),
            **({"VALKEY_CA": self.ca} if self.ca else {}),
            **({} if self.check_hostname else {"VALKEY_CHECK_HOSTNAME": "false"}),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the stack output `endpoint` has them."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            **asdict(self),
            "nodes": [asdict(node) for node in self.nodes],
            "sentinels": [asdict(node) for node in self.sentinels],
            "users": list(self.users),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Endpoint:
        """Read what `to_dict` wrote.

        Raises:
            ConfigurationError: of another schema version, or not such a record.
        """
        fields = dict(record)
        found = fields.pop("schemaVersion", None)
        if found != SCHEMA_VERSION:
            raise ConfigurationError(
                f"the endpoint has schema version {found!r}, this valkeykit reads {SCHEMA_VERSION}",
                fix="install the valkeykit that belongs to the stack",
            )
        try:
            return cls(
                nodes=_nodes(fields.pop("nodes")),
                sentinels=_nodes(fields.pop("sentinels", [])),
                users=tuple(fields.pop("users")),
                maxmemory=int(fields.pop("maxmemory")),  # Pulumi's numbers are floats
                **fields,
            )
        except (KeyError, TypeError, ValueError):
            raise ConfigurationError(
                "the endpoint isn't a record that valkeykit wrote", fix="pass the stack output `endpoint` as it is"
            ) from None


def _nodes(records: Iterable[Mapping[str, Any]]) -> tuple[Node, ...]:
    return tuple(Node(str(node["host"]), int(node["port"])) for node in records)
