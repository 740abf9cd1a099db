"""A check list for containers and servers, as auditors go through it.

It follows the DISA STIG for Redis Enterprise, the InSpec profile redis-baseline and Docker's bench for security,
as far as they are about a server that this project configures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import redis

from harness.docker import NEW, SHAPES, DeploymentHarness, make_spec, running
from infra.hardening import Topology

Facts = dict[str, Any]


@pytest.fixture(scope="module", params=list(SHAPES))
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    topology = cast("Topology", request.param)
    with running(make_spec(tmp_path_factory.mktemp(topology), topology, NEW)) as made:
        yield made


_MODES = ("NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode")

CONTAINERS: dict[str, Callable[[Facts], bool]] = {
    "it isn't root": lambda facts: facts["Config"]["User"] == "999:999",
    "its file system is read-only": lambda facts: facts["HostConfig"]["ReadonlyRootfs"],
    "it has no capability": lambda facts: (
        facts["HostConfig"]["CapDrop"] == ["ALL"] and not facts["HostConfig"]["CapAdd"]
    ),
    "it gains no privilege": lambda facts: "no-new-privileges:true" in facts["HostConfig"]["SecurityOpt"],
    "it isn't privileged": lambda facts: not facts["HostConfig"]["Privileged"],
    "its memory is limited, swap too": lambda facts: (
        0 < facts["HostConfig"]["Memory"] == facts["HostConfig"]["MemorySwap"]
    ),
    "its processes are limited": lambda facts: 0 < facts["HostConfig"]["PidsLimit"] <= 128,
    "it shares nothing with its host": lambda facts: not {"host"} & {facts["HostConfig"][kind] for kind in _MODES},
    "it mounts nothing of its host": lambda facts: all(mount["Type"] != "bind" for mount in facts["Mounts"]),
    "its configuration is read-only": lambda facts: all(
        not mount["RW"] for mount in facts["Mounts"] if mount["Destination"] == "/etc/valkey"
    ),
    "its ports are on loopback": lambda facts: all(
        binding["HostIp"] == "127.0.0.1"
        for bindings in facts["HostConfig"]["PortBindings"].values()
        for binding in bindings
    ),
    "its health is checked": lambda facts: facts["State"]["Health"]["Status"] in ("starting", "healthy"),
    "it restarts by itself": lambda facts: facts["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped",
    "its log is limited": lambda facts: "max-size" in facts["HostConfig"]["LogConfig"]["Config"],
    "its image has a version": lambda facts: not facts["Config"]["Image"].endswith(":latest"),
    "an init reaps its children": lambda facts: facts["HostConfig"]["Init"],
    "no variable is secret": lambda facts: all(
        "PASS" not in variable.upper() for variable in facts["Config"]["Env"] or []
    ),
}
SETTINGS = {
    "port": "0",
    "tls-auth-clients": "no",
    "tls-protocols": "TLSv1.2 TLSv1.3",
    "protected-mode": "yes",
    "enable-protected-configs": "no",
    "enable-debug-command": "no",
    "enable-module-command": "no",
    "hide-user-data-from-log": "yes",
    "maxclients": "10000",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "tcp-keepalive": "300",
}


@pytest.mark.parametrize("rule", CONTAINERS)
def test_containers(harness: DeploymentHarness, rule: str) -> None:
    services = harness.deployment.project["services"]
    broken = [service for service in services if not CONTAINERS[rule](harness.container(service))]
    assert not broken


def test_settings(harness: DeploymentHarness) -> None:
    for node in harness.deployment.plan.nodes:
        found = harness.deployment.executor.run(node.name, "CONFIG", "GET", *SETTINGS)
        assert found == SETTINGS


def test_files_are_their_owners_alone(harness: DeploymentHarness) -> None:
    for service in harness.deployment.project["services"]:
        script = "find /etc/valkey /data ! -type d -perm /077 2>/dev/null | grep -v '^/data/' | head -3"
        found = harness.spec.engine.docker("exec", harness.deployment.container(service), "sh", "-c", script)
        assert not found


def test_plain_text_is_refused(harness: DeploymentHarness) -> None:
    node = harness.deployment.plan.nodes[0]
    with redis.Redis("127.0.0.1", node.port, socket_timeout=2) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_anonymous_clients_are_rejected(harness: DeploymentHarness) -> None:
    for member in (*harness.deployment.plan.nodes, *harness.deployment.plan.sentinels):
        with (
            redis.Redis(
                "127.0.0.1", member.port, ssl=True, ssl_ca_data=harness.spec.secrets.ca, socket_timeout=2
            ) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


@pytest.mark.parametrize("user", ["replica", "health", "monitor"])
def test_users_that_only_watch_or_copy_can_do_little(harness: DeploymentHarness, user: str) -> None:
    commands = (("GET", "key"), ("SET", "key", "1"), ("CONFIG", "GET", "*"), ("FLUSHALL",), ("KEYS", "*"))
    for command in commands:
        answer = harness.deployment.executor.run("node-0", "ACL", "DRYRUN", user, *command)
        assert "has no permissions" in str(answer), command
