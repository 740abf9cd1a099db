"""Dynamic providers of servers that run as processes of this machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown

from infra.providers import Props, without_traceback

if TYPE_CHECKING:
    from infra.drivers.processes.folder import Ownership, ServerFolder
    from infra.drivers.processes.group import GroupSpec
    from infra.drivers.processes.group_driver import GroupState
    from infra.drivers.processes.running_server import ServerSpec, ServerState


class ServerProvider(ResourceProvider):
    """A server process on this machine. The driver is imported late, as most operations don't need it."""

    serialize_as_secret_always = False

    def check(self, olds: Props, news: Props) -> CheckResult:
        return CheckResult(news, [CheckFailure(key, reason) for key, reason in _invalid_changes(olds, news)])

    @without_traceback
    def diff(self, resource: str, olds: Props, news: Props) -> DiffResult:
        from infra.drivers.processes import server
        from infra.errors import as_preflight_error

        is_changed = _differs(olds, news, _INPUTS)
        if is_changed and _is_known({key: news[key] for key in _BASICS}):
            spec = _spec(resource, _readable(olds, news, "password"), port=int(news["port"] or olds["listens"]))
            with as_preflight_error():
                server.preflight(replace(spec, previous_password=olds["password"]))
        return DiffResult(changes=is_changed, replaces=[])

    @without_traceback
    def create(self, props: Props) -> CreateResult:
        resource = uuid.uuid4().hex
        return CreateResult(resource, _ensure(resource, props, port=int(props["port"])))

    @without_traceback
    def update(self, resource: str, olds: Props, news: Props) -> UpdateResult:
        port = int(news["port"] or olds["listens"])
        return UpdateResult(_ensure(resource, news, port=port, previous_password=olds["password"]))

    @without_traceback
    def read(self, resource: str, props: Props) -> ReadResult:
        from infra.drivers.processes import server

        state = server.inspect(_spec(resource, props, int(props["listens"])))
        return ReadResult(resource, {**props, "drift": _drift(props, state)})

    @without_traceback
    def delete(self, resource: str, props: Props) -> None:
        from infra.drivers.processes import server

        spec = _spec(resource, props, int(props["listens"]))
        server.remove(spec, keep_snapshot=bool(props["finalSnapshot"]))


class Server(Resource, module="valkey", name="Server"):
    """A running valkey-server.

    folder: relative to the project, or absolute.
    port: 0 for the first free one; `listens` is the actual one.
    directives: of valkey.conf. acl: an ACL file. password: the user admin's.
    restoreFrom: an RDB file that a new server starts with, or "".
    """

    listens: pulumi.Output[int]
    runs: pulumi.Output[str]

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"listens": None, "runs": None, "reported": None, "reportedAcl": None, "drift": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["acl", "password"])
        super().__init__(ServerProvider(), name, {**props, **outputs}, pulumi.ResourceOptions.merge(opts, secret))


_INPUTS = ("folder", "stack", "version", "port", "directives", "acl", "password", "finalSnapshot")
_BASICS = ("folder", "stack", "version", "port", "directives", "restoreFrom")
"""Inputs that a preflight check needs, without passwords, which a preview of a rotation doesn't know yet."""


def _differs(olds: Props, news: Props, inputs: Iterable[str]) -> bool:
    """Whether the inputs or the provider have changed, or there is drift."""
    return bool(olds.get("drift")) or any(olds.get(key) != news.get(key) for key in (*inputs, "__provider"))


def _is_known(value: Any) -> bool:
    """Whether a value is completely known, which it isn't in every preview."""
    if isinstance(value, Mapping):
        return all(map(_is_known, value.values()))
    return not isinstance(value, Unknown)


def _readable(olds: Props, news: Props, key: str) -> Props:
    """Inputs for a preflight check; a preview of a rotation doesn't know the next passwords and users yet."""
    return {**news, "acl": "", "sentinelAcl": "", key: news[key] if _is_known(news[key]) else olds[key]}


def _ensure(resource: str, props: Props, port: int, previous_password: str = "") -> Props:
    from infra.drivers.processes import server

    state = server.ensure(replace(_spec(resource, props, port), previous_password=previous_password))
    return {
        **props,
        "listens": state.port,
        "runs": state.version,
        "reported": dict(state.directives),
        "reportedAcl": state.acl,
        "drift": [],
    }


def _spec(resource: str, props: Props, port: int) -> ServerSpec:
    from infra.drivers.processes import folder, running_server
    from infra.project import root

    return running_server.ServerSpec(
        folder=folder.ServerFolder(root() / props["folder"]),
        ownership=folder.Ownership(stack=props["stack"], resource=resource, version=props["version"]),
        port=port,
        directives=props["directives"],
        acl=props["acl"],
        password=props["password"],
        restore_from=Path(props["restoreFrom"]) if props["restoreFrom"] else None,
    )


def _drift(props: Props, state: ServerState | None) -> list[str]:
    """Differences from the state after the last update."""
    if state is None:
        return ["it doesn't run"]
    changed = [name for name, value in sorted(props["reported"].items()) if state.directives.get(name) != value]
    if state.acl != props["reportedAcl"]:
        changed.append("users")
    if state.port != int(props["listens"]):
        changed.append("port")
    return changed


def _invalid_changes(olds: Props, news: Props) -> list[tuple[str, str]]:
    """Changes that would silently leave data behind."""
    failures = []
    if olds and olds["folder"] != news["folder"]:
        reason = f"the data is in {olds['folder']} and would stay there -> pulumi config set dataDir {olds['folder']}"
        failures.append(("dataDir", reason))
    if olds and news["restoreFrom"] not in ("", olds["restoreFrom"]):
        reason = "only a new stack can start from a file, this one has data -> pulumi config rm restoreFrom"
        failures.append(("restoreFrom", reason))
    return failures


class ServerGroupProvider(ResourceProvider):
    """A group of server processes: a primary with replicas and Sentinels, or a cluster."""

    serialize_as_secret_always = False

    def check(self, olds: Props, news: Props) -> CheckResult:
        failures = [*_invalid_changes(olds, news), *_invalid_group_changes(olds, news)]
        return CheckResult(news, [CheckFailure(key, reason) for key, reason in failures])

    @without_traceback
    def diff(self, resource: str, olds: Props, news: Props) -> DiffResult:
        from infra.drivers.processes import group_driver
        from infra.errors import as_preflight_error

        is_changed = _differs(olds, news, _GROUP_INPUTS)
        if is_changed and _is_known({key: news[key] for key in (*_BASICS, "topology", "shards", "replicas")}):
            spec = _group(resource, _readable(olds, news, "passwords"))
            with as_preflight_error():
                group_driver.preflight(replace(spec, previous_password=olds["passwords"]["admin"]))
        return DiffResult(changes=is_changed, replaces=[])

    @without_traceback
    def create(self, props: Props) -> CreateResult:
        resource = uuid.uuid4().hex
        return CreateResult(resource, _ensure_group(resource, props))

    @without_traceback
    def update(self, resource: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(_ensure_group(resource, news, previous_password=olds["passwords"]["admin"]))

    @without_traceback
    def read(self, resource: str, props: Props) -> ReadResult:
        from infra.drivers.processes import group_driver

        state = group_driver.inspect(_group(resource, props))
        return ReadResult(resource, {**props, "listens": list(state.listens), "drift": _group_drift(props, state)})

    @without_traceback
    def delete(self, resource: str, props: Props) -> None:
        from infra.drivers.processes import group_driver

        group_driver.remove(_group(resource, props), keep_snapshot=bool(props["finalSnapshot"]))


class ServerGroup(Resource, module="valkey", name="ServerGroup"):
    """A group of running valkey-servers, as one resource, since the order of changes depends on the primaries.

    folder, directives, acl, restoreFrom: as a Server has them; restoreFrom may be a folder for a cluster.
    port: the first of consecutive ports; 0 for free ones. `listens` are the actual ones, those of primaries first.
    passwords: of the users admin, replica and sentinel.
    """

    listens: pulumi.Output[list[int]]
    sentinels: pulumi.Output[list[int]]
    runs: pulumi.Output[str]

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"listens": None, "sentinels": None, "runs": None, "reported": None, "drift": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["acl", "sentinelAcl", "passwords"])
        super().__init__(ServerGroupProvider(), name, {**props, **outputs}, pulumi.ResourceOptions.merge(opts, secret))


_GROUP_INPUTS = (
    *("folder", "stack", "version", "topology", "shards", "replicas", "directives", "acl", "sentinelAcl"),
    *("passwords", "finalSnapshot"),
)


def _ensure_group(resource: str, props: Props, previous_password: str = "") -> Props:
    from infra.drivers.processes import group_driver

    state = group_driver.ensure(replace(_group(resource, props), previous_password=previous_password))
    return {
        **props,
        "listens": list(state.listens),
        "sentinels": list(state.sentinels),
        "runs": state.version,
        "reported": {name: dict(values) for name, values in state.reported.items()},
        "drift": list(state.problems),
    }


def fail_over(props: Props) -> None:
    """Fail over each shard of a group to a replica."""
    from infra.drivers.processes import group_driver

    group_driver.fail_over(_group("", props))


def repair(props: Props, node: str, *, force: bool, dry: bool) -> Iterator[str]:
    """Repair the data of a server that doesn't run, and report it, a line each.

    props: of a Server or a ServerGroup. force: accept the loss of all of its data. dry: report only.

    Raises:
        ProvisioningError: there is no such node, it runs, or nothing of its data can be loaded.
    """
    from infra.drivers.processes import holdings, server
    from infra.errors import ProvisioningError

    nodes = dict(_group("", props).nodes) if "topology" in props else {"node-0": _spec("", props, int(props["port"]))}
    if node not in nodes:
        raise ProvisioningError(f"{node or 'NODE'} is not a node of the stack", fix=f"NODE={'|'.join(nodes)}")
    spec = nodes[node]
    if dry:
        yield f"{node}: {holdings.read(spec.folder.data)}"
        return
    result = server.repair(spec, force=force)
    if result is None:
        raise ProvisioningError(f"{node} is not damaged", fix="make up")
    yield from (f"{node}: {line}" for line in result.done)
    if result.kept:
        yield f"{node}: its previous files are kept in {result.kept}"


def remove_leftovers(props: Props) -> None:
    """Stop the servers of a stack whose state doesn't have them, and remove their files.

    props: of a Server or a ServerGroup. What was still being restored leaves no snapshot: its source has all of it.
    """
    from infra.drivers.processes import group_driver, server

    if "topology" in props:
        group = _group("", props)
        if owner := _owner_left(group.folder, props):
            group_driver.remove(replace(group, ownership=owner), keep_snapshot=_keeps_snapshot(owner, props))
    else:
        single = _spec("", props, int(props["port"]))
        if owner := _owner_left(single.folder, props):
            server.remove(replace(single, ownership=owner), keep_snapshot=_keeps_snapshot(owner, props))


def _owner_left(folder: ServerFolder, props: Props) -> Ownership | None:
    owner = folder.ownership()
    return owner if owner and owner.stack == props["stack"] else None


def _keeps_snapshot(owner: Ownership, props: Props) -> bool:
    return bool(props["finalSnapshot"]) and not owner.restoring


def _group(resource: str, props: Props) -> GroupSpec:
    from infra.drivers.processes import folder, group
    from infra.project import root

    shards = int(props["shards"])
    return group.GroupSpec(
        folder=folder.ServerFolder(root() / props["folder"]),
        ownership=folder.Ownership(
            props["stack"], resource, props["version"], topology=props["topology"], shards=shards
        ),
        topology=props["topology"],
        shards=shards,
        replicas=int(props["replicas"]),
        port=int(props["port"]),
        directives=props["directives"],
        acl=props["acl"],
        sentinel_acl=props["sentinelAcl"],
        passwords=props["passwords"],
        restore_from=Path(props["restoreFrom"]) if props["restoreFrom"] else None,
    )


def _group_drift(props: Props, state: GroupState) -> list[str]:
    """Problems, and differences from the state after the last update."""
    changed = [
        f"{node}: {name}"
        for node, actual in sorted(state.reported.items())
        for name, value in sorted(props["reported"].get(node, {}).items())
        if actual.get(name) != value
    ]
    return [*state.problems, *changed]


def _invalid_group_changes(olds: Props, news: Props) -> list[tuple[str, str]]:
    """Changes that the servers' addresses or their data don't allow."""
    failures = []
    if olds and int(olds["port"]) != int(news["port"]):
        reason = f"the servers know each other by their ports -> pulumi config set port {int(olds['port'])}"
        failures.append(("port", reason))
    if olds and int(news["replicas"]) < int(olds["replicas"]):
        reason = f"there can only be more of them -> pulumi config set replicas {int(olds['replicas'])}"
        failures.append(("replicas", reason))
    return failures
