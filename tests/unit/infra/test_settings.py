from __future__ import annotations

from typing import Any

import pytest
import yaml
from valkeykit.errors import ConfigurationError

from infra import settings
from infra.settings import loading, validation
from stackctl.stack import PROJECT

INVALID = {
    "target": ("embeded", "embedded"),  # codespell:ignore
    "topology": ("ring", "single"),
    "shards": ("many", "3 or more"),
    "replicas": ("6", "0 to 5"),
    "workload": ("cash", "cache, queue or mixed"),
    "version": ("9", "major.minor"),
    "memory": ("2 gigs", "16mb or more"),
    "environment": ("production", "dev or prod"),
    "port": ("80", "1024 to 65535"),
    "finalSnapshot": ("maybe", "true or false"),
}


def load(**values: str) -> settings.StackSettings:
    return settings.load({f"valkey:{key}": value for key, value in values.items()})


def test_defaults_are_those_that_pulumi_shows() -> None:
    schema: dict[str, Any] = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    assert (
        settings.StackSettings(**{key: entry["default"] for key, entry in schema.items()}) == settings.StackSettings()
    )
    assert {*schema, *validation.TARGET_KEYS} == set(settings.StackSettings.model_fields)
    assert all(len(entry["description"]) > 10 for entry in schema.values())


def test_values_arrive_as_text() -> None:
    wanted = load(memory="2gb", port="7000", finalSnapshot="false", workload="queue")
    assert (wanted.maxmemory, wanted.port, wanted.finalSnapshot) == (2 * 1024**3, 7000, False)


def test_text_of_a_section_that_arrives_as_something_else() -> None:
    """`pulumi config set --path` makes numbers and booleans of what looks like such."""
    docker = load(target="docker", docker='{"registryUser": 7, "registryPassword": 12345678}').docker
    assert (docker.registryUser, docker.registryPassword) == ("7", "12345678")
    tags = load(target="aws", aws='{"region": "eu-central-1", "tags": {"cost": 12, "public": false}}').aws.tags
    assert tags == {"cost": "12", "public": "false"}


def test_other_namespaces_are_left_alone() -> None:
    assert settings.load({"aws:region": "eu-central-1"}) == settings.StackSettings()


def test_a_renamed_project_has_its_keys_in_its_own_namespace() -> None:
    loaded = settings.load({"acme-cache:memory": "64mb", "acme-cache:workload": "queue"}, "acme-cache")
    assert (loaded.memory, loaded.workload) == ("64mb", "queue")
    with pytest.raises(ConfigurationError, match="memry is an unknown key"):
        settings.load({"acme-cache:memry": "64mb"}, "acme-cache")


def test_keys_from_before_a_project_was_renamed_are_rejected() -> None:
    with pytest.raises(ConfigurationError, match="2 configuration errors") as caught:
        settings.load({"valkey:memory": "64mb", "valkey:aws": "{}", "aws:region": "eu-west-1"}, "acme-cache")
    for key in ("memory", "aws"):
        assert f"{key} is not read, since the project is called acme-cache -> rename valkey: to" in str(caught.value)


@pytest.mark.parametrize(("key", "value", "allowed"), [(key, *rest) for key, rest in INVALID.items()])
def test_an_error_has_key_value_expected_values_and_fix(key: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**{key: value})
    text = str(caught.value)
    assert all(part in text for part in (f"  {key} is '{value}'", allowed, f"pulumi config set {key} "))


@pytest.mark.parametrize("key", [key for key in INVALID if key not in ("shards", "replicas")])
def test_the_fix_of_an_error_is_accepted(key: str) -> None:
    example = dict(loading.describe_keys())[key].example
    assert load(**{key: example})


def test_all_errors_are_reported_together() -> None:
    with pytest.raises(ConfigurationError, match=f"{len(INVALID)} configuration errors; nothing was changed") as caught:
        load(**{key: value for key, (value, _) in INVALID.items()})
    assert all(f"  {key} " in str(caught.value) for key in INVALID)


@pytest.mark.parametrize("memory", ["0mb", "15mb", "-1gb", "1.5gb", "1GB ", "lots", "", "1tb", "1gb\n"])
def test_sizes_that_are_none(memory: str) -> None:
    with pytest.raises(ConfigurationError, match="  memory is"):
        load(memory=memory)


@pytest.mark.parametrize("port", ["1023", "65536", "-1", "6379.5", "six"])
def test_ports_that_are_none(port: str) -> None:
    with pytest.raises(ConfigurationError, match="  port is"):
        load(port=port)


def test_an_unknown_key_is_refused_without_its_value() -> None:
    with pytest.raises(ConfigurationError, match=r"  memori is an unknown key \(did you mean memory") as caught:
        load(memori="a-secret")
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "key", "fix"),
    [
        ({"shards": "3"}, "shards", "pulumi config set topology cluster"),
        ({"topology": "cluster", "shards": "2"}, "shards", "pulumi config set shards 3"),
        ({"replicas": "1"}, "replicas", "pulumi config set topology replicated"),
        ({"topology": "replicated", "replicas": "0"}, "replicas", "pulumi config set replicas 2"),
        ({"target": "docker", "dataDir": "/srv"}, "dataDir", "pulumi config rm dataDir"),
    ],
)
def test_keys_that_contradict_each_other(values: dict[str, str], key: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**values)
    assert f"  {key} " in str(caught.value)
    assert fix in str(caught.value)


RENAMED: dict[str, tuple[dict[str, str], str]] = {
    "rotation": ({"rotation": "2026-12"}, "pulumi config set passwordRotation 2026-12 && pulumi config rm rotation"),
    "retired": ({"retired": "a b"}, "pulumi config set completedRotation 'a b' && pulumi config rm retired"),
    "docker.allow": (
        {"target": "docker", "docker": '{"allow": ["192.0.2.0/24", "198.51.100.0/24"]}'},
        (
            "pulumi config set --path docker.allowedCidrs 192.0.2.0/24,198.51.100.0/24"
            " && pulumi config rm --path docker.allow"
        ),
    ),
    "aws.alarmEmails": (
        {"target": "aws", "aws": '{"alarmEmails": "ops@example.org"}'},
        ("pulumi config set --path aws.alertEmails ops@example.org && pulumi config rm --path aws.alarmEmails"),
    ),
}


def test_every_renamed_key_is_tried() -> None:
    assert set(RENAMED) == set(loading.RENAMED_KEYS)
    keys = {key for key, _ in loading.describe_keys()}
    assert set(loading.RENAMED_KEYS.values()) <= keys
    assert not set(loading.RENAMED_KEYS) & keys


@pytest.mark.parametrize("key", RENAMED)
def test_a_renamed_key_is_rejected_with_the_commands_that_rename_it(key: str) -> None:
    values, commands = RENAMED[key]
    with pytest.raises(ConfigurationError) as caught:
        load(**values)
    assert f"  {key} was renamed to {loading.RENAMED_KEYS[key]} -> {commands}" in str(caught.value)


def test_contacts_are_a_map() -> None:
    assert load(contacts='{"down": "#oncall", "full": 42}').contacts == {"down": "#oncall", "full": "42"}
    assert load(contacts="").contacts == load().contacts == {}


def test_contacts_as_one_text_are_rejected_with_the_commands_that_set_the_map() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(contacts="down: on call; disk full: the data team")
    assert str(caught.value).endswith(
        "-> pulumi config rm contacts && pulumi config set --path contacts.down 'on call'"
        " && pulumi config set --path 'contacts[\"disk full\"]' 'the data team'"
    )


def test_every_key_of_a_target_has_a_meaning() -> None:
    assert all(key.meaning for path, key in loading.describe_keys() if "." in path)


def test_a_section_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"  docker is a map"):
        load(target="docker", docker="yes")


def test_an_unknown_key_of_a_section() -> None:
    with pytest.raises(ConfigurationError, match=r"  docker\.imagee is an unknown key.*config rm --path docker"):
        load(target="docker", docker='{"imagee": "x"}')


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("is 1 -> pulumi config set memory 2gb", "is 1 -> pulumi config set memory 2gb --stack web"),
        (
            "pulumi config set docker.names a,b, or nothing",
            "pulumi config set docker.names a,b --stack web, or nothing",
        ),
        ("pulumi config rm aws.kmsKey && make", "pulumi config rm aws.kmsKey --stack web && make"),
        ("pulumi config rm --path docker.bind", "pulumi config rm --path docker.bind --stack web"),
        ("pulumi config set --secret docker.a", "pulumi config set --secret docker.a --stack web"),
        ("pulumi config set --secret --path docker.a; x", "pulumi config set --secret --path docker.a --stack web; x"),
        ("pulumi config set dataDir <a folder of yours>", "pulumi config set dataDir <a folder of yours> --stack web"),
        ("(pulumi config set port 6380)", "(pulumi config set port 6380 --stack web)"),
        (
            "pulumi config set --path 'contacts[\"a b\"]' 'c d'",
            "pulumi config set --path 'contacts[\"a b\"]' 'c d' --stack web",
        ),
    ],
)
def test_the_commands_of_a_text_name_the_stack(text: str, named: str) -> None:
    assert settings.name_stack(text, "web") == named


def test_the_fixes_of_all_errors_name_the_stack() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(target="embeded", memory="2 gigs", worklaod="queue", port="80")  # codespell:ignore
    text = settings.name_stack(str(caught.value), "web")
    assert text.count("pulumi config") == text.count("--stack web") == 4
