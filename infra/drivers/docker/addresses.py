"""Addresses: free ports and subnets of an engine."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
from collections.abc import Iterator

from infra.drivers.docker.engine import Engine, EngineError

FIRST_PORT = 6379
_PORTS_TO_TRY = 2000
_PUBLISHED = re.compile(r":(\d+)->")


def free_ports(
    engine: Engine, project: str, bind: str, count: int, first: int = 0, *, lowest: int = FIRST_PORT
) -> tuple[int, ...]:
    """Find consecutive free ports. Ports of the project's own containers count as free.

    first: the first port; 0 for any from `lowest`.

    Raises:
        EngineError: a required port is in use.
    """
    own = _published(engine, "--filter", f"label=com.docker.compose.project={project}")
    taken = _published(engine) - own
    here = bind if _is_local(engine) else None
    for start in [first] if first else range(lowest, lowest + _PORTS_TO_TRY):
        candidates = range(start, start + count)
        busy = next(
            (port for port in candidates if port in taken or (here and port not in own and not _can_bind(here, port))),
            None,
        )
        if busy is None:
            return tuple(candidates)
        if first:
            raise EngineError(f"port {busy} of {bind} is in use", fix="pulumi config set port <another>, or 0")
    raise EngineError(f"no {count} consecutive free ports from {lowest}", fix="pulumi config set port <the first>")


def reject_overlapping_subnet(engine: Engine, subnet: str, project: str) -> None:
    """Check that a subnet is free, or this deployment's own.

    Raises:
        EngineError: it overlaps with another network.
    """
    desired = ipaddress.ip_network(subnet)
    for network in _networks(engine, other_than=f"{project}_default"):
        if network.overlaps(desired):
            raise EngineError(
                f"the subnet {subnet} overlaps with {network}, which the engine uses",
                fix="pulumi config set --path docker.subnet <a private /24 that is free>",
            )


def _is_local(engine: Engine) -> bool:
    host = os.environ.get("DOCKER_HOST") if not engine.context else None
    host = host or engine.docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
    return host.startswith("unix://")


def _published(engine: Engine, *which: str) -> set[int]:
    return {int(port) for port in _PUBLISHED.findall(engine.docker("ps", *which, "--format", "{{.Ports}}"))}


def _can_bind(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return True
    return False


def _networks(engine: Engine, other_than: str = "") -> Iterator[ipaddress.IPv4Network]:
    names = engine.docker("network", "ls", "--format", "{{.Name}}").split()
    for network in engine.inspect("network", *(name for name in names if name != other_than)):
        for config in network["IPAM"]["Config"] or []:
            with contextlib.suppress(ValueError):
                yield ipaddress.IPv4Network(config["Subnet"])
