"""The Docker driver: create, update, inspect, repair and remove a deployment of containers.

`ensure` can be killed at any moment and run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from valkeykit.version_numbers import minor_version, parse_version

from infra import hardening
from infra.drivers.docker import (
    addresses,
    compose,
    data_version,
    images,
    live_config,
    recovery_events,
    restore,
    roles,
    rolling_restart,
    snapshots,
)
from infra.drivers.docker import repair as repairs
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.deployment_files import HOME
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.docker.images import ImageSource
from infra.drivers.docker.objects import VERSION, DockerObjects
from infra.drivers.docker.plan import DeploymentPlan, Secrets
from infra.drivers.topology import replication
from infra.drivers.topology.node_executor import reachable
from infra.errors import ProvisioningError, as_preflight_error

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeploymentSpec:
    """The desired state of a deployment.

    version: of the image: major.minor, or all three numbers.
    plan: without image and ports, which the driver chooses.
    first_port: the first of consecutive ports; 0 for free ones.
    restore_from: an RDB file that a new deployment starts with; for a cluster also a folder of them.
    keep_in: a folder on this machine for snapshots before an upgrade and before the removal.
    """

    engine: Engine
    source: ImageSource
    version: str
    plan: DeploymentPlan
    secrets: Secrets
    keep_in: Path
    first_port: int = 0
    restore_from: Path | None = None


@dataclass(frozen=True)
class DeploymentState:
    """The current state of a deployment.

    engine: its id. ports, image, version: those in use.
    primaries: numbers of data nodes. directives, acl: what the servers report, by node; acl as a digest.
    """

    engine: str
    ports: tuple[int, ...]
    image: str
    version: str
    primaries: tuple[int, ...]
    directives: Mapping[str, Mapping[str, str]]
    acl: Mapping[str, str]


def ensure(spec: DeploymentSpec, previous: DeploymentState | None) -> DeploymentState:
    """Create or update the deployment, with as little disruption as possible.

    previous: the result of the last run; None for a new deployment.

    Raises:
        ProvisioningError: it can't be created or updated.
    """
    engine = _same_engine(spec, previous)
    with as_preflight_error():
        deployment, version = _check(spec, previous, images.ensure(spec.engine, spec.source))
    deployment.objects.remove_leftovers()
    if previous and previous.version != version and deployment.has_data():
        _save_before(deployment, spec.keep_in, version)
    is_new = previous is None or not deployment.exists()
    source = restore.prepare(deployment, spec.restore_from) if is_new else None
    if deployment.exists():
        _change(deployment)
    else:
        _create(deployment, source)
    roles.wait_until_healthy(deployment.executor, deployment.plan)
    return _inspect(deployment, engine, version)


def preflight(spec: DeploymentSpec, previous: DeploymentState | None) -> None:
    """Check in advance that `ensure` can succeed; nothing is changed, and no image is pulled.

    The spec may lack passwords: then the servers aren't queried.

    Raises:
        ProvisioningError: a check failed.
    """
    with as_preflight_error():
        _same_engine(spec, previous)
        _check(spec, previous, images.find(spec.engine, spec.source))


def inspect(spec: DeploymentSpec, previous: DeploymentState) -> tuple[DeploymentState | None, list[str]]:
    """The current state of the deployment, None where it doesn't respond; and its problems, a line each.

    Raises:
        ProvisioningError: the engine doesn't respond.
    """
    _same_engine(spec, previous)
    deployment = deployment_of(spec, previous)
    wrong = deployment.problems()
    try:
        state = _inspect(deployment, previous.engine, previous.version)
        return state, wrong or list(roles.problems(deployment.executor, deployment.plan))
    except ProvisioningError as problem:
        return None, wrong or [str(problem)]


def snapshot(spec: DeploymentSpec, previous: DeploymentState, folder: Path) -> None:
    """Save every primary's data as an RDB file in a folder of this machine.

    Raises:
        ProvisioningError: a server can't save.
    """
    _same_engine(spec, previous)
    snapshots.take(deployment_of(spec, previous), folder, "backup", replicas=True)


def fail_over(spec: DeploymentSpec, previous: DeploymentState) -> None:
    """Fail over each shard to a replica; no acknowledged write is lost.

    Raises:
        ProvisioningError: the deployment isn't healthy, so nothing was changed; or no replica took over.
    """
    _same_engine(spec, previous)
    deployment = deployment_of(spec, previous)
    if problems := deployment.problems() or list(roles.problems(deployment.executor, deployment.plan)):
        raise ProvisioningError(f"nothing was changed: {'; '.join(problems)}", fix="make up, then again")
    for primary in roles.primaries(deployment.executor, deployment.plan):
        roles.fail_over(deployment.executor, deployment.plan, primary)
    roles.wait_until_healthy(deployment.executor, deployment.plan)


def prompt(spec: DeploymentSpec, previous: DeploymentState, port: int, *, tty: bool) -> list[str]:
    """The command that runs valkey-cli in the container of the node with this port; options can be appended.

    It passes the password of the environment variable REDISCLI_AUTH.
    """
    deployment = deployment_of(spec, previous)
    node = next(node for node in deployment.plan.nodes if node.port == port)
    options = ["--interactive", *(["--tty"] if tty else []), "--env", "REDISCLI_AUTH"]
    cli = ["valkey-cli", "-p", str(port), "--tls", "--cacert", f"{HOME}/tls/ca.crt"]
    return spec.engine.command(["exec", *options, deployment.container(node.name), *cli])


def recoveries(spec: DeploymentSpec, previous: DeploymentState, since: datetime) -> list[str]:
    """Recoveries of the nodes' data since a time, a line each.

    Raises:
        ProvisioningError: the engine or a node doesn't respond.
    """
    _same_engine(spec, previous)
    return list(recovery_events.recoveries(deployment_of(spec, previous), since))


def repair(spec: DeploymentSpec, previous: DeploymentState, node: str, *, force: bool, dry: bool) -> Iterator[str]:
    """Repair a damaged node of which no healthy member has a copy, and report it, a line each; see `repairs.repair`.

    Raises:
        ProvisioningError: there is nothing to repair, or too little is left; or the group isn't healthy afterwards.
    """
    _same_engine(spec, previous)
    yield from repairs.repair(deployment_of(spec, previous), node, force=force, dry=dry)


def remove(spec: DeploymentSpec, previous: DeploymentState, *, keep_snapshot: bool) -> None:
    """Remove the deployment with its volumes; with `keep_snapshot`, save its data first.

    Raises:
        ProvisioningError: its data can't be saved, other containers use its volumes, or the engine is another one.
    """
    _same_engine(spec, previous)
    deployment = deployment_of(spec, previous)
    deployment.objects.remove_leftovers()
    deployment.objects.reject_foreign_users()
    if keep_snapshot and (deployment.exists() or deployment.has_all_data()):
        _save_last(deployment, spec.keep_in)
    deployment.down()


def clean_up(left: DockerObjects, engine: str, keep_in: Path | None) -> None:
    """Remove the leftovers of a deployment that the state doesn't have.

    engine: the id of its engine. keep_in: a folder for the data of its nodes, if that is complete.

    Raises:
        ProvisioningError: it can't be removed, or the engine is another one.
    """
    if left.engine.check() != engine:
        raise _other_engine()
    left.remove_leftovers()
    left.reject_foreign_users()
    if keep_in and left.data() and not restore.is_incomplete(left):
        snapshots.archive(left, keep_in, "final")
    left.remove()


def deployment_of(spec: DeploymentSpec, previous: DeploymentState) -> ContainerDeployment:
    """The deployment as it was created or last updated: with the ports and the image of its state."""
    plan = replace(digested(spec.plan, spec.secrets), ports=previous.ports, image=previous.image)
    return ContainerDeployment(spec.engine, plan, spec.secrets)


def _same_engine(spec: DeploymentSpec, previous: DeploymentState | None) -> str:
    engine = spec.engine.check()
    if previous and previous.engine != engine:
        raise _other_engine()
    return engine


def _other_engine() -> EngineError:
    return EngineError(
        "the stack runs on another Docker engine than this one",
        fix="restore DOCKER_HOST or docker.context, or destroy the stack on that engine first",
    )


def _check(spec: DeploymentSpec, previous: DeploymentState | None, image: str) -> tuple[ContainerDeployment, str]:
    """Check a change; return the desired deployment and the version of its servers.

    image: "" for one that isn't on the engine yet, of which only major.minor is known.
    """
    labels = compose.labels(spec.plan.stack, spec.plan.project, VERSION)
    version = images.version(spec.engine, image, labels) if image else spec.version
    _reject_image_version(version, spec)
    deployment = ContainerDeployment(
        spec.engine, _with_ports(replace(spec.plan, image=image), spec, previous), spec.secrets
    )
    deployment.reject_foreign_objects()
    deployment.reject_paused()
    if deployment.has_moved():
        deployment.objects.reject_foreign_users()
    _reject_downgrade(version, deployment, previous)
    if previous is None and spec.restore_from:
        restore.preflight(spec.restore_from, version)
    if spec.secrets.passwords and deployment.exists():
        live_config.reject_insufficient_memory(deployment)
    return deployment, version


def _reject_image_version(version: str, spec: DeploymentSpec) -> None:
    if not f"{version}.".startswith(f"{spec.version}."):
        raise ProvisioningError(
            f"{spec.source.reference} contains Valkey {version}, not {spec.version}",
            fix=f"pulumi config set version {minor_version(version)}, or another docker.image",
        )


def _reject_downgrade(version: str, deployment: ContainerDeployment, previous: DeploymentState | None) -> None:
    """Check servers and volumes too: after an upgrade that was killed, the state has the version before it."""
    written = data_version.newest(deployment, previous.version if previous else "")
    if not written or f"{written}.".startswith(f"{version}.") or parse_version(written) <= parse_version(version):
        return
    newer = minor_version(written)
    raise ProvisioningError(
        f"the data was written by Valkey {written}; {version} is older and may not read it",
        fix=f"pulumi config set version {written if version.startswith(f'{newer}.') else newer}, "
        "or move the data to a new stack",
    )


def _with_ports(plan: DeploymentPlan, spec: DeploymentSpec, previous: DeploymentState | None) -> DeploymentPlan:
    """The plan with the ports of the deployment, or free ones for a new one."""
    ports = previous.ports[: plan.port_count] if previous else ()
    if len(ports) < len(plan.addresses) or spec.first_port not in (0, ports[0]):
        ports = addresses.free_ports(spec.engine, plan.project, plan.bind, plan.port_count, spec.first_port)
    if missing := plan.port_count - len(ports):  # the servers keep the ports that their clients use
        ports += addresses.free_ports(spec.engine, plan.project, plan.bind, missing, lowest=ports[-1] + 1)
    addresses.reject_overlapping_subnet(spec.engine, plan.subnet, plan.project)
    return replace(digested(plan, spec.secrets), ports=ports)


def digested(plan: DeploymentPlan, secrets: Secrets) -> DeploymentPlan:
    """The plan with digests of the secrets that some containers read only at their start."""
    login = secrets.passwords.get(hardening.EXPORTER, "") + secrets.ca  # "" without an exporter, or with an older state
    return replace(
        plan,
        certificate=_digest(secrets.certificate.certificate),
        login=_digest(login),
        bucket=_digest(repr((plan.upload, secrets.bucket))),
    )


def _save_before(deployment: ContainerDeployment, folder: Path, version: str) -> None:
    """Take a snapshot before an upgrade. If no server can, continue: the newer version may be the fix."""
    with contextlib.suppress(ProvisioningError):  # servers that are loading their data respond soon
        deployment.wait()
    try:
        snapshots.take(deployment, folder, f"before-{version}")
    except roles.ShardDownError as problem:
        _LOG.warning("no snapshot before Valkey %s: %s; the data stays in the volumes", version, problem.args[0])


def _save_last(deployment: ContainerDeployment, folder: Path) -> None:
    """Take a snapshot, or archive the servers' files if they don't start."""
    with contextlib.suppress(ProvisioningError):  # servers that were stopped respond again
        deployment.up()
    try:
        snapshots.take(deployment, folder, "final")
    except roles.ShardDownError as problem:
        files = ", ".join(map(str, snapshots.archive(deployment.objects, folder, "final")))
        _LOG.warning("no final snapshot: %s; the data directories are in %s", problem.args[0], files)


def _create(deployment: ContainerDeployment, source: Path | None) -> None:
    fresh = not deployment.has_data()
    try:
        deployment.write_files()
        if source:
            restore.load(deployment, source)
        deployment.up()
    except ProvisioningError:
        if fresh:  # nothing incomplete stays; a volume that had data does
            with contextlib.suppress(ProvisioningError):
                deployment.down()
        raise


def _change(deployment: ContainerDeployment) -> None:
    """Apply live changes; recreate missing and unhealthy containers; restart outdated ones, one by one."""
    if deployment.has_moved():
        _take_down(deployment)
    deployment.write_users()
    live_config.load_users(deployment)  # before a client uses a new password
    deployment.write_files()
    live_config.apply(deployment)
    rolling_restart.recreate_unhealthy(deployment)
    deployment.restart_failed()
    deployment.up()
    rolling_restart.restart(deployment)


def _take_down(deployment: ContainerDeployment) -> None:
    """Remove containers and network: all addresses change at once. Volumes stay.

    Sentinels forget the primary at the previous address, so any node may lead: each must have what the primary has,
    which waits for its replicas when it stops.
    """
    plan = deployment.plan
    if plan.sentinels:
        live = reachable(deployment.executor, plan.nodes)
        leading = [node.name for node in live if replication.role(deployment.executor, node) == "master"]
        for servers in ([sentinel.name for sentinel in plan.sentinels], leading):
            if servers:
                deployment.compose("stop", *servers)
    deployment.compose("down")


def _inspect(deployment: ContainerDeployment, engine: str, version: str) -> DeploymentState:
    plan, executor = deployment.plan, deployment.executor
    names = [node.name for node in plan.nodes]
    directives, acl = {}, {}
    for name in names:
        answers = executor.run_many(name, [("CONFIG", "GET", *live_config.directives(plan)), ("ACL", "LIST")])
        directives[name] = {str(key): str(value) for key, value in answers[0].items()}
        acl[name] = _digest("\n".join(sorted(answers[1])))
    return DeploymentState(
        engine=engine,
        ports=plan.ports,
        image=plan.image,
        version=version,
        primaries=tuple(names.index(name) for name in roles.primaries(executor, plan)),
        directives=directives,
        acl=acl,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
