"""The parameter groups: the hardening, and what `parameters` adds."""

from __future__ import annotations

import pytest
from valkeykit.errors import ConfigurationError

from harness.cloud.aws.configurations import MINIMAL, TOPOLOGIES
from harness.cloud.config_strategies import Configuration, apply_fixes, load
from infra.settings.aws.catalogue import FAMILIES
from infra.settings.aws.parameters import RESERVED, supported
from infra.targets.aws.parameters import fixed_changes, render
from tests.aws.recorded import DeployedAws

GROUP = "aws:elasticache/parameterGroup:ParameterGroup"
CLUSTER = {"topology": "cluster"}

OURS = {"cluster-enabled", RESERVED}
"""Parameters that only the program sets."""


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize("topology", sorted(set(TOPOLOGIES) - {"serverless"}))
def test_every_parameter_exists_in_its_family(version: str, topology: str) -> None:
    deployed = DeployedAws.of(TOPOLOGIES[topology] | {"version": version, "aws.durability": ""})
    for group in deployed.all(GROUP).values():
        values = {parameter["name"]: parameter["value"] for parameter in group["parameters"]}
        known = supported(group["family"])
        assert all(known[name].accepts(value) for name, value in values.items() if name not in OURS)


def test_parameters_are_added_to_the_group() -> None:
    settings = {"parameters.timeout": "300", "parameters.notify-keyspace-events": "Ex"}
    rendered = render(load(MINIMAL | settings), "valkey9")
    assert (rendered["timeout"], rendered["notify-keyspace-events"]) == ("300", "Ex")
    assert rendered["maxmemory-policy"] == "volatile-lru"


def test_a_parameter_of_one_family_is_left_out_of_the_groups_of_others() -> None:
    settings = load(MINIMAL | CLUSTER | {"parameters.cluster-databases": "16"})
    assert render(settings, "valkey9")["cluster-databases"] == "16"
    assert "cluster-databases" not in render(settings, "valkey8")


@pytest.mark.parametrize(
    "accepted",
    [
        {"parameters.slowlog-max-len": "64", "allowWeaker": "slowlog-max-len"},
        {"parameters.acl-pubsub-default": "allchannels", "allowWeaker": "acl-pubsub-default"},
        {"parameters.maxmemory-policy": "volatile-lfu"},
        {"parameters.tcp-keepalive": "300"},
        {"parameters.timeout": "0"},
        {"parameters.databases": "32"},
        {"parameters.commandlog-large-reply-max-len": "0", "version": "8.1"},
        {"parameters.lazyfree-lazy-expire": "yes", "version": "7.2"},
    ],
    ids=str,
)
def test_what_elasticache_accepts_is_accepted(accepted: Configuration) -> None:
    settings = load(MINIMAL | accepted)
    assert settings.parameters.items() <= render(settings, FAMILIES[settings.version]).items()


UNKNOWN = "is not a parameter of Valkey 9.1 on ElastiCache with topology single that can be set"


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ({"parameters": "maxmemory=1gb"}, UNKNOWN),
        ({"parameters": "appendonly=yes"}, UNKNOWN),
        ({"parameters": "maxclients=100"}, UNKNOWN),
        ({"parameters": "requirepass=secret"}, UNKNOWN),
        ({"parameters": "cluster-enabled=yes"}, UNKNOWN),
        ({"parameters": "save=900 1"}, UNKNOWN),
        ({"parameters": "lazyfree-lazy-expire=yes"}, UNKNOWN),
        ({"parameters": "reserved-memory-percent=0"}, UNKNOWN),
        ({"parameters": "rename-commands=FLUSHALL"}, UNKNOWN),
        ({"parameters": "Timeout=300"}, UNKNOWN),
        ({"parameters": "cluster-databases=16"}, UNKNOWN),
        ({"parameters": "cluster-databases=16", "version": "8.1", **CLUSTER}, "of Valkey 8.1 on ElastiCache"),
        ({"parameters": "commandlog-large-reply-max-len=1", "version": "8.0"}, "of Valkey 8.0 on ElastiCache"),
        ({"parameters": "databases=32", **CLUSTER}, "with topology cluster that can be set"),
        ({"parameters": "timeout=10"}, "is '10', expected 0 or a whole number from 20"),
        ({"parameters": "timeout=soon"}, "is 'soon', expected 0 or a whole number"),
        ({"parameters": "hash-max-listpack-entries="}, "is '', expected a whole number of at least 0"),
        ({"parameters": "maxmemory-samples=65"}, "is '65', expected a whole number from 1 to 64"),
        ({"parameters": "activedefrag=maybe"}, "is 'maybe', expected yes or no"),
        ({"parameters": "notify-keyspace-events=everything"}, "expected letters of"),
        ({"parameters": "maxmemory-policy=keep"}, "is 'keep', expected allkeys-lru or"),
        ({"parameters": "maxmemory-policy=noeviction"}, "does not suit the workload mixed"),
        (
            {"parameters": "maxmemory-policy=allkeys-lfu", "aws.nodeType": "cache.r6gd.xlarge"},
            "expected allkeys-lru or",
        ),
        (
            {"parameters": "acl-pubsub-default=allchannels"},
            "with: pulumi config set allowWeaker acl-pubsub",
        ),
        ({"parameters": "tcp-keepalive=0"}, "is 0, the hardening sets 300"),
        ({"parameters": "slowlog-max-len=1", "allowWeaker": "timeout"}, "is 1, the hardening sets 512"),
        ({"parameters": "client-output-buffer-limit-normal-hard-limit=0"}, "the hardening sets 268435456"),
        ({"parameters": "timeout=300", "topology": "serverless"}, "a serverless cache has no parameters"),
        ({"allowWeaker": "slowlog-max-len"}, "names slowlog-max-len, which parameters does not set"),
        ({"parameters": "timeout=300", "allowWeaker": "timeout,hz"}, "names hz, which parameters does not set"),
    ],
)
def test_an_error_has_its_fix(configuration: Configuration, reason: str) -> None:
    given = MINIMAL | _one_by_one(configuration)
    with pytest.raises(ConfigurationError) as caught:
        load(given)
    assert reason in str(caught.value)
    assert load(apply_fixes(given, caught.value)).parameters.keys() <= {"timeout"}


def _one_by_one(configuration: Configuration) -> Configuration:
    """Parameters as `pulumi config set --path` stores them, and as its `rm` removes them."""
    name, _, value = configuration.get("parameters", "").partition("=")
    rest = {key: value for key, value in configuration.items() if key != "parameters"}
    return {**rest, f"parameters.{name}": value} if name else rest


def test_parameters_of_the_creation_cannot_change_later() -> None:
    before = {"parameters": [{"name": "databases", "value": "16"}, {"name": "timeout", "value": "0"}]}
    after = {"parameters": [{"name": "databases", "value": "32"}, {"name": "timeout", "value": "60"}]}
    (obstacle,) = fixed_changes(before, after)
    assert obstacle.reason.startswith("databases can only be set when the cache is created")
    assert obstacle.fix == "pulumi config set --path parameters.databases 16"
    assert list(fixed_changes(after, {"parameters": after["parameters"][:1]})) == []
