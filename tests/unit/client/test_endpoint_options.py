"""The endpoint of a command: `--stack` takes a URL of the stack's outputs."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoints

import pytest
import typer
from valkeykit.commands import stacks
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError
from valkeykit.url import Node
from valkeykit.vocabulary import UserRole
from valkeykit_ops.commands.endpoint_options import settings_of
from valkeykit_ops.doctor import target

ENDPOINT = Endpoint("embedded", "single", (Node("127.0.0.1", 6380),), False, "9.1.2", "cache", 2**26, ("app",))
OUTPUTS = {
    "endpoint": ENDPOINT.to_dict(),
    "url": "redis://app:a@127.0.0.1:6380",
    "monitorUrl": "redis://monitor:m@127.0.0.1:6380",
}


def test_a_stack_s_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "_outputs", lambda _name: dict(OUTPUTS))
    usual = settings_of("redis://127.0.0.1:6380", None, None)
    passwords: dict[UserRole, str] = {"app": "a", "monitor": "m"}
    for user, password in passwords.items():
        chosen = settings_of(None, "dev", None, user)
        assert (chosen.address.username, chosen.address.password) == (user, password)
        assert (chosen.connect_timeout, chosen.read_timeout) == (usual.connect_timeout, usual.read_timeout)
    monkeypatch.setattr(target, "_outputs", lambda _name: {k: v for k, v in OUTPUTS.items() if k != "monitorUrl"})
    assert settings_of(None, "dev", None, "monitor").address.username == "app"


def test_a_queue_s_server_is_that_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "_outputs", lambda _name: dict(OUTPUTS))
    server, options = stacks.server_of("dev", "ca.pem")
    assert (server, options) == (ENDPOINT, {"username": "app", "password": "a", "ca": "ca.pem"})
    assert stacks.server_of(None, None) == (None, {})
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: EntryPoints())
    with pytest.raises(ConfigurationError, match="needs the tools for operators"):
        stacks.server_of("dev", None)


def test_the_host_name_is_verified_as_the_stack_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = replace(ENDPOINT, tls=True, check_hostname=False)
    monkeypatch.setattr(target, "_outputs", lambda _name: OUTPUTS | {"endpoint": endpoint.to_dict()})
    assert not settings_of(None, "dev", None).check_hostname


def test_a_url_and_a_stack_exclude_each_other() -> None:
    with pytest.raises(typer.BadParameter):
        settings_of("redis://127.0.0.1", "dev", None)


def test_the_workload_that_a_user_passed_is_checked_for_a_stack_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "_outputs", lambda _name: dict(OUTPUTS))
    assert target.of_stack("dev").workload == "cache"
    assert target.of_stack("dev", "queue").workload == "queue"
    with pytest.raises(ConfigurationError, match="the workload is 'shop', expected one of cache, queue, mixed"):
        target.of_stack("dev", "shop")
