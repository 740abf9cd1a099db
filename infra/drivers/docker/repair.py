"""Repair of a damaged node that can't copy its data from another one.

The repair creates new files next to the previous ones and has a server load them. Only then it sets the previous files
aside and puts the new ones in their place. A repair that was killed can be run again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from valkeykit.version_numbers import parse_version

from infra.drivers.docker import aof, lost_slots, reasons, repair_container, roles, surviving_copies
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.container_executor import WrongPasswordError
from infra.drivers.docker.engine import EngineError
from infra.drivers.docker.repair_container import DATA, FOLDER, NEW, RecordedPosition, RecordedRole, RepairContainer
from infra.drivers.topology import nodesconf
from infra.drivers.topology.node_executor import (
    RESPONSE_TIMEOUT_SECONDS,
    CommandRejectedError,
    NodeAddress,
    NotRespondingError,
)
from infra.errors import ProvisioningError

_EMPTY = ("its data directory is empty",)
_UNREADABLE = "unreadable: "
_INTERRUPTED = ("its repair of ", " was interrupted")

RecoverySource = Literal["files", "dump", "empty"]


@dataclass(frozen=True)
class DamageReport:
    """The problems of a volume, and the source of its new files.

    problems: a sentence each. source: the append-only files, dump.rdb, or nothing.
    files: those to keep, with the number of sound bytes of damaged ones. lost: bytes that can't be kept.
    needs_force: all data of the append-only files is lost. nodes_conf: a new one, or "".
    """

    problems: tuple[str, ...]
    source: RecoverySource
    files: tuple[tuple[aof.AofFile, int | None], ...] = ()
    lost: int = 0
    needs_force: bool = False
    nodes_conf: str = ""


def repair(deployment: ContainerDeployment, name: str, *, force: bool, dry: bool) -> Iterator[str]:
    """Repair a node, and report problems and losses, a line each.

    force: accept the loss of all of its data. dry: report only.

    Raises:
        ProvisioningError: there is nothing to repair, another member has more data, or too little is left, so nothing
            was changed; or the group isn't healthy after the repair.
    """
    node = _node(deployment, name)
    if loss := lost_slots.find(deployment, node):
        yield from lost_slots.accept(deployment, node, loss, force=force, dry=dry)
    else:
        _reject_healthy(deployment, node)
        _reject_other_fix(deployment, node)
        damaged = surviving_copies.damaged(deployment, node, force=force)
        for other, reason in damaged.items():
            yield f"{other} is damaged too ({reason}); it copies the data of {name} once {name} serves"
        yield from (_preview if dry else _carry_out)(deployment, node, () if force else tuple(damaged), force=force)
    if not dry:
        _wait_until_healthy(deployment, node)
        yield f"{name} serves again, and the group is healthy"


def _node(deployment: ContainerDeployment, name: str) -> NodeAddress:
    for node in deployment.plan.nodes:
        if node.name == name:
            return node
    names = ", ".join(node.name for node in deployment.plan.nodes)
    raise ProvisioningError(f"{name or 'NODE'} is not a data node of the stack", fix=f"NODE=<one of {names}>")


def _reject_healthy(deployment: ContainerDeployment, node: NodeAddress) -> None:
    """Raises ProvisioningError if the node serves, loads its data, or hangs, which is no damage."""
    container, before = deployment.container(node.name), _server(deployment, node)
    begin = time.monotonic()
    try:
        deployment.executor.run(node.name, "PING")
    except WrongPasswordError:
        raise
    except CommandRejectedError as problem:
        if "LOADING" in str(problem):
            raise ProvisioningError(f"{node.name} is still loading its data", fix="wait, then make up") from None
    except NotRespondingError:
        waited = (
            time.monotonic() - begin >= RESPONSE_TIMEOUT_SECONDS
        )  # a server that restarts rejects the connection at once
        if waited and before and before == _server(deployment, node):
            raise ProvisioningError(
                f"{node.name} runs, but does not respond", fix=f"docker restart {container}, then make up"
            ) from None
    else:
        raise ProvisioningError(f"{node.name} runs and responds, so there is nothing to repair", fix="make up")


def _reject_other_fix(deployment: ContainerDeployment, node: NodeAddress) -> None:
    """Raises ProvisioningError if no repair helps, but what its start script reports: the volume isn't the node's, or
    can't be written. Data of a newer version may be readable.
    """
    reason = deployment.reason(node.name)
    if reason and reason.fix and not reason.fix.startswith("make repair") and reasons.NEWER not in reason.text:
        raise ProvisioningError(f"{node.name} can't be repaired: {reason.text}", fix=reason.fix)


def _server(deployment: ContainerDeployment, node: NodeAddress) -> str:
    """The server's process in the node's container."""
    try:
        return deployment.engine.docker("exec", deployment.container(node.name), "pidof", "valkey-server").strip()
    except EngineError:
        return ""


def _preview(
    deployment: ContainerDeployment, node: NodeAddress, damaged: Sequence[str], *, force: bool
) -> Iterator[str]:
    with repair_container.open_repair_container(deployment, node.name) as volume:
        if _interrupted(volume):
            yield f"{node.name}: a repair was interrupted and would be completed"
            return
        try:
            yield from _prepare(deployment, node, volume, damaged, force=force)
        finally:
            volume.run("rm", "-rf", NEW)


def _carry_out(
    deployment: ContainerDeployment, node: NodeAddress, damaged: Sequence[str], *, force: bool
) -> Iterator[str]:
    deployment.compose("stop", node.name)
    try:
        with repair_container.open_repair_container(deployment, node.name) as volume:
            moment = _interrupted(volume)
            if not moment:
                moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
                yield from _prepare(deployment, node, volume, damaged, force=force)
            volume.step("set-aside", moment)
            volume.step("put-in-place")
            name = deployment.volume(node.name)
            yield f"the previous files are in {DATA}/before-repair-{moment} of the volume {name}"
    finally:
        deployment.compose("up", "--detach", "--no-deps", "--no-recreate", node.name)


def _interrupted(volume: RepairContainer) -> str:
    """The time of an interrupted repair whose new files are complete, but not in place."""
    before, after = _INTERRUPTED
    text = volume.read(f"{DATA}/damage").strip()
    return text[len(before) : -len(after)] if text.startswith(before) and text.endswith(after) else ""


def examine(deployment: ContainerDeployment, node: NodeAddress, volume: RepairContainer) -> DamageReport:
    """Find the problems of a volume.

    Raises:
        ProvisioningError: it belongs to another stack or node, or no other node knows this node's id.
    """
    position = RecordedPosition.parse(volume.read(f"{DATA}/position"))
    if position and position.project != deployment.plan.project:
        raise ProvisioningError(
            f"the volume of {node.name} has data of {position.project}",
            fix=f"give {node.name} its own volume, or remove {DATA}/position",
        )
    if other := _swapped_with(deployment, node, volume):
        raise ProvisioningError(
            f"the nodes.conf of {node.name} is that of {other}",
            fix=f"give {node.name} its own volume; or, if only this file was copied, remove {DATA}/nodes.conf from it",
        )
    report = _examine_files(volume, position)
    if deployment.plan.topology == "cluster" and report.problems != _EMPTY:
        report = _with_nodes_conf(deployment, node, volume, report)
    return report


def _examine_files(volume: RepairContainer, position: RecordedPosition | None) -> DamageReport:
    names = volume.names(FOLDER)
    rest = _rest(volume)
    files = aof.parse(volume.read(f"{FOLDER}/{aof.MANIFEST}"))
    problems = []
    if not files:
        files = aof.rebuild(names)
        if files:
            problems.append(f"{aof.MANIFEST} is missing or damaged, but the files that it named are there")
        elif rest == "dump":
            return DamageReport(("there is a dump.rdb, but no append-only file",), "dump")
        else:
            return DamageReport(_EMPTY, "empty", needs_force=True)
    problems += [f"the append-only file {file.name} is missing" for file in files if file.name not in names]
    kept, lost = [], 0
    for file in (file for file in files if file.name in names):
        problem, sound = volume.check(file)
        problems += [problem] if problem else []
        if problem and sound is None:
            return DamageReport(tuple(problems), rest, needs_force=True)
        kept.append((file, sound if problem else None))
        lost += volume.size(f"{FOLDER}/{file.name}") - (sound or 0) if problem else 0
    if not kept:
        return DamageReport(tuple(problems), rest, needs_force=True)
    if position and _is_newer(position.version, volume.version()):
        problems.append(f"its data was written by Valkey {position.version}, {reasons.NEWER} than {volume.version()}")
    if not problems:
        problems += _shortage(volume, files, position)
    if not problems and position is None:
        problems.append("it has no record of its position, so it waits for the other members")
    return DamageReport(tuple(problems), "files", tuple(kept), lost)


def _is_newer(writer: str, server: str) -> bool:
    return bool(writer and server) and parse_version(writer)[:2] > parse_version(server)[:2]


def _rest(volume: RepairContainer) -> RecoverySource:
    """The source that is left without the append-only files."""
    return "dump" if "dump.rdb" in volume.names(DATA) else "empty"


def _shortage(volume: RepairContainer, files: Sequence[aof.AofFile], position: RecordedPosition | None) -> list[str]:
    """Data that sound files have lost, or a recorded damage that is no longer present."""
    last = files[-1]
    *earlier, size = (volume.size(f"{FOLDER}/{file.name}") for file in files)
    if position and position.base == files[0].name and sum(earlier) < position.earlier:
        return [f"the append-only files before {last.name} have {sum(earlier)} bytes, but had {position.earlier}"]
    if position and position.file == last.name and size < position.durable:
        return [f"{last.name} has {size} bytes, but had {position.durable}"]
    if position and (match := aof.number(position.file)) and match > aof.number(last.name):
        return [f"{last.name} is older than {position.file}, which was written last"]
    noted = volume.read(f"{DATA}/damage").strip()
    return [f"{noted} (at its last start; the remaining files are sound)"] if noted else []


def _swapped_with(deployment: ContainerDeployment, node: NodeAddress, volume: RepairContainer) -> str:
    """The member whose address is in the node's nodes.conf; "" if it is the node's own."""
    view = nodesconf.parse(volume.read(f"{DATA}/nodes.conf"))
    host = view.own.address.rpartition(":")[0] if view else node.host
    return next((other.name for other in deployment.plan.nodes if host == other.host != node.host), "")


def _with_nodes_conf(
    deployment: ContainerDeployment, node: NodeAddress, volume: RepairContainer, report: DamageReport
) -> DamageReport:
    if nodesconf.parse(volume.read(f"{DATA}/nodes.conf")):
        return report
    others = surviving_copies.nodes_confs(deployment, node)
    identity = nodesconf.identity(others, node.host)
    if not identity:
        raise ProvisioningError(
            f"the nodes.conf of {node.name} is lost or damaged, and no other node that runs knows its id",
            fix="make up, or, if every node has lost its nodes.conf, see docs/operations/repair.md",
        )
    knowing = [view for view in others if identity in view.text]
    other = max(knowing, key=lambda view: sum(len(entry.slots) for entry in view.nodes))  # a new node knows less
    problem = f"its nodes.conf is lost or damaged; the other nodes know it as {identity}"
    return replace(report, problems=(*report.problems, problem), nodes_conf=nodesconf.rebuilt(other, identity))


def _prepare(
    deployment: ContainerDeployment, node: NodeAddress, volume: RepairContainer, damaged: Sequence[str], *, force: bool
) -> Iterator[str]:
    """Find the problems, create new files, have a server load them, and report losses.

    damaged: other members that may have more data than this one.

    Raises:
        ProvisioningError: there is no problem, or all data is lost and that isn't accepted.
    """
    report = examine(deployment, node, volume)
    before = RecordedPosition.parse(volume.read(f"{DATA}/position"))
    for problem in report.problems:
        yield f"{node.name}: {problem}"
    _reject_data_loss(deployment, node, report, damaged, force=force)
    try:
        keys = _build(volume, report)
    except EngineError as failure:
        cause = failure.args[0].removeprefix(_UNREADABLE)
        if cause == failure.args[0]:
            raise
        problem = f"a server can't load the remaining files: {cause}"
        rest = "empty" if report.source == "dump" else _rest(volume)
        report = DamageReport((*report.problems, problem), rest, needs_force=True, nodes_conf=report.nodes_conf)
        yield f"{node.name}: {problem}"
        _reject_data_loss(deployment, node, report, damaged, force=force)
        keys = _build(volume, report)
    if not report.problems:
        container = deployment.container(node.name)
        raise ProvisioningError(f"the files of {node.name} have no problem", fix=f"docker logs {container}")
    _write_position(deployment, volume, before or RecordedPosition(), keys)
    if report.nodes_conf:
        volume.write(f"{NEW}/nodes.conf", report.nodes_conf)
    yield _loss(report, before, keys)


def _reject_data_loss(
    deployment: ContainerDeployment, node: NodeAddress, report: DamageReport, damaged: Sequence[str], *, force: bool
) -> None:
    if force or not report.needs_force:
        return
    stack = deployment.plan.stack_name
    first = "".join(f"make repair STACK={stack} NODE={name}, which may have more; or " for name in damaged)
    left = "its older dump.rdb" if report.source == "dump" else "an empty node"
    newer = any(reasons.NEWER in problem for problem in report.problems)
    rescue = (
        f"pulumi config set version <the one that wrote it>, then make up STACK={stack}"
        if newer
        else f"restore the newest backup: make restore STACK={stack} INTO=<new stack>"
    )
    raise ProvisioningError(
        f"{node.name} can't be repaired: {'; '.join(report.problems)}",
        fix=f"{first}{rescue}; or accept {left}: make repair STACK={stack} NODE={node.name} FORCE=1",
    )


def _build(volume: RepairContainer, report: DamageReport) -> int:
    """Create the new files; return the number of keys that a server loads from them."""
    volume.run("rm", "-rf", NEW)
    volume.run("mkdir", NEW)
    if report.source == "files":
        _copy(volume, report.files)
    return int(volume.step("build", report.source))


def _loss(report: DamageReport, before: RecordedPosition | None, keys: int) -> str:
    text = f"{keys} keys are left"
    if before and before.seen > 1:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(before.seen))
        text += f" of the {before.keys} that it had at {moment} UTC"
    return f"{text}; {report.lost} bytes of the append-only files are lost" if report.source == "files" else text


def _copy(volume: RepairContainer, files: Sequence[tuple[aof.AofFile, int | None]]) -> None:
    """Link unchanged files, and copy the last one and truncated ones."""
    folder = f"{NEW}/appendonlydir"
    volume.run("mkdir", folder)
    for file, sound in files:
        is_changed = sound is not None or file is files[-1][0]
        volume.run("cp", "-p" if is_changed else "-lp", f"{FOLDER}/{file.name}", f"{folder}/{file.name}")
        if sound is not None:
            volume.run("sh", "-c", 'yes | valkey-check-aof --fix "$1"', "sh", f"{folder}/{file.name}")
    volume.write(f"{folder}/{aof.MANIFEST}", aof.render([file for file, _ in files]))


def _write_position(
    deployment: ContainerDeployment, volume: RepairContainer, before: RecordedPosition, keys: int
) -> None:
    """Write a position, with which the node may serve even if the others are down."""
    folder = f"{NEW}/appendonlydir"
    last = aof.parse(volume.read(f"{folder}/{aof.MANIFEST}"))[-1].name
    size = volume.size(f"{folder}/{last}")
    role: RecordedRole = "master" if before.role == "stopped" else before.role
    position = replace(before, project=deployment.plan.project, role=role, file=last, size=size, durable=size)
    volume.write(f"{NEW}/position", f"{replace(position, keys=keys, version='', base='', earlier=0)}\n")


def _wait_until_healthy(deployment: ContainerDeployment, node: NodeAddress) -> None:
    try:
        deployment.up()
        roles.wait_until_healthy(deployment.executor, deployment.plan)
    except ProvisioningError as problem:
        raise ProvisioningError(
            f"{node.name} was repaired, but the group isn't healthy: {problem.args[0]}", fix=problem.fix
        ) from None
