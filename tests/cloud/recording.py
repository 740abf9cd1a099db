"""Mocks that record what a program registers, and refuse what a test doesn't know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import resource_pb2

from infra.targets.deployment import TargetDeployment
from infra.targets.identity import Identity

Inputs = dict[str, Any]
SECRET_MARK = "4dabf18193072939515e22adb298388d"
"""The key under which Pulumi's protocol has the kind of a value; mocks receive it for secrets only."""

Answer = Callable[[str, Inputs], Inputs]
"""Of a resource's name and inputs (or a function's token and arguments): the outputs."""


@dataclass(frozen=True)
class Recorded:
    """One registered resource; `kind` is its type token, `secret` the inputs that are or hold a secret."""

    kind: str
    name: str
    inputs: Inputs
    secret: frozenset[str]


@dataclass
class Recorder(Mocks):
    """resources: by type token. calls: by function token. Anything else fails the test."""

    resources: Mapping[str, Answer]
    calls: Mapping[str, Answer] = field(default_factory=dict)
    recorded: list[Recorded] = field(default_factory=list)
    requests: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What the engine is sent for each type and name: inputs and options."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str, Inputs]:
        if args.custom is False:  # of a resource that is read it is None
            return "", args.inputs
        if args.typ not in self.resources:
            raise AssertionError(f"the program registers {args.typ}, which the test doesn't know")
        if any((args.typ, args.name) == (known.kind, known.name) for known in self.recorded):
            raise AssertionError(f"the program registers {args.typ} {args.name} twice, which the engine refuses")
        inputs = clear(args.inputs)
        secret = frozenset(name for name, value in args.inputs.items() if SECRET_MARK in repr(value))
        self.recorded.append(Recorded(args.typ, args.name, inputs, secret))
        return f"{args.name}-id", {**inputs, **self.resources[args.typ](args.name, inputs)}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        if args.token not in self.calls:
            raise AssertionError(f"the program calls {args.token}, which the test doesn't know")
        return self.calls[args.token](args.token, args.args), []

    def of(self, kind: str) -> list[Recorded]:
        """The recorded resources of a type, in the order of their registration."""
        return [resource for resource in self.recorded if resource.kind == kind]

    def names(self) -> list[str]:
        """The types and names of all resources, with those of their parents."""
        requests = [request for request in self.requests.values() if request.type != "pulumi:pulumi:Stack"]
        return sorted(f"{request.type}::{request.name}{_below(request.parent)}" for request in requests)

    def one(self, kind: str) -> Recorded:
        """The only recorded resource of a type."""
        (resource,) = self.of(kind)
        return resource


def _below(parent: str) -> str:
    """The resource itself instead of its URN, which has the types of all that are above it."""
    kind, name = parent.split("::")[2:] if parent else ("pulumi:pulumi:Stack", "")
    return "" if kind == "pulumi:pulumi:Stack" else f" below {kind.rpartition('$')[2]}::{name}"


def clear(value: Any) -> Any:
    """Without Pulumi's marks of secrets, and with integers as such: its own are floats."""
    if isinstance(value, dict):
        return clear(value["value"]) if SECRET_MARK in value else {name: clear(item) for name, item in value.items()}
    if isinstance(value, list):
        return [clear(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Monitor(MockMonitor):
    """Pulumi's own, which reports no support for state migrations; it has no prior state."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        if isinstance(self.mocks, Recorder):
            self.mocks.requests[request.type, request.name] = request
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802
        known = super().GetDeploymentInfo(request)  # type: ignore[no-untyped-call]
        known.supportedFeatures.append(resource_pb2.RESOURCE_MONITOR_FEATURE_STATE_MIGRATIONS)
        return known


def identity(owner: str) -> Identity:
    """Of a stack, project/stack, or of one of several in a stack, project/stack/name."""
    project, stack, *instance = owner.split("/")
    return Identity.of_instance(project, stack, *instance) if instance else Identity.of_stack(project, stack)


def deploy(deployment: TargetDeployment, kind: str) -> pulumi.ComponentResource:
    """Create the resources of a target below a component of this type."""
    component = pulumi.ComponentResource(kind, "valkey", None, deployment.component_options)
    deployment.deploy(component)
    return component


def unknown() -> pulumi.Output[Any]:
    """An output that has no value yet, as in a preview."""
    value, is_known = asyncio.Future[Any](), asyncio.Future[bool]()
    value.set_result(None)
    is_known.set_result(False)
    return pulumi.Output(set(), value, is_known)


def record(recorder: Recorder, program: Callable[[], pulumi.Output[Any] | None], *, preview: bool = False) -> Any:
    """Run a program against the recorder until all is registered; returns its output's value."""
    pulumi.runtime.set_mocks(recorder, project="valkey", stack="test", preview=preview, monitor=Monitor(recorder))
    values: list[Any] = []

    def run() -> pulumi.Output[Any] | None:
        output = program()
        return output.apply(values.append) if output is not None else None

    pulumi.runtime.test(run)()  # type: ignore[no-untyped-call]
    return values[0] if values else None
