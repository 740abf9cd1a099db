"""The driver: bring a deployment of containers into a state, look at it, take it down.

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

from infra import hardening
from infra.drivers.binary import parse_version
from infra.drivers.docker import (
    addresses,
    compose,
    data_version,
    events,
    images,
    live_config,
    restore,
    roles,
    rolling_restart,
    snapshots,
)
from infra.drivers.docker import repair as repairs
from infra.drivers.docker.deployment import ContainerDeployment
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.docker.images import ImageSource
from infra.drivers.docker.objects import VERSION, DockerObjects
from infra.drivers.docker.plan import DeploymentPlan, Secrets, port_count
from infra.errors import ProvisioningError, as_preflight_error

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeploymentSpec:
    """What shall be.

    version: major.minor or more, which the image must have.
    plan: without image and ports, which are settled here.
    first_port: of the ports in a row; 0 for free ones.
    restore_from: an RDB file that a new deployment starts with; for a cluster also a folder of them.
    keep_in: a folder on this machine for the snapshots before an upgrade and at the end.
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
    """What is.

    engine: its id. ports, image: those in use. version: the servers'.
    primaries: numbers of data nodes. directives, acl: what the servers report, by node; acl as a digest.
    """

    engine: str
    ports: tuple[int, ...]
    image: str
    version: str
    primaries: tuple[int, ...]
    directives: Mapping[str, Mapping[str, str]]
    acl: Mapping[str, str]


def ensure(spec: DeploymentSpec, known: DeploymentState | None) -> DeploymentState:
    """Make the deployment be as the spec says, with as little disturbance as that takes.

    known: what the last run returned; None for a new deployment.

    Raises:
        ProvisioningError: it can't be had.
    """
    engine = _same_engine(spec, known)
    with as_preflight_error():
        deployment, version = _check(spec, known, images.ensure(spec.engine, spec.source))
    deployment.objects.remove_leftovers()
    if known and known.version != version and deployment.has_data():
        _save_before(deployment, spec.keep_in, version)
    is_new = known is None or not deployment.exists()
    source = restore.prepare(deployment, spec.restore_from) if is_new else None
    if deployment.exists():
        _change(deployment)
    else:
        _create(deployment, source)
    roles.wait_until_whole(deployment.executor, deployment.plan)
    return _inspect(deployment, engine, version)


def preflight(spec: DeploymentSpec, known: DeploymentState | None) -> None:
    """See that `ensure` could do it, as far as that can be known before; nothing is changed, and no image pulled.

    Passwords may be left out of the spec: then the servers aren't asked.

    Raises:
        ProvisioningError: it could not.
    """
    with as_preflight_error():
        _same_engine(spec, known)
        _check(spec, known, images.find(spec.engine, spec.source))


def inspect(spec: DeploymentSpec, known: DeploymentState) -> tuple[DeploymentState | None, list[str]]:
    """How the deployment is now, None where it doesn't answer; and what is wrong with it, a line each.

    Raises:
        ProvisioningError: the engine can't be asked.
    """
    _same_engine(spec, known)
    deployment = _known(spec, known)
    wrong = deployment.wrong()
    try:
        state = _inspect(deployment, known.engine, known.version)
        return state, wrong or list(roles.problems(deployment.executor, deployment.plan))
    except ProvisioningError as problem:
        return None, wrong or [str(problem)]


def snapshot(spec: DeploymentSpec, known: DeploymentState, folder: Path) -> None:
    """Save every primary's data as an RDB file in a folder of this machine.

    Raises:
        ProvisioningError: a server can't save.
    """
    _same_engine(spec, known)
    snapshots.take(_known(spec, known), folder, "backup", replicas=True)


def fail_over(spec: DeploymentSpec, known: DeploymentState) -> None:
    """Make a replica the primary of each shard; no acknowledged write is lost.

    Raises:
        ProvisioningError: the deployment isn't healthy, so nothing was changed; or no replica took over.
    """
    _same_engine(spec, known)
    deployment = _known(spec, known)
    if problems := deployment.wrong() or list(roles.problems(deployment.executor, deployment.plan)):
        raise ProvisioningError(f"nothing was handed over: {'; '.join(problems)}", fix="make up, then again")
    for primary in roles.primaries(deployment.executor, deployment.plan):
        roles.fail_over(deployment.executor, deployment.plan, primary)
    roles.wait_until_whole(deployment.executor, deployment.plan)


def recoveries(spec: DeploymentSpec, known: DeploymentState, since: datetime) -> list[str]:
    """What happened to the data of the nodes since a time, a line each.

    Raises:
        ProvisioningError: the engine or a node doesn't answer.
    """
    _same_engine(spec, known)
    return list(events.recoveries(_known(spec, known), since))


def repair(spec: DeploymentSpec, known: DeploymentState, node: str, *, force: bool, dry: bool) -> Iterator[str]:
    """Repair a damaged node of which no healthy member has a copy, and report it, a line each; see `repairs.repair`.

    Raises:
        ProvisioningError: there is nothing to repair, or too little is left; or the group isn't healthy afterwards.
    """
    _same_engine(spec, known)
    yield from repairs.repair(_known(spec, known), node, force=force, dry=dry)


def remove(spec: DeploymentSpec, known: DeploymentState, *, keep_snapshot: bool) -> None:
    """Take the deployment down with its volumes; with `keep_snapshot`, leave files of its last state.

    Raises:
        ProvisioningError: they can't be had, something else uses its volumes, or the engine is another one.
    """
    _same_engine(spec, known)
    deployment = _known(spec, known)
    deployment.objects.remove_leftovers()
    deployment.objects.reject_foreign_users()
    if keep_snapshot and (deployment.exists() or deployment.has_all_data()):
        _save_last(deployment, spec.keep_in)
    deployment.down()


def clean_up(left: DockerObjects, engine: str, keep_in: Path | None) -> None:
    """Take down what is left of a deployment that is in no state.

    engine: the id of the one that it was made on. keep_in: a folder for the data of its nodes, if they are complete.

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


def _known(spec: DeploymentSpec, known: DeploymentState) -> ContainerDeployment:
    plan = replace(digested(spec.plan, spec.secrets), ports=known.ports, image=known.image)
    return ContainerDeployment(spec.engine, plan, spec.secrets)


def _same_engine(spec: DeploymentSpec, known: DeploymentState | None) -> str:
    engine = spec.engine.check()
    if known and known.engine != engine:
        raise _other_engine()
    return engine


def _other_engine() -> EngineError:
    return EngineError(
        "this is another Docker engine than the one that the stack runs on",
        fix="set DOCKER_HOST or docker.context as they were; or destroy the stack there first",
    )


def _check(spec: DeploymentSpec, known: DeploymentState | None, image: str) -> tuple[ContainerDeployment, str]:
    """The deployment as it shall be, and its servers' version.

    image: "" for one that isn't on the engine yet, so that only its line of versions is known.
    """
    labels = compose.labels(spec.plan.stack, spec.plan.project, VERSION)
    version = images.version(spec.engine, image, labels) if image else spec.version
    _reject_image_version(version, spec)
    deployment = ContainerDeployment(spec.engine, _settle(replace(spec.plan, image=image), spec, known), spec.secrets)
    deployment.reject_foreign_objects()
    _reject_downgrade(version, deployment, known)
    if known is None and spec.restore_from:
        restore.preflight(spec.restore_from, version)
    if spec.secrets.passwords and deployment.exists():
        live_config.reject_insufficient_memory(deployment)
    return deployment, version


def _reject_image_version(version: str, spec: DeploymentSpec) -> None:
    if not f"{version}.".startswith(f"{spec.version}."):
        raise ProvisioningError(
            f"{spec.source.reference} holds Valkey {version}, not {spec.version}",
            fix=f"pulumi config set version {version.rpartition('.')[0]}, or another docker.image",
        )


def _reject_downgrade(version: str, deployment: ContainerDeployment, known: DeploymentState | None) -> None:
    """By what the servers and the volumes have: the state of an upgrade that was killed has the version before it."""
    written = data_version.newest(deployment, known.version if known else "")
    if not written or f"{written}.".startswith(f"{version}.") or parse_version(written) <= parse_version(version):
        return
    newer = ".".join(written.split(".")[:2])
    raise ProvisioningError(
        f"the data was written by Valkey {written}; {version} is older and may not read it",
        fix=f"pulumi config set version {written if version.startswith(f'{newer}.') else newer}, "
        "or move the data to a new stack",
    )


def _settle(plan: DeploymentPlan, spec: DeploymentSpec, known: DeploymentState | None) -> DeploymentPlan:
    """The ports that the deployment has, else free ones."""
    servers, exporters = port_count(plan.topology, plan.shards, plan.replicas), 1 if plan.exporter else 0
    ports = known.ports[: servers + exporters] if known else ()
    if len(ports) < servers or spec.first_port not in (0, ports[0]):
        ports = addresses.free_ports(spec.engine, plan.project, plan.bind, servers + exporters, spec.first_port)
    if len(ports) < servers + exporters:  # the servers stay where their clients know them
        ports += addresses.free_ports(spec.engine, plan.project, plan.bind, exporters, lowest=ports[-1] + 1)
    addresses.reject_overlapping_subnet(spec.engine, plan.subnet, plan.project)
    return replace(digested(plan, spec.secrets), ports=ports)


def digested(plan: DeploymentPlan, secrets: Secrets) -> DeploymentPlan:
    """With digests of what some containers read only when they start."""
    login = secrets.passwords.get(hardening.EXPORTER, "") + secrets.ca  # "": none, or a state that is older
    return replace(
        plan,
        certificate=_digest(secrets.certificate.certificate),
        login=_digest(login),
        bucket=_digest(repr((plan.upload, secrets.bucket))),
    )


def _save_before(deployment: ContainerDeployment, folder: Path, version: str) -> None:
    """A snapshot before an upgrade; where no server can take one, the newer one may be the way out."""
    with contextlib.suppress(ProvisioningError):  # those that read their data respond soon
        deployment.wait()
    try:
        snapshots.take(deployment, folder, f"before-{version}")
    except roles.AwayError as problem:
        _LOG.warning("no snapshot before Valkey %s: %s; the data stays in the volumes", version, problem.args[0])


def _save_last(deployment: ContainerDeployment, folder: Path) -> None:
    """A snapshot, or the files of the servers where they don't start."""
    with contextlib.suppress(ProvisioningError):  # those that were stopped respond again
        deployment.up()
    try:
        snapshots.take(deployment, folder, "final")
    except roles.AwayError as problem:
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
        if fresh:  # nothing half-made stays; a volume that had data does
            with contextlib.suppress(ProvisioningError):
                deployment.down()
        raise


def _change(deployment: ContainerDeployment) -> None:
    """Live what can be; then what is missing comes back; then what must restart does, one by one."""
    deployment.write_users()
    live_config.load_users(deployment)  # before anybody uses a new password
    deployment.write_files()
    live_config.apply(deployment)
    rolling_restart.recreate_unhealthy(deployment)
    deployment.up()
    rolling_restart.restart(deployment)


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
