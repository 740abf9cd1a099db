"""Endpoint: what a consumer knows about a deployment. It holds no secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from valkeykit.errors import ConfigurationError
from valkeykit.url import Address, Node

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Endpoint:
    """Where a Valkey deployment answers, and what may be expected of it.

    target: where it runs: embedded, docker, aws, gcp.
    topology: single, replicated, cluster.
    nodes: where a client connects first; the first one is enough.
    tls: whether connections are encrypted; `ca` is the PEM that signs the server, None for the system's.
    version: Valkey's version, such as 9.1.2.
    workload: cache, queue, mixed: it fixes the eviction policy.
    maxmemory: bytes that the data may take.
    users: names on the server, each of which has a URL of its own.
    """

    target: str
    topology: str
    nodes: tuple[Node, ...]
    tls: bool
    version: str
    workload: str
    maxmemory: int
    users: tuple[str, ...]
    ca: str | None = None

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
            others=tuple(others),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the stack output `endpoint` has them."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            **asdict(self),
            "nodes": [asdict(n) for n in self.nodes],
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
            nodes = tuple(Node(str(node["host"]), int(node["port"])) for node in fields.pop("nodes"))
            return cls(
                nodes=nodes,
                users=tuple(fields.pop("users")),
                maxmemory=int(fields.pop("maxmemory")),  # Pulumi's numbers are floats
                **fields,
            )
        except (KeyError, TypeError, ValueError):
            raise ConfigurationError(
                "the endpoint isn't a record that valkeykit wrote", fix="pass the stack output `endpoint` as it is"
            ) from None
