"""The deployment under test, by its URLs and nodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import redis
from valkeykit import environment
from valkeykit.connection import Client, connect, mode_of
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError
from valkeykit.url import Address, Node, parse, parse_nodes
from valkeykit.vocabulary import Topology

from infra.outputs import ADMIN_URL, AWS, ENDPOINT, GCP, MONITOR_URL, SENTINELS, URL


@dataclass(frozen=True)
class Subject:
    """address: an application's. endpoint: what the deployment is said to be; None where only a URL is known."""

    address: Address
    admin_url: str | None = field(repr=False, default=None)
    monitor_url: str | None = field(repr=False, default=None)
    ca: str | None = field(repr=False, default=None)
    endpoint: Endpoint | None = None
    stack: str | None = None
    aws: Mapping[str, Any] | None = None
    """The output `aws` of a stack that has one."""
    gcp: Mapping[str, Any] | None = None
    """The output `gcp` of a stack that has one."""
    check_hostname: bool = True
    watchers: tuple[Node, ...] = ()
    """Sentinels that clients don't use, as they name addresses that are out of reach from here."""

    @classmethod
    def of_stack(cls, name: str, variables: Mapping[str, str] = os.environ) -> Subject:
        """Through VALKEY_FORWARD, a host and a port here that lead there, where it is set."""
        from stackctl.stack import Stack

        outputs = Stack.open(name).outputs()
        endpoint, app = Endpoint.from_dict(outputs[ENDPOINT]), parse(outputs[URL])
        gcp, forward = outputs.get(GCP), variables.get("VALKEY_FORWARD", "")
        address = endpoint.address(app.username, app.password)
        # A machine signs as one account, so it can't be the operator and the monitor too.
        has_roles = not gcp or gcp["auth"] != "iam"
        return cls(
            address=_forwarded(address, forward) if forward else address,
            admin_url=outputs[ADMIN_URL] if has_roles else None,
            monitor_url=outputs[MONITOR_URL] if has_roles else None,
            ca=endpoint.ca,
            endpoint=endpoint,
            stack=name,
            aws=outputs.get(AWS),
            gcp=gcp,
            check_hostname=endpoint.check_hostname and not forward,
            watchers=tuple(Node(known["host"], int(known["port"])) for known in outputs.get(SENTINELS, [])),
        )

    @classmethod
    def of_environment(cls, variables: Mapping[str, str] = os.environ) -> Subject:
        """Other users' URLs come from the environment only, as no password belongs on a command line."""
        address = environment.resolve(variables)
        if address is None:
            raise ConfigurationError("DISABLE_REDIS is on, so there is nothing to check", fix="unset DISABLE_REDIS")
        return cls(
            address=address,
            admin_url=variables.get("VALKEY_ADMIN_URL"),
            monitor_url=variables.get("VALKEY_MONITOR_URL"),
            ca=environment.authority(variables),
            check_hostname=environment.checks_hostname(variables),
            watchers=parse_nodes(variables.get("VALKEY_SMOKE_SENTINELS", "")),
        )

    @cached_property
    def topology(self) -> Topology:
        """single, replicated or cluster; a server that nothing is said of is asked."""
        if self.address.topology:
            return "replicated" if self.address.topology == "sentinel" else self.address.topology
        try:
            with self.at(self.address.nodes[0]) as client:
                return "cluster" if mode_of(client.info("server")) == "cluster" else "single"
        except redis.RedisError:
            return "single"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All that is known to hold data."""
        return self.address.nodes

    @property
    def sentinels(self) -> tuple[Node, ...]:
        return self.address.sentinels or self.watchers

    @property
    def note(self) -> str:
        """What clients of the stack must read to follow a failover."""
        from stackctl import export

        return export.failover_note(self.endpoint.variables("")) if self.endpoint else ""

    def outside(self, node: Node) -> Node:
        """A node, by the address it has from here: containers have another one inside, and the same port."""
        return next((known for known in self.nodes if node == known), None) or next(
            (known for known in self.nodes if node.port == known.port), node
        )

    def as_app(self) -> Client:
        """A client for the whole deployment, which finds the primary by itself."""
        return self._client(self.address)

    def as_admin(self) -> Client:
        return self._client(self._named(self.admin_url))

    def at(self, node: Node, user: str = "app") -> redis.Redis:
        """A client of one node, for a user whose URL is known."""
        return self._at(node, self._of(user))

    def username(self, user: str) -> str | None:
        """What a user is called on the server."""
        return self._of(user).username

    def as_user(self, node: Node, username: str | None, password: str | None) -> redis.Redis:
        return self._at(node, replace(self.address, username=username, password=password))

    def everywhere(self, section: str) -> dict[Node, dict[str, Any]]:
        """A section of INFO, of every node."""
        found = {}
        for node in self.nodes:
            with self.at(node) as client:
                found[node] = client.info(section)
        return found

    def wrong(self, section: str, problem: Callable[[dict[str, Any]], str | None]) -> str:
        """What is wrong with a section of INFO, of the nodes where something is; empty where nothing is."""
        found = {node: problem(info) for node, info in self.everywhere(section).items()}
        return "; ".join(f"{node}: {reason}" for node, reason in found.items() if reason)

    def in_role(self, role: str) -> list[Node]:
        """The nodes that say they are a `master` or a `slave`."""
        return [node for node, info in self.everywhere("replication").items() if info["role"] == role]

    def lacks(self, need: str) -> str | None:
        """Why a check that needs something can't apply; None where it can."""
        has, reason = self._needs[need]
        return None if has else reason

    @cached_property
    def _needs(self) -> dict[str, tuple[object, str]]:
        embedded = self.stack and self.endpoint and self.endpoint.target == "embedded"
        return {
            "admin": (self.admin_url, self._unknown("admin's URL", "VALKEY_ADMIN_URL")),
            "monitor": (self.monitor_url, self._unknown("monitor's URL", "VALKEY_MONITOR_URL")),
            "stack": (self.stack, "the last number of keys is stored for stacks only: use --stack"),
            "endpoint": (self.endpoint, "the URL doesn't say what the server is for: use --stack"),
            "aws": (self.aws, "the target isn't aws"),
            "boto3": (find_spec("boto3"), "boto3 isn't there: pip install boto3"),
            "files": (not (self.aws or self.gcp), "the service keeps no files of its own: see its daily backups"),
            "gcp": (self.gcp, "the target isn't gcp"),
            "memorystore": (
                _has("google.cloud.memorystore_v1beta"),
                "its library isn't there: pip install google-cloud-memorystore",
            ),
            "login": (not self.gcp or self.gcp["auth"] != "none", "the stack asks for no login"),
            "roles": (not self.gcp, "accounts log in as themselves, not by role"),
            "rights": (
                not self.gcp or self.gcp["aclPolicy"],
                "there is no ACL policy, so every member has all rights",
            ),
            "kill": (embedded, "only processes of this machine's stacks can be killed from here"),
            "tls": (self.address.tls, "the server has no TLS: its URL is redis://"),
            "single": (self.topology == "single", f"the topology is {self.topology}"),
            "cluster": (self.topology == "cluster", f"the topology is {self.topology}"),
            "replicas": (
                len(self.nodes) > 1,
                self._unknown("replica", "VALKEY_NODES"),
            ),
            "sentinels": (self.sentinels, self._unknown("Sentinel", "VALKEY_SENTINELS")),
            "failover": (
                self.sentinels or (self.topology == "cluster" and len(self.nodes) > 1),
                "there is nobody to fail over to, or nobody who does it",
            ),
        }

    def _unknown(self, what: str, variable: str) -> str:
        return f"the stack has no {what}" if self.stack else f"no {what} is known: use --stack, or set {variable}"

    def _of(self, user: str) -> Address:
        urls = {"admin": self.admin_url, "monitor": self.monitor_url}
        return self.address if user == "app" else self._named(urls[user])

    def _named(self, url: str | None) -> Address:
        assert url is not None, "a check used a URL that it doesn't declare as needed"
        known = parse(url)
        return replace(self.address, username=known.username, password=known.password)

    def _client(self, address: Address) -> Client:
        named = replace(address, topology=address.topology or self.topology)
        return connect(named, ca=self.ca, check_hostname=self.check_hostname, credentials=self._signer(address))

    def _at(self, node: Node, address: Address) -> redis.Redis:
        here = replace(address.at(node), database=0)
        signer = self._signer(address)
        return connect(here, topology="single", ca=self.ca, check_hostname=self.check_hostname, credentials=signer)

    def _signer(self, address: Address) -> Any:
        """Signs logins where a stack wants that, unless a password is tried."""
        cloud = self.aws or self.gcp
        if not cloud or cloud["auth"] != "iam" or address.username is None or address.password is not None:
            return None
        from valkeykit.credentials import ElastiCacheIam, MemorystoreIam

        if self.gcp:
            return MemorystoreIam(address.username)
        return ElastiCacheIam(address.username, cloud["cache"], cloud["region"], serverless=cloud["serverless"])


def _forwarded(address: Address, forward: str) -> Address:
    """
    Raises:
        ConfigurationError: a cluster's client is led to addresses that no forward knows.
    """
    if address.topology == "cluster":
        raise ConfigurationError(
            "a cluster leads its clients to its nodes, which a forward doesn't reach",
            fix="run the suite inside the network, and unset VALKEY_FORWARD",
        )
    there = parse(f"redis://{forward}")
    return replace(address, host=there.host, port=there.port, topology="single", fallback_nodes=())


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
