"""Parameters of self-hosted servers and of Memorystore, in addition to the hardening."""

from __future__ import annotations

from dataclasses import replace

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError

from harness.cloud.config_strategies import Configuration, apply_fixes, load
from harness.cloud.gcp.configurations import MINIMAL as GCP
from infra.drivers.docker import compose, live_config
from infra.engine_parameters import SELF_HOSTED
from infra.settings.gcp.sizing import node_type
from infra.targets.docker.planning import create_plan
from infra.targets.gcp.engine_configs import engine_configs
from stackctl.operations import card

DOCKER = {"target": "docker"}


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        (DOCKER | {"parameters.appendonly": "no"}, "is not a parameter of Valkey 9.1 that can be set"),
        (DOCKER | {"parameters.dir": "/tmp"}, "is not a parameter of Valkey 9.1"),
        (DOCKER | {"parameters.enable-debug-command": "yes"}, "is not a parameter of Valkey 9.1"),
        (DOCKER | {"parameters.min-replicas-to-write": "0"}, "is not a parameter of Valkey 9.1"),
        (DOCKER | {"parameters.hz": "0"}, "is '0', expected a whole number from 1 to 500"),
        (DOCKER | {"parameters.hz": "10\nport 1"}, "expected a whole number"),
        (DOCKER | {"parameters.lazyfree-lazy-expire": "true"}, "is 'true', expected yes or no"),
        (DOCKER | {"parameters.commandlog-reply-larger-than": "1", "version": "8.0"}, "of Valkey 8.0 that can be set"),
        ({"parameters.maxclients": "50000"}, "the hardening sets 10000"),
        ({"parameters.maxmemory-policy": "allkeys-lfu", "workload": "queue"}, "does not suit the workload queue"),
        ({"parameters.hide-user-data-from-log": "no"}, "allowWeaker hide-user-data-from-log"),
        ({"allowWeaker": "hz"}, "names hz, which parameters does not set"),
        (GCP | {"parameters.timeout": "300"}, "is not a parameter of Memorystore"),
        (GCP | {"parameters.notify-keyspace-events": "On"}, "expected letters of"),
        (GCP | {"parameters.maxmemory-clients": "0%"}, "expected a percentage"),
        (GCP | {"parameters.slowlog-log-slower-than": "-1"}, "the hardening sets 10000"),
    ],
)
def test_an_error_has_its_fix(configuration: Configuration, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(configuration)
    assert reason in str(caught.value)
    assert load(apply_fixes(configuration, caught.value)).parameters == {}


@pytest.mark.parametrize("text", ["[1]", "timeout=300", "5"])
def test_what_is_no_map_is_rejected(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--path parameters.timeout 300 -> pulumi config rm parameters"):
        load({"parameters": text})


def test_docker_nodes_get_parameters_and_weaker_values() -> None:
    given = {"parameters.io-threads": "2", "parameters.hz": "20", "parameters.maxclients": "50000"}
    plan = create_plan(load(DOCKER | given | {"allowWeaker": "maxclients"}), "valkey/test")
    assert (plan.directives["io-threads"], plan.directives["maxclients"]) == ("2", "50000")
    live = live_config.directives(plan)
    assert (live["hz"], live["maxclients"]) == ("20", "50000")
    assert "io-threads" not in live


def test_a_container_is_made_again_for_what_only_a_start_changes() -> None:
    plan = create_plan(load(DOCKER), "valkey/test")
    plan = replace(plan, ports=(6379,), image="valkey")

    def definition(**parameters: str) -> str:
        changed = replace(
            plan, directives={**plan.directives, **{k.replace("_", "-"): v for k, v in parameters.items()}}
        )
        return compose._definition(changed, "node-1", {})

    assert definition(io_threads="2") != definition()
    assert definition(io_threads="2") != definition(io_threads="4")
    assert definition(hz="20") == definition(hz="30")
    assert definition(hz="20") != definition(), "only a start brings the default back"
    assert definition(maxclients="20000") == definition(), "the table's directives change live"


def test_memorystore_gets_parameters() -> None:
    settings = load(GCP | {"parameters.notify-keyspace-events": "Ex", "parameters.maxmemory-policy": "volatile-lfu"})
    rendered = engine_configs(settings, node_type(settings))
    assert (rendered["notify-keyspace-events"], rendered["maxmemory-policy"]) == ("Ex", "volatile-lfu")
    assert rendered["slowlog-log-slower-than"] == "10000"


def test_no_parameter_reaches_what_the_deployment_depends_on() -> None:
    theirs = {
        "dir",
        "port",
        "bind",
        "aclfile",
        "save",
        "appendonly",
        "databases",
        "replicaof",
        "requirepass",
        "maxmemory",
    }
    assert not theirs & SELF_HOSTED.keys()


def test_the_card_shows_parameters() -> None:
    endpoint = Endpoint("docker", "single", (), True, "9.1.2", "cache", 1, ("app",))
    rows = dict(
        card._deployment(endpoint, {"parameters": {"hz": 20, "maxclients": 50000}, "allowWeaker": "maxclients"})
    )
    assert rows["parameters"] == "hz 20, maxclients 50000"
    assert rows["parameters that undo the hardening"] == "maxclients"
