"""Dynamic provider of container deployments."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
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
from pulumi.runtime.rpc import UNKNOWN

from infra.hardening import ADMIN
from infra.providers import Props, without_traceback

if TYPE_CHECKING:
    from infra.drivers.docker.driver import DeploymentSpec, DeploymentState


class ContainersProvider(ResourceProvider):
    """The containers of a deployment. The driver is imported late: most operations find nothing to do."""

    serialize_as_secret_always = False

    @without_traceback
    def check(self, olds: Props, news: Props) -> CheckResult:
        if olds:  # names that a renamed stack keeps: under others it would find empty volumes
            news = {**news, **{key: olds[key] for key in _KEPT if olds.get(key)}}
        failures = _invalid_changes(olds, news) if olds else []
        if not olds:
            _preflight(news, None)
        return CheckResult(news, [CheckFailure(key, reason) for key, reason in failures])

    @without_traceback
    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        changed = any(olds.get(key) != value for key, value in news.items() if key not in _OUTPUTS)
        if changed:
            _preflight(news, olds)
        return DiffResult(changes=changed or bool(olds.get("drift")), replaces=[])

    @without_traceback
    def create(self, props: Props) -> CreateResult:
        return CreateResult(uuid.uuid4().hex, _ensure(props, None))

    @without_traceback
    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(_ensure(news, _state(olds), olds["passwords"][ADMIN]))

    @without_traceback
    def read(self, resource: str, props: Props) -> ReadResult:
        from infra.drivers.docker import driver

        state, wrong = driver.inspect(_spec(props), _state(props))
        return ReadResult(resource, {**props, "drift": wrong or find_drift(_state(props), state)})

    @without_traceback
    def delete(self, _id: str, props: Props) -> None:
        from infra.drivers.docker import driver

        driver.remove(_spec(props), _state(props), keep_snapshot=bool(props["finalSnapshot"]))


class Containers(Resource, module="valkey", name="Containers"):
    """A deployment of containers. Its inputs are the plain values of `infra.drivers.docker.driver.DeploymentSpec`.

    listens: ports of the data nodes, then of the Sentinels. runs: the version. primaries: numbers of data nodes.
    """

    listens: pulumi.Output[list[int]]
    runs: pulumi.Output[str]
    primaries: pulumi.Output[list[int]]

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(
            additional_secret_outputs=["passwords", "previous", "key", "registryPassword", "backupSecretKey"]
        )
        super().__init__(
            ContainersProvider(),
            name,
            {**props, **dict.fromkeys(_OUTPUTS)},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def snapshot(props: Props, folder: Path) -> None:
    """Save every primary of a deployment into a folder of this machine."""
    from infra.drivers.docker import driver

    driver.snapshot(_spec(props), _state(props), folder)


def fail_over(props: Props) -> None:
    """Fail over each shard of a deployment to a replica."""
    from infra.drivers.docker import driver

    driver.fail_over(_spec(props), _state(props))


def prompt(props: Props, port: int, *, tty: bool) -> list[str]:
    """The command that runs valkey-cli in the container of the node with this port; options can be appended."""
    from infra.drivers.docker import driver

    return driver.prompt(_spec(props), _state(props), port, tty=tty)


def recoveries(props: Props, since: datetime) -> list[str]:
    """Recoveries of the data of a deployment's nodes since a time, a line each."""
    from infra.drivers.docker import driver

    return driver.recoveries(_spec(props), _state(props), since)


def repair(props: Props, node: str, *, force: bool, dry: bool) -> Iterator[str]:
    """Repair a damaged node of a deployment; a line for each problem and step."""
    from infra.drivers.docker import driver

    return driver.repair(_spec(props), _state(props), node, force=force, dry=dry)


_OUTPUTS = ("listens", "runs", "primaries", "engine", "runsImage", "reported", "reportedAcl", "drift")
_KEPT = ("project", "stack")
_NO_SECRETS: Props = {"passwords": {}, "previous": {}, "certificate": "", "key": "", "authority": ""}
_SECRETS = tuple(_NO_SECRETS)


def _ensure(props: Props, previous: DeploymentState | None, login: str = "") -> Props:
    from infra.drivers.docker import driver

    state = driver.ensure(_spec(props, login), previous)
    return {
        **props,
        "listens": list(state.ports),
        "runs": state.version,
        "primaries": list(state.primaries),
        "engine": state.engine,
        "runsImage": state.image,
        "reported": {node: dict(values) for node, values in state.directives.items()},
        "reportedAcl": dict(state.acl),
        "drift": [],
    }


def _preflight(news: Props, olds: Props | None) -> None:
    """Have the driver check a change in advance, in a preview too, where new secrets aren't known yet.

    Secrets are those of the state, which the servers accept.
    """
    from infra.drivers.docker import driver

    secrets = {key: olds[key] for key in _SECRETS if key in olds} if olds else _NO_SECRETS
    inputs = {key: value for key, value in {**news, **secrets}.items() if key not in _OUTPUTS}
    if UNKNOWN not in inputs.values():
        driver.preflight(_spec(inputs), _state(olds) if olds else None)


def _state(props: Props) -> DeploymentState:
    from infra.drivers.docker.driver import DeploymentState

    return DeploymentState(
        engine=props["engine"],
        ports=tuple(int(port) for port in props["listens"]),
        image=props["runsImage"],
        version=props["runs"],
        primaries=tuple(int(number) for number in props["primaries"]),
        directives=props["reported"],
        acl=props["reportedAcl"],
    )


def _spec(props: Props, login: str = "") -> DeploymentSpec:
    from infra.drivers.certificates import CertificatePair
    from infra.drivers.docker.driver import DeploymentSpec
    from infra.drivers.docker.engine import Engine
    from infra.drivers.docker.images import ImageSource
    from infra.drivers.docker.plan import DeploymentPlan, Secrets
    from infra.project import root

    return DeploymentSpec(
        engine=Engine(props["context"]),
        source=ImageSource(
            props["image"],
            props["digest"],
            root() / props["imageFile"] if props["imageFile"] else None,
            props["registryUser"],
            props["registryPassword"],
        ),
        version=props["version"],
        plan=DeploymentPlan.from_props(props),
        secrets=Secrets(
            props["passwords"],
            props["previous"],
            CertificatePair(props["certificate"], props["key"]),
            props["authority"],
            login,
            (props.get("backupAccessKey", ""), props.get("backupSecretKey", "")),
        ),
        keep_in=root() / props["keepIn"],
        first_port=int(props["port"]),
        restore_from=Path(root() / props["restoreFrom"]) if props["restoreFrom"] else None,
    )


def find_drift(expected: DeploymentState, actual: DeploymentState | None) -> list[str]:
    """Differences of the actual from the expected state, which is that after the last update, a line each."""
    if actual is None:
        return ["it does not respond"]
    changed = [
        f"{node}: {name}"
        for node, values in sorted(expected.directives.items())
        for name, value in sorted(values.items())
        if actual.directives.get(node, {}).get(name) != value
    ]
    changed += [f"{node}: users" for node, digest in sorted(expected.acl.items()) if actual.acl.get(node) != digest]
    if set(actual.primaries) != set(expected.primaries):
        changed.append(f"primaries: {', '.join(f'node-{number}' for number in actual.primaries)}")
    return changed


def _invalid_changes(olds: Props, news: Props) -> list[tuple[str, str]]:
    """Changes that are not possible in place."""
    failures = []
    for key in ("topology", "shards", "replicas"):
        if olds[key] != news[key]:
            reason = (
                f"is {olds[key]} and can't become {news[key]} in place -> pulumi config set {key} {olds[key]}, or "
                "create a new stack and move the data: valkeykit migrate"
            )
            failures.append((key, reason))
    if news["restoreFrom"] not in ("", olds["restoreFrom"]):
        reason = "only a new stack can start from a file, this one has data -> pulumi config rm restoreFrom"
        failures.append(("restoreFrom", reason))
    return failures
