"""A deployment's life, of every topology, on real containers: in the order of this file, the upgrade last."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from harness.docker import NEW, OLD, Bed, new_secrets
from infra.drivers import certificates
from infra.drivers.docker import health, rolling_restart
from infra.drivers.docker.plan import Secrets
from infra.drivers.topology.executor import is_reachable
from infra.errors import ProvisioningError
from tools.availability_probe import AvailabilityProbe

SECONDS_WITHOUT_WRITES = 10.0


def starts(bed: Bed) -> dict[str, str]:
    """When each container started: another time means that it was restarted or made anew."""
    return {service: bed.container(service)["State"]["StartedAt"] for service in bed.deployment.project["services"]}


def write(bed: Bed, key: str) -> None:
    with bed.client() as client:
        client.set(key, "kept")


def has(bed: Bed, key: str) -> bool:
    with bed.client() as client:
        return bool(client.get(key) == "kept")


def test_an_application_writes_and_a_second_run_disturbs_nothing(bed: Bed) -> None:
    write(bed, "first")
    before = starts(bed)
    bed.ensure()
    assert starts(bed) == before
    assert bed.wrong() == []
    assert has(bed, "first")


def test_a_replica_has_what_was_written(bed: Bed) -> None:
    replicas = bed.spec.plan.replicas
    with bed.client() as client:
        client.set("waited", "for")
        assert client.execute_command("WAIT", replicas, 2000, **_near(bed)) >= replicas


def _near(bed: Bed) -> dict[str, object]:
    """WAIT has no key, so in a cluster the node is named."""
    return {"target_nodes": "primaries"} if bed.spec.plan.topology == "cluster" else {}


def test_settings_and_memory_change_without_a_restart(bed: Bed) -> None:
    before = starts(bed)
    bed.set("mixed", memory=96)
    assert bed.wrong() != []
    bed.ensure()
    assert starts(bed) == before
    assert bed.wrong() == []
    limit = bed.container("node-0")["HostConfig"]["Memory"]
    with bed.client("admin") as admin:
        values = admin.config_get("maxmemory*") if bed.spec.plan.topology != "cluster" else _of_first(bed)
    assert (values["maxmemory-policy"], int(values["maxmemory"])) == ("volatile-lru", 96 * 1024**2)
    assert int(values["maxmemory"]) / limit < 0.45


def _of_first(bed: Bed) -> dict[str, str]:
    return dict(bed.deployment.executor.run("node-0", "CONFIG", "GET", "maxmemory*"))


def test_memory_that_the_data_fills_is_refused(bed: Bed) -> None:
    bed.set("queue", memory=96)
    bed.ensure()
    before = bed.spec
    bed.set("queue", memory=1)
    with pytest.raises(ProvisioningError, match="may not evict"):
        bed.ensure()
    bed.spec = before
    assert bed.wrong() == []


def test_passwords_rotate_without_a_failed_request(bed: Bed) -> None:
    """Step one: new ones beside the old. Step two, when every application has them: the old are gone."""
    old = bed.spec.secrets
    new = replace(new_secrets(["x"], bed.spec.plan.users), certificate=old.certificate, ca=old.ca)
    before = starts(bed)
    with AvailabilityProbe(bed.client) as running_with_old:
        bed.ensure(secrets=replace(new, previous=old.passwords, login=old.passwords["admin"]))
        with AvailabilityProbe(bed.client) as running_with_new:
            time.sleep(1)
    with AvailabilityProbe(bed.client) as running_with_new:
        bed.ensure(secrets=new)
        time.sleep(1)
    assert running_with_old.failed == running_with_new.failed == []
    assert min(running_with_old.acknowledged, running_with_new.acknowledged) > 100
    assert starts(bed) == before
    current = bed.spec
    bed.spec = replace(bed.spec, secrets=old)
    with pytest.raises(ProvisioningError, match="rejects the password"):
        bed.deployment.executor.run("node-0", "PING")
    bed.spec = current


def test_a_certificate_is_renewed_without_a_restart_of_data_nodes(bed: Bed) -> None:
    authority = certificates.create_authority("another")
    leaf = certificates.issue_certificate(authority, ["localhost", "127.0.0.1", *bed.spec.plan.addresses])
    known = bed.spec.secrets
    both = authority.certificate + known.ca  # what clients must trust meanwhile
    before = {name: at for name, at in starts(bed).items() if name.startswith("node")}
    bed.ensure(secrets=Secrets(known.passwords, known.previous, leaf, both))
    bed.spec = replace(bed.spec, secrets=replace(bed.spec.secrets, ca=authority.certificate))
    assert has(bed, "first")
    assert {name: at for name, at in starts(bed).items() if name.startswith("node")} == before
    bed.ensure()


def test_writes_go_on_when_a_primary_is_killed(bed: Bed) -> None:
    if bed.spec.plan.topology == "single":
        pytest.skip("a single node has nobody to take over")
    victim = bed.primary()
    with AvailabilityProbe(bed.client, wait=1 if bed.spec.plan.topology == "replicated" else 0) as writer:
        time.sleep(1)
        bed.spec.engine.docker("kill", bed.deployment.container(victim))
        deadline = time.monotonic() + 20
        at = writer.acknowledged
        while writer.acknowledged < at + 200 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert writer.longest_outage_seconds < SECONDS_WITHOUT_WRITES, (
        f"no write for {writer.longest_outage_seconds:.1f} s: {writer.failed[-1:]}"
    )
    assert writer.lost() == []
    assert any(victim in problem for problem in bed.wrong())
    bed.ensure()
    assert bed.wrong() == []
    assert has(bed, "first")


def test_a_crashed_server_comes_back_by_itself(bed: Bed) -> None:
    facts = bed.container("node-0")
    pid = int(facts["State"]["Pid"])
    bed.spec.engine.docker("exec", bed.deployment.container("node-0"), "sh", "-c", "kill -9 $(pidof valkey-server)")
    deadline = time.monotonic() + 30
    while bed.container("node-0")["State"]["Pid"] in (0, pid) or not is_reachable(bed.deployment.executor, "node-0"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert has(bed, "first")


@pytest.mark.parametrize("loss", ["container", "network", "all"])
def test_what_is_lost_comes_back(bed: Bed, loss: str) -> None:
    engine, deployment = bed.spec.engine, bed.deployment
    if loss == "container":
        engine.docker("rm", "--force", deployment.container("node-0"))
    elif loss == "network":
        engine.docker(
            "network", "disconnect", "--force", f"{bed.spec.plan.project}_default", deployment.container("node-0")
        )
    else:
        deployment.compose("down")
    assert bed.wrong() != []
    bed.ensure()
    assert bed.wrong() == []
    assert has(bed, "first")


def test_a_stopped_and_started_engine_finds_everything_again(bed: Bed) -> None:
    """As a reboot: all is stopped at once, and started in no order."""
    containers = [bed.deployment.container(service) for service in bed.deployment.project["services"]]
    bed.spec.engine.docker("stop", *containers)
    bed.spec.engine.docker("start", *reversed(containers))
    bed.ensure()
    assert bed.wrong() == []
    assert has(bed, "first")


def test_stopped_containers_of_another_definition_are_replaced_together(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node waits for Sentinels and for other nodes, so none can be the first."""
    bed.spec.engine.docker("stop", *(bed.deployment.container(name) for name in bed.deployment.executor.ports))
    with monkeypatch.context() as patch:
        patch.setattr(health, "is_outdated", lambda *_: True)
        rolling_restart.recreate_unhealthy(bed.deployment)
    bed.ensure()
    assert bed.wrong() == []
    assert has(bed, "first")


def test_an_upgrade_rolls_under_load_and_a_downgrade_is_refused(bed: Bed) -> None:
    bed.use(NEW)
    with AvailabilityProbe(bed.client, wait=0) as writer:
        bed.ensure()
    assert bed.known.version == NEW
    assert bed.wrong() == []
    assert has(bed, "first")
    assert writer.acknowledged > 100
    assert writer.lost() == []
    saved = sorted(file.name for file in bed.spec.keep_in.iterdir())
    assert len(saved) == bed.spec.plan.shards
    assert all(name.startswith(f"before-{NEW}-") and name.endswith(".rdb") for name in saved)
    bed.use(OLD)
    with pytest.raises(ProvisioningError, match=f"{OLD} is older"):
        bed.ensure()
    bed.use(NEW)


def test_nothing_secret_is_seen_by_inspection_or_in_logs(bed: Bed) -> None:
    known = bed.spec.secrets
    hidden = [*known.passwords.values(), known.certificate.key.splitlines()[1]]
    for service in bed.deployment.project["services"]:
        container = bed.deployment.container(service)
        shown = json.dumps(bed.container(service)) + bed.spec.engine.docker("top", container, "-eo", "pid,args")
        shown += bed.spec.engine.docker("logs", container)
        assert not [secret for secret in hidden if secret in shown]
    assert not [secret for secret in hidden if secret in repr(bed)]


def test_the_end_leaves_a_snapshot_and_nothing_else(bed: Bed) -> None:
    bed.remove(keep_snapshot=True)
    project = f"com.docker.compose.project={bed.spec.plan.project}"
    assert not any(bed.spec.engine.list_by_labels(kind, project) for kind in ("container", "network", "volume"))
    assert len(list(bed.spec.keep_in.glob("final-*.rdb"))) == bed.spec.plan.shards
