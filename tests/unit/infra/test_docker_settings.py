"""What the docker target makes of the settings, and what it refuses, without an engine."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from valkeykit.errors import ConfigurationError
from valkeykit_ops import vulnerabilities

from infra import project, settings
from infra.drivers import certificates
from infra.drivers.certificates import CertificatePair
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.plan import DeploymentPlan
from infra.targets.docker import planning, preflight


def load(section: dict[str, object] | None = None, **values: str) -> settings.StackSettings:
    given = {"target": "docker", **values, **({"docker": json.dumps(section)} if section else {})}
    return settings.load({f"valkey:{key}": value for key, value in given.items()})


INVALID: dict[str, tuple[dict[str, object], str]] = {
    "everybody": (
        {"bind": "0.0.0.0", "host": "db.example.com"},
        "docker.bind is 0.0.0.0, which is open to the internet",
    ),
    "a public address": ({"bind": "8.8.8.8"}, "docker.bind is 8.8.8.8, which is open to the internet"),
    "a public IPv6 address": ({"bind": "2001:4860:4860::8888"}, "which is open to the internet"),
    "a list that lets everybody in": (
        {"bind": "8.8.8.8", "allowedCidrs": "0.0.0.0/0"},
        "docker.allowedCidrs contains 0.0.0.0/0",
    ),
    "a network that is none": (
        {"allowedCidrs": "10.0.0.1/8"},
        "docker.allowedCidrs is '10.0.0.1/8', expected networks",
    ),
    "no address": ({"bind": "localhost"}, "docker.bind is 'localhost', expected an IP address"),
    "no name for all addresses": ({"bind": "0.0.0.0", "allowedCidrs": "192.0.2.0/24"}, "docker.host is empty"),
    "half a certificate": ({"certificate": "a.crt", "ca": "ca.crt"}, "docker.key is empty, but docker.certificate"),
    "half a login": ({"registryUser": "deploy"}, "docker.registryPassword is empty"),
    "a moving tag": ({"image": "valkey/valkey:latest"}, "docker.image is a tag that moves across major versions"),
    "no tag": ({"image": "valkey/valkey"}, "docker.image is 'valkey/valkey', expected a name with a tag"),
    "no digest": ({"digest": "sha256:12"}, "docker.digest is 'sha256:12', expected sha256: and 64 digits"),
    "a large network": ({"subnet": "10.0.0.0/8"}, "docker.subnet is '10.0.0.0/8', expected a private /24"),
    "a public network": ({"subnet": "8.8.8.0/24"}, "docker.subnet is '8.8.8.0/24'"),
    "a month without a backup": ({"backupEvery": 1000}, "docker.backupEvery is 1000, expected hours, 0 to 720"),
    "a relative folder": ({"backupFolder": "backups"}, "docker.backupFolder is 'backups', expected an absolute path"),
    "a name with an odd letter": ({"project": "Web"}, "docker.project is 'Web', expected lower-case"),
}


@pytest.mark.parametrize("mistake", INVALID)
def test_an_error_has_its_fix(mistake: str) -> None:
    section, said = INVALID[mistake]
    with pytest.raises(ConfigurationError) as caught:
        load(section)
    assert said in str(caught.value)
    assert "pulumi config" in str(caught.value)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"registryPassword": "very-secret", "bind": "8.8.8.8"})
    assert "very-secret" not in str(caught.value)


UPLOAD: dict[str, object] = {"backupUrl": "s3://bucket/path", "backupAccessKey": "key"}


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"registryUser": "deploy"}, "registryPassword"),
        (UPLOAD, "backupSecretKey"),
        ({**UPLOAD, "backupSecretKey": "very secret"}, "backupSecretKey"),
    ],
    ids=["no password", "no secret key", "not a secret key"],
)
def test_the_printed_fix_sets_a_secret_and_shows_none(section: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(section)
    assert f"-> pulumi config set --secret --path docker.{key}" in str(caught.value).splitlines()[-1]
    assert str(caught.value).endswith(key)
    assert "very secret" not in str(caught.value)


def test_more_nodes_than_addresses() -> None:
    with pytest.raises(ConfigurationError, match="more than 100 nodes"):
        load(topology="cluster", shards="60", replicas="1")


def test_an_allowed_network_gets_its_rules() -> None:
    wanted = load({"bind": "203.0.113.5", "allowedCidrs": "192.0.2.0/24,198.51.100.0/24"})
    rules = planning.firewall_rules(wanted, [6379])
    assert [rule.rpartition(" -j ")[2] for rule in rules] == ["DROP", "RETURN", "RETURN"]
    assert all("--ctorigdst 203.0.113.5 --ctorigdstport 6379" in rule for rule in rules)
    assert planning.firewall_rules(load(), [6379]) == []


@pytest.mark.parametrize(("version", "image"), [("9.1", "valkey/valkey:9.1.2"), ("8.1.9", "valkey/valkey:8.1.9")])
def test_the_image_is_pinned_to_a_patch(version: str, image: str) -> None:
    assert planning.image_for(version) == image


def test_memory_and_the_containers_limit_follow_from_each_other() -> None:
    plan = planning.create_plan(load(memory="512mb"), "valkey/dev")
    assert int(plan.directives["maxmemory"]) / plan.memory_limit < 0.45
    assert plan.project == "valkey-dev"


PLANS: tuple[dict[str, object], ...] = (
    {},
    {"backupEvery": 24, "backupFolder": "/srv/backups", "exporter": "example/exporter:1"},
    {
        "backupEvery": 1,
        "backupUrl": "s3://backups/valkey",
        "backupRegion": "eu-central-1",
        "backupAccessKey": "access",
        "backupSecretKey": "secret",
    },
)


@pytest.mark.parametrize("section", PLANS)
@pytest.mark.parametrize("topology", ["single", "replicated", "cluster"])
def test_a_plan_survives_the_state_of_a_stack(topology: str, section: dict[str, object]) -> None:
    plan = planning.create_plan(load(section, topology=topology), "valkey/dev")
    state = json.loads(json.dumps(plan.to_props()), parse_int=float)
    assert DeploymentPlan.from_props(state) == plan


def test_names_are_safe_for_compose() -> None:
    plan = planning.create_plan(load(), "valkey/My.Stack")
    assert plan.project == "valkey-my-stack"


def problems(folder: Path, section: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Engine, "check", lambda _engine: "id")
    monkeypatch.setattr(project, "root", lambda: folder)
    try:
        preflight.check(load(section))
    except ConfigurationError as problem:
        return str(problem)
    return ""


def test_a_certificate_of_ones_own_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = certificates.create_authority("ours")
    good = certificates.issue_certificate(authority, ["db.example.com"])
    expired = certificates.issue_certificate(authority, ["db.example.com"], timedelta(minutes=-1))
    cases = {
        "": good,
        "expired": expired,
        "belongs to another key": CertificatePair(good.certificate, expired.key),
        "not valid for 'db.example.com'": certificates.issue_certificate(authority, ["localhost"]),
    }
    for said, pair in cases.items():
        for name, text in (("crt", pair.certificate), ("key", pair.key), ("ca", authority.certificate)):
            (tmp_path / name).write_text(text)
        section: dict[str, object] = {"certificate": "crt", "key": "key", "ca": "ca", "host": "db.example.com"}
        found = problems(tmp_path, section, monkeypatch)
        assert said in found
        assert bool(said) == bool(found)


def test_files_that_arent_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(tmp_path, {"imageFile": "none.tar"}, monkeypatch)
    assert "imageFile is none.tar, which does not exist" in found


@pytest.mark.parametrize("line", planning.PATCH_RELEASES)
def test_the_pinned_release_of_a_line_has_no_known_vulnerability(line: str) -> None:
    version = vulnerabilities.parse_release(planning.PATCH_RELEASES[line])
    assert version is not None
    assert vulnerabilities.affecting("valkey", version, has_tls=True) == []
