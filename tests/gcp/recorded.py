"""The gcp target run against recording mocks."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pulumi
from valkeykit.endpoint import Endpoint

from harness.cloud.config_strategies import Configuration, load
from harness.cloud.gcp import answers
from harness.cloud.gcp.configurations import MINIMAL
from infra.settings import StackSettings
from infra.targets.gcp import GcpDeployment
from tests.cloud.recording import Answer, Inputs, Recorder, deploy, identity, record

INSTANCE = answers.INSTANCE

RESOURCES: Mapping[str, Answer] = {
    **{kind: functools.partial(answers.outputs, kind) for kind in answers.KINDS},
    "pulumi:providers:gcp": lambda _name, _inputs: {},
}


class DeployedGcp:
    """A configuration's recorded resources, its endpoint, its logins and its outputs."""

    def __init__(self, settings: StackSettings, stack: str = "valkey/test") -> None:
        self.settings = settings
        calls = {answers.GET_NETWORK: lambda _token, _arguments: dict[str, Any]()}
        self.recorder = Recorder({**RESOURCES, answers.POLICY: self._policy}, calls)
        self.known: dict[str, Any] = record(self.recorder, lambda: self._program(stack))
        self.endpoint: Endpoint = self.known["endpoint"]
        self.outputs: dict[str, Any] = self.known["outputs"]["gcp"]
        self.users: dict[str, str] = self.known["users"]

    def _policy(self, name: str, inputs: Inputs) -> Inputs:
        """One that is read is the network's, which Google names by its project's number."""
        if "location" in inputs:
            return answers.outputs(answers.POLICY, name, inputs)
        network = self.settings.gcp.network.rpartition("/")[2]
        return {"network": f"projects/123/global/networks/{network}", "serviceClass": "gcp-memorystore"}

    def _program(self, stack: str) -> pulumi.Output[Any]:
        made = GcpDeployment(self.settings, identity(stack))
        deploy(made, "valkey:target:Gcp")
        assert all(login.password is None for login in made.logins.values())
        users = {role: login.user for role, login in made.logins.items()}
        return pulumi.Output.all(endpoint=made.endpoint, users=users, outputs=made.outputs)

    @classmethod
    def of(cls, configuration: Configuration) -> DeployedGcp:
        """Of a configuration that is right; the target and its place are given. It is shared: not to be changed."""
        return _of(frozenset((MINIMAL | configuration).items()))

    def one(self, kind: str) -> Inputs:
        return self.recorder.one(kind).inputs

    def all(self, kind: str) -> dict[str, Inputs]:
        return {resource.name: resource.inputs for resource in self.recorder.of(kind)}


@functools.cache
def _of(configuration: frozenset[tuple[str, str]]) -> DeployedGcp:
    return DeployedGcp(load(dict(configuration)))
