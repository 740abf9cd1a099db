"""The component, with recorded resources instead of servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import pulumi
import pytest
from valkeykit.errors import ConfigurationError

from infra import settings
from infra.arguments import ValkeyArgs, name_arguments
from infra.component import StackValkey, Valkey
from infra.output_arguments import PLACEHOLDERS
from infra.section_arguments import DockerArgs
from infra.settings import StackSettings
from infra.targets.deployment import record_rotation
from tests.cloud import URNS
from tests.cloud.recording import Answer, Recorder, record

DYNAMIC = "pulumi-python:dynamic/valkey:"

RESOURCES: Mapping[str, Answer] = {
    f"{DYNAMIC}Password": lambda name, _inputs: {"value": f"secretOf{name}".replace("-", ""), "previous": ""},
    f"{DYNAMIC}Rotation": lambda _name, _inputs: {"loaded": ""},
    f"{DYNAMIC}Authority": lambda _name, _inputs: {"certificate": "c", "key": "k", "bundle": "b"},
    f"{DYNAMIC}Certificate": lambda _name, _inputs: {"certificate": "c", "key": "k"},
    f"{DYNAMIC}Cleanup": lambda _name, _inputs: {},
    f"{DYNAMIC}ProcessCleanup": lambda _name, _inputs: {},
    f"{DYNAMIC}Server": lambda _name, inputs: {"listens": inputs["port"] or 6379, "runs": "9.1.2"},
    f"{DYNAMIC}ServerGroup": lambda _name, _inputs: {"listens": [6379], "sentinels": [], "runs": "9.1.2"},
    f"{DYNAMIC}Containers": lambda _name, _inputs: {"listens": [6379] * 6, "primaries": [0], "runs": "9.1.2"},
}

EXISTING: dict[str, list[str]] = json.loads((URNS / "self_hosted.json").read_text())
"""The resources of stacks from before the component could be used in other programs, by target and topology."""


@pytest.fixture(autouse=True)
def _without_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.targets.embedded.preflight", lambda *_: None)
    monkeypatch.setattr("infra.targets.docker.preflight.check", lambda _: None)


def run(program: Callable[[], pulumi.Output[Any] | None]) -> tuple[Recorder, Any]:
    recorder = Recorder(RESOURCES)
    return recorder, record(recorder, program)


@pytest.mark.parametrize("case", EXISTING)
def test_a_stack_keeps_its_resources(case: str) -> None:
    target, topology = case.split()
    stack_settings = settings.load({"valkey:target": target, "valkey:topology": topology})

    def program() -> None:
        valkey = StackValkey(stack_settings)
        record_rotation(valkey, valkey.logins, stack_settings)

    assert run(program)[0].names() == EXISTING[case]


def test_several_instances_in_one_program() -> None:
    """The recorder, like the engine, rejects two resources with one name."""

    def program() -> pulumi.Output[Any]:
        cache = Valkey("cache", ValkeyArgs(workload="cache", port=6380))
        queue = Valkey("queue", ValkeyArgs(workload="queue", port=6381))
        remote = Valkey("remote", ValkeyArgs(target="docker", topology="replicated"))
        return pulumi.Output.all(cache.url, queue.url, cache.endpoint, remote.endpoint, queue.env)

    recorder, (cache_url, queue_url, cache, remote, variables) = run(program)
    assert cache_url == "redis://app:secretOfcacheapp@127.0.0.1:6380/0"
    assert queue_url == "redis://app:secretOfqueueapp@127.0.0.1:6381/0"
    assert (cache["workload"], remote["target"]) == ("cache", "docker")
    assert variables["VALKEY_URL"] == queue_url
    folders = sorted(resource.inputs["folder"] for resource in recorder.of(f"{DYNAMIC}Server"))
    assert folders == [".valkey/test/cache", ".valkey/test/queue"]
    containers = recorder.one(f"{DYNAMIC}Containers").inputs
    assert (containers["project"], containers["stack"]) == ("valkey-test-remote", "valkey/test/remote")
    assert f"{DYNAMIC}Server::cache-server below valkey:index:Valkey::cache" in recorder.names()


def test_the_callers_options_are_those_of_every_resource() -> None:
    def program() -> None:
        parent = pulumi.ComponentResource("my:platform:Service", "shop")
        Valkey("cache", opts=pulumi.ResourceOptions(parent=parent, protect=True))

    recorder = run(program)[0]
    assert "valkey:index:Valkey::cache below my:platform:Service::shop" in recorder.names()
    requests = recorder.requests.values()
    assert {request.name for request in requests if request.protect} == {
        *("cache", "cache-cleanup", "cache-server", "cache-app", "cache-admin", "cache-monitor")
    }


def test_secrets_may_be_outputs() -> None:
    """As those of a program's configuration are."""
    secrets = {key.removeprefix("docker."): f"my-{key}" for key in PLACEHOLDERS if key.startswith("docker.")}
    plain = {"registryUser": "deploy", "backupUrl": "s3://backups/valkey", "backupEvery": 24}

    def program() -> None:
        outputs = {key: pulumi.Output.secret(value) for key, value in secrets.items()}
        Valkey("cache", ValkeyArgs(target="docker", docker=cast(DockerArgs, plain | outputs)))

    containers = run(program)[0].one(f"{DYNAMIC}Containers")
    assert {key: containers.inputs[key] for key in secrets} == secrets
    assert containers.secret >= secrets.keys()
    assert "0badc0de" not in str(containers)


def error_of(*declared: tuple[str, ValkeyArgs]) -> str:
    """The error of a program, of whose last instance no resource was registered."""
    names = [name for name, _ in declared]

    def program() -> None:
        for name, args in declared:
            Valkey(name, args)

    recorder = Recorder(RESOURCES)
    with pytest.raises(pulumi.RunError) as error:
        record(recorder, program)
    assert [kind for kind, name in recorder.requests if name == names[-1]] == ["valkey:index:Valkey"] * (
        names.count(names[-1]) - 1
    )
    return str(error.value)


def test_all_invalid_arguments_are_reported_together() -> None:
    docker: DockerArgs = {"bind": "127.0.0.1", "bnid": "x"}  # type: ignore[typeddict-unknown-key]  # mypy reports it
    found = error_of(("cache", ValkeyArgs(memory="2 gigs", port=80, docker=docker)))
    assert found.startswith("Valkey 'cache': 3 configuration errors; nothing was changed:\n")
    with pytest.raises(ConfigurationError) as configured:
        settings.load(
            {"valkey:memory": "2 gigs", "valkey:port": "80", "valkey:docker": '{"bind": "127.0.0.1", "bnid": "x"}'}
        )
    reasons = [line.partition(" -> ")[0].replace("'80'", "80") for line in str(configured.value).splitlines()[1:]]
    assert [line.partition(" -> ")[0] for line in found.splitlines()[1:]] == reasons
    assert "-> set memory to 512mb" in found
    assert "pulumi config" not in found


REJECTED: dict[str, tuple[list[tuple[str, ValkeyArgs]], str]] = {
    "a name that no folder has": ([("a/b", ValkeyArgs())], "the name is invalid -> use up to 40 letters"),
    "one name": ([("a", ValkeyArgs()), ("a", ValkeyArgs())], "another Valkey of this stack has this name"),
    "one port": ([("a", ValkeyArgs(port=7000)), ("b", ValkeyArgs(port=7000))], "port is 7000, as that of Valkey 'a'"),
    "one folder": (
        [("a", ValkeyArgs(data_dir="data")), ("b", ValkeyArgs(data_dir="data"))],
        "dataDir is data, as that of Valkey 'a' -> set another dataDir",
    ),
    "a value that is known later": (
        [("a", ValkeyArgs(docker=cast(DockerArgs, {"host": pulumi.Output.from_input("db")}), target="docker"))],
        "docker.host: an Output, expected a plain value",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected(case: str) -> None:
    declared, expected = REJECTED[case]
    assert expected in error_of(*declared)


def test_there_is_an_argument_for_each_key() -> None:
    words = [name.split("_") for name in ValkeyArgs.__dataclass_fields__]
    keys = {first + "".join(map(str.capitalize, rest)) for first, *rest in words}
    assert keys == set(StackSettings.model_fields) - {"contacts"}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("pulumi config set memory 512mb", "set memory to 512mb"),
        ("pulumi config set --path docker.bind <an address>", "set docker.bind to <an address>"),
        ("pulumi config set --secret --path docker.backupSecretKey", "set docker.backupSecretKey"),
        ("stop it, or pulumi config rm restoreFrom", "stop it, or leave out restoreFrom"),
        ("pulumi config rm --path docker.certificate", "leave out docker.certificate"),
        ("make sdk CLOUD=aws", "pip install pulumi-aws"),
    ],
)
def test_commands_in_errors_become_arguments(command: str, expected: str) -> None:
    assert name_arguments(f"  key is wrong -> {command}") == f"  key is wrong -> {expected}"


@pytest.mark.parametrize("grant", ["allow_security_group", "attach_connect_policy"])
def test_targets_without_grants_reject_them(grant: str) -> None:
    def program() -> None:
        getattr(Valkey("cache"), grant)("web", "web")

    with pytest.raises(pulumi.RunError, match="Valkey 'cache': only the target aws has grants -> remove the grant"):
        record(Recorder(RESOURCES), program)
