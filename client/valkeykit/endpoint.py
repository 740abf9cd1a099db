"""Endpoint: the connection details of a deployment, without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from valkeykit.errors import ConfigurationError
from valkeykit.url import Address, Node, join_nodes
from valkeykit.vocabulary import DeploymentTopology, Target, Workload

SCHEMA_VERSION = 1

SERVICE = "valkey"
"""The name under which Sentinels monitor the primary."""


@dataclass(frozen=True)
class Endpoint:
    """The address and the properties of a deployment, as the stack output `endpoint` has them. It contains no secret.

    Attributes:
        target: Where it runs: embedded, docker, aws or gcp.
        topology: single, replicated, cluster or serverless.
        nodes: Every data node. The first one is enough to connect, and is the primary if there is one.
        tls: Whether connections are encrypted.
        version: Valkey's version, such as 9.1.2.
        workload: cache, queue or mixed; it determines the eviction policy.
        maxmemory: Memory limit of the data, in bytes.
        users: The users of the server, each of which has its own URL.
        ca: The PEM certificate of the authority that signed the server's; None for the system's authorities.
        sentinels: The Sentinels of a replicated deployment. They monitor the primary under the name `valkey`, and have
            the same users.
        check_hostname: Whether the certificate's name is compared with the host. The chain is always verified.
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
        """Build the URL of the first node for a user.

        Args:
            username: The user.
            password: Its password; None if the client signs its logins.
            database: The database's number.

        Returns:
            The URL, with user and password percent-encoded.
        """
        return self.address(username, password, database).url

    def address(self, username: str | None = None, password: str | None = None, database: int = 0) -> Address:
        """Build the address for a user, with all nodes and Sentinels.

        Args:
            username: The user; None for no login.
            password: Its password.
            database: The database's number.

        Returns:
            All that a client needs to connect.
        """
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
        """Build the environment of an application.

        Args:
            url: The application's URL.

        Returns:
            Variables by name, which `valkeykit.resolve` reads.
        """
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
        """Convert it to plain values, as the stack output `endpoint` has them.

        Returns:
            A JSON object with `schemaVersion`.
        """
        return {
            "schemaVersion": SCHEMA_VERSION,
            **asdict(self),
            "nodes": [asdict(node) for node in self.nodes],
            "sentinels": [asdict(node) for node in self.sentinels],
            "users": list(self.users),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Endpoint:
        """Read the result of `to_dict`.

        Args:
            record: The stack output `endpoint`.

        Returns:
            The endpoint.

        Raises:
            ConfigurationError: The record has another schema version, or is not an endpoint.

        Example:
            >>> endpoint = Endpoint.from_dict(outputs["endpoint"])
            >>> valkey = valkeykit.connect(endpoint, username="app", password=password)
        """
        fields = dict(record)
        version = fields.pop("schemaVersion", None)
        if version != SCHEMA_VERSION:
            raise ConfigurationError(
                f"the endpoint has schema version {version!r}, this valkeykit reads {SCHEMA_VERSION}",
                fix="install valkeykit from the checkout that deployed the stack",
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
                "the endpoint is not one that valkeykit wrote", fix="pass the stack output `endpoint` as it is"
            ) from None


def _nodes(records: Iterable[Mapping[str, Any]]) -> tuple[Node, ...]:
    return tuple(Node(str(node["host"]), int(node["port"])) for node in records)
