from __future__ import annotations

import hashlib
from typing import get_args

import pytest

from infra import hardening
from infra.hardening import Target, User, Workload

PASSWORDS = {user.name: f"secret of {user.name}" for user in hardening.USERS}


@pytest.mark.parametrize(
    ("workload", "policy"), [("cache", "allkeys-lru"), ("queue", "noeviction"), ("mixed", "volatile-lru")]
)
def test_the_policy_follows_from_the_workload(workload: Workload, policy: str) -> None:
    assert hardening.directives(workload, 1, "embedded")["maxmemory-policy"] == policy


def test_every_directive_has_a_reason_and_covers_every_workload() -> None:
    for directive in hardening.DIRECTIVES:
        assert directive.reason
        assert all(directive.for_workload(workload) for workload in get_args(Workload))
    assert len({directive.name for directive in hardening.DIRECTIVES}) == len(hardening.DIRECTIVES)


@pytest.mark.parametrize("target", get_args(Target))
def test_a_directive_is_set_or_its_gap_is_reported(target: Target) -> None:
    text = " ".join(hardening.gaps(target))
    rendered = hardening.directives("cache", 1, target)
    for directive in hardening.DIRECTIVES:
        assert (directive.name in rendered) != (f"sets {directive.name} itself" in text)


def test_the_embedded_target_reports_that_it_has_no_tls() -> None:
    assert any("not encrypted" in gap for gap in hardening.gaps("embedded"))


def test_the_acl_file_has_only_hashes() -> None:
    text = hardening.acl(PASSWORDS)
    for password in PASSWORDS.values():
        assert password not in text
        assert f"#{hashlib.sha256(password.encode()).hexdigest()}" in text


def test_the_default_user_is_off_in_the_form_that_loses_no_data() -> None:
    first, *others = hardening.acl(PASSWORDS).splitlines()
    assert first == "user default off resetpass ~* &* +@all"
    assert not any("nopass" in line for line in others)


@pytest.mark.parametrize("users", [hardening.SYSTEM_USERS, hardening.SENTINEL_USERS], ids=["nodes", "sentinels"])
def test_the_exporter_has_no_access_to_keys(users: tuple[User, ...]) -> None:
    """Its endpoint runs queries of anonymous clients, such as `check-keys=*`."""
    (exporter,) = (user for user in users if user.name == hardening.EXPORTER)
    granted = {word for word in exporter.rules.split() if word[0] in "+~%&" or word.startswith("all")}
    assert granted
    assert not {word for word in granted if not word.startswith("+") or word.startswith("+@")}
    assert not granted & {"+scan", "+keys", "+randomkey", "+type", "+object", "+dump", "+monitor", "+memory|usage"}
    assert not [word for word in granted if word.startswith(("+config", "+acl", "+client|list", "+eval", "+fcall"))]


def test_the_file_has_one_directive_a_line() -> None:
    text = hardening.valkey_conf({"save": "3600 1", "port": "1"})
    assert text == "save 3600 1\nport 1\n"
