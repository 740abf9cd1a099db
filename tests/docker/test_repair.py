"""make repair on real damage: what is reported, what is lost, what is kept, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from harness.docker import NEW, OLD, DeploymentHarness, make_spec, running
from infra.drivers.docker import container_executor, deployment_files, driver, volumes
from infra.drivers.docker import repair as repairs
from infra.drivers.docker.engine import EngineError
from infra.drivers.docker.repair_container import RepairContainer
from infra.drivers.topology.node_executor import NodeAddress, is_reachable, wait_until
from infra.errors import ProvisioningError
from tests.docker.test_frozen import signal

KEYS = 300
AOF = "/data/appendonlydir"
LAST = "cd /data/appendonlydir; last=$(ls -v *.incr.aof | tail -1); base=$(ls -v *.base.rdb | tail -1)"

CUT = f"{LAST}; head -c 1000 $last >cut; printf '%200s' x >>cut; tail -c 2000 $last >>cut; cat cut >$last; rm cut"
NULS = f"{LAST}; head -c 4096 /dev/zero >>$last"
NO_MANIFEST = f"rm {AOF}/appendonly.aof.manifest"
NO_CHANGES = f"{LAST}; rm $last"
NO_BASE = f"{LAST}; rm $base"
BAD_BASE = f"{LAST}; rm -f /data/dump.rdb; printf '%60s' x | dd of=$base bs=1 seek=2000 conv=notrunc 2>/dev/null"
EMPTY_BASE = f"{LAST}; rm -f /data/dump.rdb; truncate -s 0 $base"
NO_BASE_LINE = f"sed -i '/type b/d' {AOF}/appendonly.aof.manifest"
ONLY_DUMP = f"{LAST}; mv $base /data/dump.rdb; cd /data; rm -r appendonlydir"
UNKNOWN = f"{LAST}; rm -f /data/dump.rdb; printf '*1\\r\\n$8\\r\\nNONSENSE\\r\\n' >>$last"
SHORT = f"{LAST}; valkey-check-aof $last | grep -q valid; truncate -s 1000 $last; yes | valkey-check-aof --fix $last"
NO_NODES_CONF = "rm /data/nodes.conf"
EMPTIED = "rm -rf /data/*"


@pytest.fixture(scope="module", params=[pytest.param(OLD, marks=pytest.mark.thorough), NEW])
def single(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path_factory.mktemp("single"), "single", request.param)) as made:
        yield made


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path_factory.mktemp("replicated"), "replicated")) as made:
        yield made


@pytest.fixture(scope="module", params=[pytest.param(OLD, marks=pytest.mark.thorough), NEW])
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    """A cluster without replicas."""
    with running(make_spec(tmp_path_factory.mktemp("shards"), "cluster", request.param, replicas=0)) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path_factory.mktemp("cluster"), "cluster")) as made:
        yield made


def fill(harness: DeploymentHarness) -> None:
    """Half of the keys in the base file, half in the changes after it; noted by the recorders, and on the disk."""
    with harness.client("admin") as client:
        client.flushall()
    write(harness, 0, KEYS // 2)
    for node in harness.deployment.plan.nodes:
        if harness.deployment.executor.run(node.name, "ROLE")[0] == "master":
            rewrite(harness, node.name)
    write(harness, KEYS // 2, KEYS)
    wait_until(
        lambda: sum(noted(harness, node.name) for node in primaries(harness)) == KEYS, 60, "the keys aren't noted"
    )


def write(harness: DeploymentHarness, first: int, last: int) -> None:
    with harness.client() as client:
        for number in range(first, last):
            client.set(f"key:{number}", f"value {number}")


def rewrite(harness: DeploymentHarness, node: str) -> None:
    executor = harness.deployment.executor
    executor.run(node, "BGREWRITEAOF")

    def written() -> bool:
        state = dict(line.split(":", 1) for line in executor.run(node, "INFO", "persistence").split() if ":" in line)
        return {state["aof_rewrite_in_progress"], state["aof_rewrite_scheduled"]} == {"0"}

    wait_until(written, 60, "the append-only file isn't rewritten")


def primaries(harness: DeploymentHarness) -> list[NodeAddress]:
    return [
        node
        for node in harness.deployment.plan.nodes
        if harness.deployment.executor.run(node.name, "ROLE")[0] == "master"
    ]


def noted(harness: DeploymentHarness, node: str) -> int:
    """The keys of a node whose changes are all on the disk, as its recorder noted them."""
    text = volumes.read(harness.spec.engine, harness.deployment.container(node), "/data/position")
    line = text.split() if text else []  # it has just started
    return int(line[7]) if line and line[5] == line[6] else -1


def left(harness: DeploymentHarness) -> int:
    with harness.client() as client:
        found = [client.get(f"key:{number}") for number in range(KEYS)]
    assert all(value in {None, f"value {number}"} for number, value in enumerate(found))
    return KEYS - found.count(None)


def on_volume(harness: DeploymentHarness, node: str, script: str) -> str:
    plan, engine = harness.deployment.plan, harness.spec.engine
    options = ["--rm", "--network", "none", "--user", "999:999", "-v", f"{harness.deployment.volume(node)}:/data"]
    return engine.docker("run", *options, plan.image, "sh", "-c", script)


def damage(harness: DeploymentHarness, script: str, *nodes: str) -> None:
    """Kill nodes, damage their volumes, start them, and wait until they say that they don't serve."""
    containers = [harness.deployment.container(node) for node in nodes]
    harness.spec.engine.docker("kill", *containers)
    for node in nodes:
        on_volume(harness, node, script)
    harness.spec.engine.docker("start", *containers)


def wait_for(harness: DeploymentHarness, node: str, text: str) -> None:
    def waits() -> bool:
        try:
            found = harness.spec.engine.docker("exec", harness.deployment.container(node), "cat", "/tmp/waiting")
        except EngineError:
            return False
        return text in found

    wait_until(waits, 120, f"{node} doesn't wait")


def repair(harness: DeploymentHarness, node: str = "node-0", *, force: bool = False, dry: bool = False) -> str:
    return "\n".join(driver.repair(harness.spec, harness.known, node, force=force, dry=dry))


def copies(harness: DeploymentHarness, node: str = "node-0") -> list[str]:
    return on_volume(harness, node, "ls -d /data/before-repair-* 2>/dev/null || true").split()


@pytest.mark.parametrize(
    ("script", "reason", "keys"),
    [
        (CUT, r"incr\.aof is damaged after byte \d+ of \d+", range(151, KEYS)),
        pytest.param(
            NULS, r"incr\.aof is damaged after byte \d+ of \d+", range(KEYS, KEYS + 1), marks=pytest.mark.thorough
        ),
        pytest.param(NO_MANIFEST, "manifest is missing", range(KEYS, KEYS + 1), marks=pytest.mark.thorough),
        pytest.param(NO_BASE_LINE, "manifest is missing or damaged", range(KEYS, KEYS + 1), marks=pytest.mark.thorough),
        pytest.param(NO_CHANGES, r"incr\.aof is missing", range(150, 151), marks=pytest.mark.thorough),
        (NO_BASE, r"base\.rdb is missing", range(150, 151)),
        (ONLY_DUMP, "a dump.rdb, but no append-only file", range(150, 151)),
    ],
    ids=["damaged", "nuls", "manifest", "base-line", "changes", "base", "dump"],
)
def test_what_is_left_serves_again(single: DeploymentHarness, script: str, reason: str, keys: range) -> None:
    fill(single)
    before = copies(single)
    damage(single, script, "node-0")
    wait_for(single, "node-0", "make repair NODE=node-0")
    dry = repair(single, dry=True)
    assert copies(single) == before
    wait_for(single, "node-0", "make repair NODE=node-0")
    report = repair(single)
    assert report.startswith(dry)
    assert re.search(reason, report), report
    count = left(single)
    assert count in keys
    assert f"{count} keys are left of the {KEYS}" in report
    (copy,) = set(copies(single)) - set(before)
    assert copy in report
    single.assert_healthy()


@pytest.mark.parametrize(
    ("script", "reason"),
    [(BAD_BASE, "base.rdb is damaged"), (EMPTY_BASE, "base.rdb is empty")],
    ids=["damaged", "empty"],
)
def test_a_damaged_base_takes_force(single: DeploymentHarness, script: str, reason: str) -> None:
    fill(single)
    damage(single, script, "node-0")
    wait_for(single, "node-0", reason)
    for dry in (True, False):
        with pytest.raises(ProvisioningError, match=r"make restore STACK=.* accept an empty node: make repair"):
            repair(single, dry=dry)
    wait_for(single, "node-0", reason)
    assert "0 keys are left" in repair(single, force=True)
    assert left(single) == 0
    assert "base.rdb" in on_volume(single, "node-0", f"ls {copies(single)[-1]}/appendonlydir")


@pytest.mark.parametrize("single", [NEW], indirect=True)
def test_a_command_that_no_server_takes(single: DeploymentHarness) -> None:
    """valkey-check-aof finds nothing wrong with it; the server restarts again and again."""
    fill(single)
    damage(single, UNKNOWN, "node-0")
    wait_until(lambda: refused(single, "node-0", "a server can't load the remaining files"), 120, "it isn't found")
    assert "0 keys are left" in repair(single, force=True)


@pytest.mark.parametrize("single", [NEW], indirect=True)
def test_a_volume_of_another_stack_is_refused(single: DeploymentHarness) -> None:
    damage(single, "sed -i 's/^[^ ]*/other/' /data/position", "node-0")
    wait_for(single, "node-0", "its volume has data of other")
    with pytest.raises(
        ProvisioningError, match=r"can't be repaired: its volume has data of other, .* -> give it its own volume"
    ):
        repair(single)
    wait_for(single, "node-0", "its volume has data of other")
    single.spec.engine.docker("stop", single.deployment.container("node-0"))
    on_volume(single, "node-0", "rm /data/position")
    single.ensure()


@pytest.mark.parametrize("single", [NEW], indirect=True)
def test_a_healthy_node_and_unknown_names_are_refused(single: DeploymentHarness) -> None:
    with pytest.raises(ProvisioningError, match="node-0 runs and responds"):
        repair(single)
    with pytest.raises(ProvisioningError, match=r"node-7 is not a data node of the stack -> NODE=<one of node-0>"):
        repair(single, "node-7")


@pytest.mark.parametrize("single", [NEW], indirect=True)
def test_a_node_that_hangs_is_refused(single: DeploymentHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (container_executor, repairs):
        monkeypatch.setattr(module, "RESPONSE_TIMEOUT_SECONDS", 2)
    signal(single, "node-0", "STOP")
    try:
        with pytest.raises(ProvisioningError, match="node-0 runs, but does not respond -> docker restart"):
            repair(single)
    finally:
        signal(single, "node-0", "CONT")
    assert is_reachable(single.deployment.executor, "node-0")


@pytest.mark.parametrize("single", [NEW], indirect=True)
@pytest.mark.parametrize(
    "step",
    [
        pytest.param("build", marks=pytest.mark.thorough),
        "set-aside",
        pytest.param("put-in-place", marks=pytest.mark.thorough),
        "rm",
    ],
)
def test_a_repair_that_was_cut_off_finishes(
    single: DeploymentHarness, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(single)
    before = copies(single)
    damage(single, NULS, "node-0")
    wait_for(single, "node-0", "make repair")
    whole = RepairContainer.step

    def cut(self: RepairContainer, *arguments: str) -> str:
        done = whole(self, *arguments)
        if arguments[0] == step:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patched:
        if step == "rm":  # in the middle of the last step
            ending = {**deployment_files.scripts(), "repair-files": script_that_ends_early()}
            patched.setattr("infra.drivers.docker.deployment_files.scripts", lambda: ending)
        else:
            patched.setattr(RepairContainer, "step", cut)
        with pytest.raises((KeyboardInterrupt, EngineError)):
            repair(single)
    if step == "put-in-place":  # the node only had to start
        wait_until(lambda: is_reachable(single.deployment.executor, "node-0"), 120, "it doesn't serve")
    else:
        wait_for(single, "node-0", "make repair")
        repair(single)
    assert left(single) == KEYS
    (copy,) = set(copies(single)) - set(before)
    assert on_volume(single, "node-0", f"tail -c 4 {copy}/appendonlydir/*.incr.aof | od -An -c").split() == ["\\0"] * 4
    assert not on_volume(single, "node-0", "ls /data | grep -E 'repairing|damage' || true")


def script_that_ends_early() -> str:
    from infra.drivers.docker.deployment_files import SCRIPTS

    text = (SCRIPTS / "repair-files").read_text()
    line = '      mv "$new/$name" "$data/$name"\n'
    assert line in text
    return text.replace(line, f"{line}      exit 1\n")


def test_a_primary_with_a_healthy_replica_is_refused(replicated: DeploymentHarness) -> None:
    fill(replicated)
    primary = replicated.primary()
    damage(replicated, NULS, primary)
    with pytest.raises(ProvisioningError, match=r"(is healthy and has the data of|runs and responds)"):
        repair(replicated, primary)
    replicated.ensure()
    assert left(replicated) == KEYS


@pytest.mark.thorough
def test_every_node_of_a_group_is_damaged(replicated: DeploymentHarness) -> None:
    fill(replicated)
    leader = replicated.primary()
    names = [node.name for node in replicated.deployment.plan.nodes]
    damage(replicated, NULS, *names)
    wait_for(replicated, leader, "damaged")
    report = repair(replicated, leader)
    assert "is damaged too" in report
    assert left(replicated) == KEYS
    replicated.assert_healthy()


def test_a_primary_that_is_short_keeps_what_it_has(replicated: DeploymentHarness) -> None:
    """A single server has no other member and serves; a primary waits, as another member might have more data."""
    fill(replicated)
    leader = replicated.primary()
    names = [node.name for node in replicated.deployment.plan.nodes]
    replicated.spec.engine.docker("kill", *map(replicated.deployment.container, names))
    for name in names:
        on_volume(replicated, name, SHORT if name == leader else EMPTIED)
    replicated.spec.engine.docker("start", *map(replicated.deployment.container, names))
    wait_for(replicated, leader, "no other member holds more")
    report = repair(replicated, leader)
    assert re.search(r"incr\.aof has \d+ bytes, but had \d+", report), report
    assert 150 < left(replicated) < KEYS
    replicated.assert_healthy()


@pytest.mark.thorough
def test_a_member_that_is_stopped_may_hold_more(replicated: DeploymentHarness) -> None:
    fill(replicated)
    leader = replicated.primary()
    names = [node.name for node in replicated.deployment.plan.nodes]
    others = [name for name in names if name != leader]
    replicated.spec.engine.docker("stop", *map(replicated.deployment.container, others))
    damage(replicated, NULS, leader)
    wait_for(replicated, leader, "do not respond")
    with pytest.raises(ProvisioningError, match="does not respond and may have more"):
        repair(replicated, leader)
    replicated.ensure()
    assert left(replicated) == KEYS


def test_nodes_conf_is_rebuilt_where_no_other_node_has_the_slots(shards: DeploymentHarness) -> None:
    fill(shards)
    identity = shards.deployment.executor.run("node-1", "CLUSTER", "MYID")
    damage(shards, NO_NODES_CONF, "node-1")
    wait_for(shards, "node-1", "nodes.conf is lost")
    report = repair(shards, "node-1")
    assert f"the other nodes know it as {identity}" in report
    assert shards.deployment.executor.run("node-1", "CLUSTER", "MYID") == identity
    assert left(shards) == KEYS
    shards.assert_healthy()


@pytest.mark.thorough
def test_nodes_conf_and_changes_are_damaged(shards: DeploymentHarness) -> None:
    fill(shards)
    damage(shards, f"echo nonsense >/data/nodes.conf; {NULS}", "node-2")
    wait_for(shards, "node-2", "make repair")
    report = repair(shards, "node-2")
    assert "damaged after byte" in report
    assert "nodes.conf" in report
    assert left(shards) == KEYS


def test_slots_of_an_emptied_node_take_force(shards: DeploymentHarness) -> None:
    fill(shards)
    lost = noted(shards, "node-0")
    damage(shards, EMPTIED, "node-0")
    wait_until(lambda: refused(shards, "node-0", "the keys of these slots are lost"), 120, "it isn't refused")
    with pytest.raises(ProvisioningError, match=r"the slots 0-5460 are lost.*node-1 can't take them"):
        repair(shards, "node-1")
    assert "the slots 0-5460 are lost" in repair(shards, force=True)
    assert left(shards) == KEYS - lost
    shards.assert_healthy()


def test_a_shard_whose_nodes_were_all_emptied(cluster: DeploymentHarness) -> None:
    fill(cluster)
    (primary,) = (node for node in primaries(cluster) if node.name == "node-0")
    lost = noted(cluster, primary.name)
    replica = next(
        node.name
        for node in cluster.deployment.plan.nodes
        if cluster.deployment.executor.run(node.name, "ROLE")[1:3] == [primary.host, primary.port]
    )
    damage(cluster, EMPTIED, "node-0", replica)
    wait_until(lambda: refused(cluster, "node-0", "the keys of these slots are lost"), 120, "it isn't refused")
    assert "without keys" in repair(cluster, force=True)
    assert left(cluster) == KEYS - lost
    cluster.assert_healthy()


def refused(harness: DeploymentHarness, node: str, reason: str) -> bool:
    with pytest.raises(ProvisioningError) as problem:
        repair(harness, node)
    return reason in str(problem.value)
