"""The plan of a docker deployment and what follows from it: certificate names, firewall rules, endpoint."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from infra import hardening
from infra.drivers.docker.plan import Backups, DeploymentPlan, Upload, default_subnet
from infra.settings import StackSettings

PATCH_RELEASES = {"8.0": "8.0.10", "8.1": "8.1.9", "9.0": "9.0.5", "9.1": "9.1.2"}
"""Minimum safe patch release of each minor version: it fixes CVE-2026-56684 (TLS and CLIENT KILL)."""


def image_for(version: str) -> str:
    """The official image, pinned to a patch release."""
    return f"valkey/valkey:{PATCH_RELEASES.get(version, version)}"


def create_plan(settings: StackSettings, stack: str) -> DeploymentPlan:
    """The plan without image and ports, which need an engine.

    stack: project/stack, or project/stack/name for one of several in a stack.
    """
    docker = settings.docker
    return DeploymentPlan(
        project=docker.project or f"valkey-{stack.partition('/')[2].replace('/', '-')}".lower().replace(".", "-"),
        stack=stack,
        image="",
        topology=settings.topology,
        shards=settings.shard_count,
        replicas=settings.replica_count,
        ports=(),
        bind=docker.bind,
        host=docker.announced,
        subnet=docker.subnet or default_subnet(stack),
        directives=hardening.directives(settings.workload, settings.maxmemory, "docker") | settings.parameters,
        backups=Backups(docker.backupEvery * 3600, docker.backupKeep, docker.backupFolder),
        upload=Upload(
            docker.uploader, docker.backupUrl.removeprefix("s3://"), docker.backupEndpoint, docker.backupRegion
        ),
        exporter=docker.exporter,
    )


def certificate_names(settings: StackSettings, plan: DeploymentPlan) -> list[str]:
    """All names and addresses of the servers: for clients, on their host, and in their network."""
    bind = ipaddress.ip_address(settings.docker.bind)
    names = [settings.docker.announced, "localhost", "127.0.0.1"]
    names += [] if bind.is_unspecified else [str(bind)]
    return list(dict.fromkeys([*names, *settings.docker.names, *plan.addresses]))


def firewall_rules(settings: StackSettings, ports: Sequence[int]) -> list[str]:
    """Commands for the engine's host that admit only the allowed networks: published ports bypass ufw."""
    docker = settings.docker
    chain = "iptables -I DOCKER-USER -p tcp -m conntrack --ctdir ORIGINAL"
    match = [] if ipaddress.ip_address(docker.bind).is_unspecified else [f"--ctorigdst {docker.bind}"]
    rules = []
    for port in ports if docker.allowedCidrs else []:
        rule = " ".join([chain, *match, f"--ctorigdstport {port}"])
        rules.append(f"{rule} -j DROP")  # each command inserts before the previous ones
        rules += [f"{rule} -s {network} -j RETURN" for network in docker.allowedCidrs]
    return rules


def sentinel_addresses(plan: DeploymentPlan) -> list[dict[str, object]]:
    """The published addresses of the Sentinels, for the smoke tests.

    The connection record does not have them: Sentinels return addresses in the containers' network.
    """
    return [{"host": plan.host, "port": sentinel.port} for sentinel in plan.sentinels]


def create_endpoint(
    settings: StackSettings, ports: Sequence[int], primaries: Sequence[int], version: str, ca: str
) -> Endpoint:
    """The connection record; the nodes that are primaries now come first."""
    count = settings.shard_count * (1 + settings.replica_count)
    order = [*primaries, *(number for number in range(count) if number not in primaries)]
    nodes = [Node(settings.docker.announced, port) for port in ports]
    return Endpoint(
        target="docker",
        topology=settings.topology,
        nodes=tuple(nodes[number] for number in order),
        tls=True,
        version=version,
        workload=settings.workload,
        maxmemory=settings.maxmemory,
        users=tuple(user.name for user in hardening.USERS),
        ca=ca,
    )
