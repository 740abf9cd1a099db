"""A deployment's life, of every topology, on real containers: in the order of this file, the upgrade last."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from harness.docker import NEW, OLD, DeploymentHarness, new_secrets
from harness.waiting import wait_until
from infra.drivers import certificates
from infra.drivers.docker import container_health, rolling_restart
from infra.drivers.docker.plan import Secrets
from infra.drivers.topology.node_executor import is_reachable
from infra.errors import ProvisioningError
from stackctl.availability_probe import AvailabilityProbe

SIMPLER = [pytest.param(topology, marks=pytest.mark.thorough) for topology in ("single", "cluster")]
ALIKE = pytest.mark.parametrize("harness", [SIMPLER[0], "replicated", SIMPLER[1]], indirect=True, scope="module")
"""For tests of what every topology has from the same code."""


def starts(harness: DeploymentHarness) -> dict[str, str]:
    """When each container started: another time means that it was restarted or created again."""
    return {
        service: harness.container(service)["State"]["StartedAt"] for service in harness.deployment.project["services"]
    }


def write(harness: DeploymentHarness, key: str) -> None:
    with harness.client() as client:
        client.set(key, "kept")


def has(harness: DeploymentHarness, key: str) -> bool:
    with harness.client() as client:
        return bool(client.get(key) == "kept")


def test_an_application_writes_and_a_second_run_disturbs_nothing(harness: DeploymentHarness) -> None:
    write(harness, "first")
    before = starts(harness)
    harness.ensure()
    assert starts(harness) == before
    harness.assert_healthy()
    assert has(harness, "first")


def test_a_replica_has_what_was_written(harness: DeploymentHarness) -> None:
    replicas = harness.spec.plan.replicas
    with harness.client() as client:
        client.set("waited", "for")
        assert client.execute_command("WAIT", replicas, 2000, **_near(harness)) >= replicas


def _near(harness: DeploymentHarness) -> dict[str, object]:
    """WAIT has no key, so in a cluster the node is named."""
    return {"target_nodes": "primaries"} if harness.spec.plan.topology == "cluster" else {}


@ALIKE
def test_settings_and_memory_change_without_a_restart(harness: DeploymentHarness) -> None:
    before = starts(harness)
    harness.set("mixed", memory=96)
    assert harness.wrong() != []
    harness.ensure()
    assert starts(harness) == before
    harness.assert_healthy()
    limit = harness.container("node-0")["HostConfig"]["Memory"]
    with harness.client("admin") as admin:
        values = admin.config_get("maxmemory*") if harness.spec.plan.topology != "cluster" else _of_first(harness)
    assert (values["maxmemory-policy"], int(values["maxmemory"])) == ("volatile-lru", 96 * 1024**2)
    assert int(values["maxmemory"]) / limit < 0.45


def _of_first(harness: DeploymentHarness) -> dict[str, str]:
    return dict(harness.deployment.executor.run("node-0", "CONFIG", "GET", "maxmemory*"))


@ALIKE
def test_memory_that_the_data_fills_is_refused(harness: DeploymentHarness) -> None:
    harness.set("queue", memory=96)
    harness.ensure()
    before = harness.spec
    harness.set("queue", memory=1)
    with pytest.raises(ProvisioningError, match="may not evict"):
        harness.ensure()
    harness.spec = before
    harness.assert_healthy()


@ALIKE
def test_passwords_rotate_without_a_failed_request(harness: DeploymentHarness) -> None:
    """Step one: new ones in addition to the old. Step two, when every application has them: the old are removed."""
    old = harness.spec.secrets
    new = replace(new_secrets(["x"], harness.spec.plan.users), certificate=old.certificate, ca=old.ca)
    before = starts(harness)
    with AvailabilityProbe(harness.client) as running_with_old:
        harness.ensure(secrets=replace(new, previous=old.passwords, login=old.passwords["admin"]))
        with AvailabilityProbe(harness.client) as running_with_new:
            time.sleep(1)
    with AvailabilityProbe(harness.client) as running_with_new:
        harness.ensure(secrets=new)
        time.sleep(1)
    assert running_with_old.failed == running_with_new.failed == []
    assert min(running_with_old.acknowledged, running_with_new.acknowledged) > 100
    assert starts(harness) == before
    current = harness.spec
    harness.spec = replace(harness.spec, secrets=old)
    with pytest.raises(ProvisioningError, match="rejects the password"):
        harness.deployment.executor.run("node-0", "PING")
    harness.spec = current


@ALIKE
def test_a_certificate_is_renewed_without_a_restart_of_data_nodes(harness: DeploymentHarness) -> None:
    authority = certificates.create_authority("another")
    leaf = certificates.issue_certificate(authority, ["localhost", "127.0.0.1", *harness.spec.plan.addresses])
    known = harness.spec.secrets
    both = authority.certificate + known.ca  # what clients must trust meanwhile
    before = {name: at for name, at in starts(harness).items() if name.startswith("node")}
    harness.ensure(secrets=Secrets(known.passwords, known.previous, leaf, both))
    harness.spec = replace(harness.spec, secrets=replace(harness.spec.secrets, ca=authority.certificate))
    assert has(harness, "first")
    assert {name: at for name, at in starts(harness).items() if name.startswith("node")} == before
    harness.ensure()
    # The scripts of a node connect by the authority of now, however long they have run.
    names = list(before)
    for node in names:
        assert int(harness.deployment.executor.run(node, "CLIENT", "KILL", "USER", "node")) > 0
    killed = time.time() + 1
    wait_until(lambda: all(_position_recorded(harness, node) > killed for node in names))


def _position_recorded(harness: DeploymentHarness, node: str) -> int:
    """When, in seconds since 1970."""
    container = harness.deployment.container(node)
    return int(harness.spec.engine.docker("exec", container, "stat", "-c", "%Y", "/tmp/noted"))


def test_writes_resume_when_a_primary_is_killed(harness: DeploymentHarness) -> None:
    if harness.spec.plan.topology == "single":
        pytest.skip("a single node has no replica to promote")
    victim = harness.primary()
    with AvailabilityProbe(harness.client, wait=1 if harness.spec.plan.topology == "replicated" else 0) as writer:
        time.sleep(1)
        harness.spec.engine.docker("kill", harness.deployment.container(victim))
        at = writer.acknowledged
        wait_until(lambda: writer.acknowledged >= at + 200)  # nothing but the group itself fails over
    assert writer.lost() == []
    assert any(victim in problem for problem in harness.wrong())
    harness.ensure()
    harness.assert_healthy()
    assert has(harness, "first")


@ALIKE
def test_a_crashed_server_restarts_automatically(harness: DeploymentHarness) -> None:
    facts = harness.container("node-0")
    pid = int(facts["State"]["Pid"])
    harness.spec.engine.docker(
        "exec", harness.deployment.container("node-0"), "sh", "-c", "kill -9 $(pidof valkey-server)"
    )
    wait_until(lambda: harness.container("node-0")["State"]["Pid"] not in (0, pid))
    wait_until(lambda: is_reachable(harness.deployment.executor, "node-0"))
    assert has(harness, "first")


@ALIKE
@pytest.mark.parametrize("loss", ["container", "network", "all"])
def test_lost_containers_are_created_again(harness: DeploymentHarness, loss: str) -> None:
    engine, deployment = harness.spec.engine, harness.deployment
    if loss == "container":
        engine.docker("rm", "--force", deployment.container("node-0"))
    elif loss == "network":
        engine.docker(
            "network", "disconnect", "--force", f"{harness.spec.plan.project}_default", deployment.container("node-0")
        )
    else:
        deployment.compose("down")
    assert harness.wrong() != []
    harness.ensure()
    harness.assert_healthy()
    assert has(harness, "first")


@ALIKE
def test_a_stopped_and_started_engine_finds_everything_again(harness: DeploymentHarness) -> None:
    """As a reboot: all is stopped at once, and started in no order."""
    containers = [harness.deployment.container(service) for service in harness.deployment.project["services"]]
    harness.spec.engine.docker("stop", *containers)
    harness.spec.engine.docker("start", *reversed(containers))
    harness.ensure()
    harness.assert_healthy()
    assert has(harness, "first")


@ALIKE
def test_stopped_containers_of_another_definition_are_replaced_together(
    harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node waits for Sentinels and for other nodes, so none can be the first."""
    harness.spec.engine.docker(
        "stop", *(harness.deployment.container(name) for name in harness.deployment.executor.ports)
    )
    with monkeypatch.context() as patch:
        patch.setattr(container_health, "is_outdated", lambda *_: True)
        rolling_restart.recreate_unhealthy(harness.deployment)
    harness.ensure()
    harness.assert_healthy()
    assert has(harness, "first")


def test_an_upgrade_rolls_under_load_and_a_downgrade_is_refused(harness: DeploymentHarness) -> None:
    harness.use(NEW)
    with AvailabilityProbe(harness.client, wait=0) as writer:
        harness.ensure()
    assert harness.known.version == NEW
    harness.assert_healthy()
    assert has(harness, "first")
    assert writer.acknowledged > 100
    assert writer.lost() == []
    saved = sorted(file.name for file in harness.spec.keep_in.iterdir())
    assert len(saved) == harness.spec.plan.shards
    assert all(name.startswith(f"before-{NEW}-") and name.endswith(".rdb") for name in saved)
    harness.use(OLD)
    with pytest.raises(ProvisioningError, match=f"{OLD} is older"):
        harness.ensure()
    harness.use(NEW)


@ALIKE
def test_nothing_secret_is_seen_by_inspection_or_in_logs(harness: DeploymentHarness) -> None:
    known = harness.spec.secrets
    hidden = [*known.passwords.values(), known.certificate.key.splitlines()[1]]
    for service in harness.deployment.project["services"]:
        container = harness.deployment.container(service)
        shown = json.dumps(harness.container(service)) + harness.spec.engine.docker("top", container, "-eo", "pid,args")
        shown += harness.spec.engine.docker("logs", container)
        assert not [secret for secret in hidden if secret in shown]
    assert not [secret for secret in hidden if secret in repr(harness)]


def test_the_end_leaves_a_snapshot_and_nothing_else(harness: DeploymentHarness) -> None:
    harness.remove(keep_snapshot=True)
    project = f"com.docker.compose.project={harness.spec.plan.project}"
    assert not any(harness.spec.engine.list_by_labels(kind, project) for kind in ("container", "network", "volume"))
    assert len(list(harness.spec.keep_in.glob("final-*.rdb"))) == harness.spec.plan.shards
