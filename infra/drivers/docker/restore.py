"""Restore of RDB files into a new deployment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from infra import hardening
from infra.drivers import rdb
from infra.drivers.docker import compose, deployment_files, reasons
from infra.drivers.docker.container_deployment import START_TIMEOUT_SECONDS, ContainerDeployment
from infra.drivers.docker.container_executor import ContainerExecutor
from infra.drivers.docker.engine import EngineError
from infra.drivers.docker.objects import SCRATCH, DockerObjects
from infra.drivers.topology.node_executor import info, wait_until
from infra.errors import ProvisioningError

PURPOSE = "restore"
_ANOTHER = "pulumi config set restoreFrom <another RDB file>"
BEGUN, DONE = "restoring", "restored"
"""Marker files next to the configuration: written before the restore, and when it is complete."""


def preflight(source: Path, version: str) -> None:
    """Check by their headers that a server of a version can read the files.

    Raises:
        ProvisioningError: it can't read one.
    """
    for dump in rdb.files(source):
        if problem := rdb.header_error(dump, version):
            raise problem


def prepare(deployment: ContainerDeployment, source: Path | None) -> Path | None:
    """The file to restore, or None. The data of an interrupted restore is removed, so that it starts again.

    Raises:
        ProvisioningError: an interrupted restore has no source any more, or the volumes have other data.
    """
    present = _marks(deployment.objects)
    if present == [BEGUN]:
        if source is None:
            raise ProvisioningError(
                "a restore was interrupted, so the data is incomplete",
                fix="pulumi config set restoreFrom <the same file>, which starts it again",
            )
        deployment.down()
    elif source and not present and deployment.has_data():
        raise ProvisioningError(
            f"the volumes of {deployment.plan.project} have data that is not from {source}",
            fix="pulumi config rm restoreFrom, or pulumi config set --path docker.project <another name>",
        )
    return None if deployment.has_data() else source


def is_incomplete(objects: DockerObjects) -> bool:
    """Whether a restore was interrupted."""
    return _marks(objects) == [BEGUN]


def _marks(objects: DockerObjects) -> list[str]:
    conf = f"{objects.project}_{compose.CONF}"
    exists = objects.engine.inspect("volume", conf)
    return [mark for mark in (BEGUN, DONE) if exists and objects.open(conf).exists(mark)]


def load(deployment: ContainerDeployment, source: Path) -> None:
    """Start the deployment with the data of a file; for a cluster also of a folder's files.

    Raises:
        ProvisioningError: it can't be loaded, or needs more memory than configured.
    """
    _mark(deployment, BEGUN)
    deployment.create()
    if deployment.plan.topology == "cluster":
        deployment.up()
        for dump in rdb.files(source):
            _into_cluster(deployment, dump)
    else:
        _into_node(deployment, source)
        deployment.up()
    _mark(deployment, DONE)


def _mark(deployment: ContainerDeployment, name: str) -> None:
    deployment.open(deployment.volume(compose.CONF)).put({name: ""})


def _into_node(deployment: ContainerDeployment, source: Path) -> None:
    """Create append-only files in the first primary's volume, as a server with `appendonly yes` ignores a snapshot.

    The replicas copy its data.
    """
    node = deployment.plan.nodes[0]
    volume = deployment.volume(node.name)
    with _scratch(deployment, source, volume, "none", port=node.port) as executor:
        allowed = int(deployment.plan.directives["maxmemory"])
        _reject_too_large(executor, source, allowed)
        executor.run(SCRATCH, "CONFIG", "SET", "appendonly", "yes")
        _wait_for_append_only(executor)
        with contextlib.suppress(ProvisioningError):  # it ends, so it doesn't respond
            executor.run(SCRATCH, "SHUTDOWN", "NOSAVE")


def _into_cluster(deployment: ContainerDeployment, source: Path) -> None:
    """Load the file into a temporary server, and import every key into the node with its slot.

    The server shares the first node's loopback, since valkey-cli reads from the source of an import without TLS.
    """
    plan, node = deployment.plan, deployment.plan.nodes[0]
    volume, tls, plain = deployment.volume(SCRATCH), node.bus + 1, node.bus + 2
    alone = ("--cluster-enabled", "no", "--bind", "127.0.0.1", "--tls-port", str(tls), "--port", str(plain))
    try:
        network = f"container:{deployment.container(node.name)}"
        with _scratch(deployment, source, volume, network, port=tls, more=alone) as executor:
            _reject_too_large(executor, source, int(plan.directives["maxmemory"]) * plan.shards)
            _import(deployment, f"127.0.0.1:{plain}")
    finally:
        with contextlib.suppress(ProvisioningError):
            deployment.engine.docker("volume", "rm", "--force", volume)


def _import(deployment: ContainerDeployment, scratch: str) -> None:
    node = deployment.plan.nodes[0]
    password = deployment.secrets.passwords[hardening.ADMIN]
    script = (
        "read -r REDISCLI_AUTH; export REDISCLI_AUTH; "
        f"exec valkey-cli --no-auth-warning --user {hardening.ADMIN} --tls --cacert {deployment_files.HOME}/tls/ca.crt "
        f"--cluster import {node.host}:{node.port} --cluster-from {scratch} --cluster-copy "
        f"--cluster-from-user {hardening.ADMIN} --cluster-from-askpass"
    )
    output = deployment.engine.docker(
        "exec", "-i", deployment.container(node.name), "sh", "-c", script, stdin=f"{password}\n{password}\n".encode()
    )
    if "[ERR]" in output:
        raise ProvisioningError(f"the cluster rejected the data: {output.strip().splitlines()[-1]}")


@contextlib.contextmanager
def _scratch(
    deployment: ContainerDeployment, source: Path, volume: str, network: str, *, port: int, more: Sequence[str] = ()
) -> Iterator[ContainerExecutor]:
    """A temporary server that has loaded the file, with the first node's configuration and without a memory limit."""
    engine, plan = deployment.engine, deployment.plan
    name, node = f"{plan.project}-{SCRATCH}", plan.nodes[0]
    engine.docker("rm", "--force", "--volumes", name)
    engine.docker("volume", "create", *deployment.labels(PURPOSE), volume)
    deployment.open(volume).upload(source, "dump.rdb")
    options = ["--appendonly", "no", "--save", "", "--maxmemory", "0", *more]  # no snapshot at its end
    engine.docker(
        "run", "--detach", "--name", name, *deployment.labels(PURPOSE), "--network", network,
        "--user", "999:999", "--cap-drop", "ALL", "--read-only",
        "-v", f"{volume}:/data", "-v", f"{deployment.volume(compose.CONF)}:{deployment_files.HOME}:ro",
        plan.image, "valkey-server", f"{deployment_files.HOME}/nodes/{node.name}.conf", *options,
    )  # fmt: skip
    executor = replace(deployment.executor, containers={SCRATCH: name}, ports={SCRATCH: port})
    try:
        _wait_until_loaded(deployment, executor, name, source)
        yield executor
    finally:
        with contextlib.suppress(EngineError):  # it is removed anyway
            engine.docker("stop", "--time", "60", name)
        engine.docker("rm", "--force", "--volumes", name)


def _wait_until_loaded(
    deployment: ContainerDeployment, executor: ContainerExecutor, container: str, source: Path
) -> None:
    def loaded() -> bool:
        with contextlib.suppress(ProvisioningError):
            return info(executor, SCRATCH, "persistence")["loading"] == "0"
        if not deployment.engine.inspect("container", container)[0]["State"]["Running"]:
            log = deployment.engine.docker("logs", container)
            raise EngineError(f"{source} can't be loaded: {reasons.cause(log)}", fix=_ANOTHER)
        return False

    wait_until(loaded, START_TIMEOUT_SECONDS, f"{source} is not loaded yet")


def _wait_for_append_only(executor: ContainerExecutor) -> None:
    def written() -> bool:
        state = info(executor, SCRATCH, "persistence")
        if state["aof_last_bgrewrite_status"] != "ok":
            raise ProvisioningError("the append-only file can't be written", fix="free space on the engine's disk")
        return state["aof_rewrite_in_progress"] == state["aof_rewrite_scheduled"] == "0"

    wait_until(written, START_TIMEOUT_SECONDS, "the append-only file is not complete yet")


def _reject_too_large(executor: ContainerExecutor, source: Path, allowed: int) -> None:
    used = int(info(executor, SCRATCH, "memory")["used_memory"])
    if used > allowed:
        raise ProvisioningError(
            f"{source} needs {used} bytes of memory, more than the configured {allowed}",
            fix="pulumi config set memory <more>",
        )
