"""A deployment's variables in the environment, and a client that is created from them alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from valkeykit import environment, errors
from valkeykit.endpoint import SERVICE, Endpoint
from valkeykit.settings import resolve_settings
from valkeykit.url import Node

NODES = (Node("10.0.0.1", 6379), Node("10.0.0.2", 6380), Node("::1", 6381))
ENDPOINT = Endpoint(
    target="embedded", topology="single", nodes=NODES[:1], tls=False, version="9.1.2", workload="queue", maxmemory=1,
    users=("app",),
)  # fmt: skip
REPLICATED = replace(ENDPOINT, topology="replicated", nodes=NODES, sentinels=(Node("a", 26379), Node("b", 26380)))


@pytest.mark.parametrize(
    ("endpoint", "topology"),
    [
        (ENDPOINT, None),
        (REPLICATED, "sentinel"),
        (replace(REPLICATED, sentinels=()), "replicated"),
        (replace(ENDPOINT, topology="cluster", nodes=NODES), "cluster"),
        (replace(ENDPOINT, topology="serverless"), "cluster"),
    ],
)
def test_the_variables_of_an_endpoint_are_read_back(endpoint: Endpoint, topology: str | None) -> None:
    variables = endpoint.variables(endpoint.url("app", "p@ss"))
    address = environment.resolve(variables)
    assert address is not None
    assert (address.nodes, address.sentinels) == (endpoint.nodes, endpoint.sentinels)
    assert resolve_settings(address).topology == topology
    assert variables["VALKEY_URL"] == variables["REDIS_URL"] == "redis://app:p%40ss@10.0.0.1:6379/0"


def test_a_record_is_read_back_with_its_sentinels_and_without() -> None:
    assert Endpoint.from_dict(REPLICATED.to_dict()) == REPLICATED
    old = ENDPOINT.to_dict()
    del old["sentinels"], old["check_hostname"]
    assert Endpoint.from_dict(old) == ENDPOINT


def test_an_endpoint_is_the_same_without_the_environment() -> None:
    settings = resolve_settings(REPLICATED, username="app", password="secret")
    assert (settings.topology, settings.address.service, settings.sentinels) == (
        "sentinel",
        SERVICE,
        REPLICATED.sentinels,
    )
    assert settings.sentinel_credentials == ("app", "secret")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"VALKEY_TOPOLOGY": "ring"}, "VALKEY_TOPOLOGY is 'ring', not one of"),
        ({"VALKEY_NODES": "elsewhere:6379"}, "VALKEY_NODES doesn't name the URL's localhost:6379"),
        ({"VALKEY_NODES": "localhost:port"}, "VALKEY_NODES isn't a list of hosts and ports"),
        ({"VALKEY_SENTINELS": "a:0"}, "VALKEY_SENTINELS isn't a list of hosts and ports"),
    ],
)
def test_a_variable_that_cant_be_read_is_named(variables: dict[str, str], said: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=said):
        environment.resolve(variables)


def test_whether_a_host_name_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALKEY_URL", "rediss://10.0.0.1")
    assert resolve_settings(None).check_hostname is True
    for name, value in replace(ENDPOINT, tls=True, check_hostname=False).variables("rediss://10.0.0.1").items():
        monkeypatch.setenv(name, value)
    assert resolve_settings(None).check_hostname is False
    assert resolve_settings(None, check_hostname=True).check_hostname is True
    monkeypatch.setenv("VALKEY_CHECK_HOSTNAME", "perhaps")
    with pytest.raises(errors.ConfigurationError, match="VALKEY_CHECK_HOSTNAME is 'perhaps'"):
        resolve_settings(None)


def test_what_is_given_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in REPLICATED.variables("redis://10.0.0.1:6379").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VALKEY_CA", str(tmp_path / "nowhere.pem"))
    ca = "-----BEGIN CERTIFICATE-----"
    assert resolve_settings(None, topology="single", ca=ca).topology == "single"
    assert resolve_settings("redis://elsewhere").sentinels == (Node("elsewhere", 6379),)
    assert resolve_settings(None, ca=ca).ca == ca
    with pytest.raises(errors.ConfigurationError, match=r"can't read '.*nowhere\.pem'"):
        resolve_settings(None)
    monkeypatch.setenv("VALKEY_CA", ca)
    assert resolve_settings(None).ca == ca
    monkeypatch.setenv("VALKEY_URL", "valkey+cluster://10.0.0.1")
    assert resolve_settings(None).topology == "cluster"
