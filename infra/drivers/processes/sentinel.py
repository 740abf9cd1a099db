"""Sentinels on this machine: start one, and read the state that it stores in its configuration."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
from valkeykit.endpoint import SERVICE

from infra import hardening
from infra.drivers.files import write_private
from infra.drivers.processes import ports, process, running_server
from infra.drivers.processes.folder import ServerFolder
from infra.drivers.processes.running_server import ServerSpec
from infra.drivers.topology import replication
from infra.drivers.topology.node_executor import NodeAddress
from infra.errors import ProvisioningError

DIRECTIVES = {"protected-mode": "yes", "loglevel": "notice"}

_LEARNED = re.compile(
    r"^sentinel (?:monitor|myid|known-replica|known-sentinel|config-epoch|leader-epoch|current-epoch) .*$", re.MULTILINE
)


@dataclass(frozen=True)
class SentinelState:
    """The primary that a Sentinel stored, and the epoch of the failover that promoted it."""

    epoch: int
    primary: str


def remembered_state(folder: ServerFolder) -> SentinelState | None:
    """The last state of the folder's Sentinel, running or not; None for a new one."""
    text = _text(folder)
    primary = re.search(rf"^sentinel monitor {SERVICE} (\S+) (\d+) ", text, re.MULTILINE)
    epoch = re.search(rf"^sentinel config-epoch {SERVICE} (\d+)$", text, re.MULTILINE)
    return SentinelState(int(epoch[1]) if epoch else 0, f"{primary[1]}:{primary[2]}") if primary else None


def last_primary(folders: Sequence[ServerFolder]) -> str | None:
    """The primary's address according to the Sentinel that has seen the latest failover; None without one."""
    states = [state for folder in folders if (state := remembered_state(folder))]
    return max(states, key=lambda state: state.epoch).primary if states else None


def known_ports(folders: Sequence[ServerFolder], *kinds: str) -> list[int]:
    """The ports of the nodes or the Sentinels that the Sentinels stored."""
    pattern = re.compile(rf"^sentinel (?:{'|'.join(kinds)}) {SERVICE} \S+ (\d+)(?: .*)?$", re.MULTILINE)
    return sorted({int(port) for folder in folders for port in pattern.findall(_text(folder))})


def ensure(spec: ServerSpec, primary: NodeAddress, count: int, watcher: str) -> None:
    """Start the Sentinel or update its settings. watcher: its password on the nodes and on the other Sentinels.

    Raises:
        ProvisioningError: it doesn't start.
    """
    spec.folder.acquire(spec.ownership)
    if running := process.find(spec.folder):
        if client := running_server.login(spec, running):
            with client:
                if _can_write(spec, client):
                    _apply_live(spec, client, watcher)
                    return
        process.stop(running)
    conf = replication.sentinel_conf(primary, count, hardening.SENTINEL, watcher)
    if learned := _learned(spec.folder):
        kept = [line for line in conf.splitlines() if not _LEARNED.match(line)]
        # The order matters: the line that defines a primary comes before those about it.
        lines = [*(line for line in learned if " monitor " in line), *kept]
        lines += [line for line in learned if " monitor " not in line]
        with contextlib.suppress(ProvisioningError):  # its stored state is damaged, so it learns it again
            running_server.start(replace(spec, watches="\n".join([*lines, ""])), "--sentinel").close()
            return
    running_server.start(replace(spec, watches=conf), "--sentinel").close()


def forget(folder: ServerFolder) -> None:
    """Stop the Sentinel and remove its state except the port, so that it can monitor another primary."""
    if running := process.find(folder):
        process.stop(running)
    if port := ports.configured(folder):
        write_private(folder.config, f"port {port}\n")


def _learned(folder: ServerFolder) -> list[str]:
    return _LEARNED.findall(_text(folder)) if remembered_state(folder) else []


def _text(folder: ServerFolder) -> str:
    return folder.config.read_text(errors="replace") if folder.config.exists() else ""


def _can_write(spec: ServerSpec, client: redis.Redis) -> bool:
    """False after the project's folder was moved: it writes its state to the path where it was started."""
    return Path(client.info("server")["config_file"]) == spec.folder.config.resolve()


def _is_shut_out(client: redis.Redis) -> bool:
    """Whether it reports the primary as down, perhaps after a failed login: it never retries the login itself."""
    state: Any = client.sentinel_master(SERVICE)
    return bool(state["is_sdown"])


def _apply_live(spec: ServerSpec, client: redis.Redis, watcher: str) -> None:
    write_private(spec.folder.acl, spec.acl)
    client.execute_command("ACL LOAD")
    current = client.execute_command("SENTINEL CONFIG GET", "sentinel-pass")
    has_password = watcher in (current.values() if isinstance(current, dict) else current)
    if not has_password or _is_shut_out(client):
        client.execute_command("SENTINEL SET", SERVICE, "auth-pass", watcher)
        client.execute_command("SENTINEL CONFIG SET", "sentinel-pass", watcher)
