"""compose/: the file that runs alone has the hardening of the docker target, and its secrets are closed to others."""

from __future__ import annotations

import re
import shutil
import ssl
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infra import hardening
from infra.drivers import certificates
from infra.drivers.certificates import CertificatePair
from infra.drivers.docker import deployment_files
from infra.drivers.docker.plan import DeploymentPlan
from infra.settings import load
from infra.targets.docker import planning
from stackctl.stack import PROJECT

FOLDER = PROJECT / "compose"
SERVER = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["server"]
USERS = (*hardening.USERS, *(user for user in hardening.SYSTEM_USERS if user.name == hardening.HEALTH))


@pytest.fixture
def plan() -> DeploymentPlan:
    settings = load({"valkey:target": "docker"})
    image = planning.image_for(settings.version)
    return replace(planning.create_plan(settings, "valkey/dev"), image=image, ports=(6379,))


def test_its_container_is_hardened_like_those_of_the_docker_target(plan: DeploymentPlan) -> None:
    node = yaml.safe_load(deployment_files.SERVICES.read_text())["services"]["node"]
    check = node.pop("healthcheck")
    assert {name: SERVER.get(name) for name in node} == node
    assert {name: SERVER["healthcheck"].get(name) for name in check} == check
    assert SERVER["image"] == f"${{VALKEY_IMAGE:-{plan.image}}}"


def test_its_memory_is_the_default_with_room_for_a_snapshot(plan: DeploymentPlan) -> None:
    maxmemory, limit = SERVER["command"][-1], SERVER["mem_limit"]
    assert (maxmemory, int(plan.directives["maxmemory"])) == ("256mb", 256 * 1024**2)
    assert SERVER["memswap_limit"] == limit
    assert 0 <= int(limit.removesuffix("m")) * 1024**2 - plan.memory_limit < 1024**2


def test_its_directives_are_those_of_the_docker_target(plan: DeploymentPlan) -> None:
    lines = [line for line in (FOLDER / "valkey.conf").read_text().splitlines() if line and not line.startswith("#")]
    directives = dict(line.split(" ", 1) for line in lines)
    assert len(directives) == len(lines)
    required = {**deployment_files.fixed(plan, plan.nodes[0]), **plan.directives}
    del required["maxmemory"]
    mounted = re.compile(rf"^{deployment_files.HOME}/(tls/)?")
    secrets = "/usr/local/etc/valkey/secrets/"
    assert directives == {name: mounted.sub(secrets, value) for name, value in required.items()}


def make_secrets(folder: Path) -> str:
    return subprocess.run([folder / "make-secrets"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(FOLDER / "make-secrets", tmp_path)
    (tmp_path / "valkey.conf").touch(0o600)
    (tmp_path / ".env").write_text("VALKEY_HOST=valkey.example.com\nVALKEY_PORT=7000\n")
    assert make_secrets(tmp_path) == f"URLs: {tmp_path}/secrets/env\n"
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_only_the_owner_can_read_its_secrets(folder: Path) -> None:
    secrets = folder / "secrets"
    modes = {str(path.relative_to(secrets)): f"{stat.S_IMODE(path.stat().st_mode):o}" for path in secrets.rglob("*")}
    folders = {name: modes.pop(name) for name in ("server", "passwords")}
    assert (f"{stat.S_IMODE(secrets.stat().st_mode):o}", folders) == ("700", {"server": "755", "passwords": "700"})
    mounted = {name for name in modes if name.startswith("server/")}
    assert {modes[name] for name in mounted} == {"444"}  # the server runs as another user
    assert {modes[name] for name in set(modes) - mounted} == {"600"}
    assert stat.S_IMODE((folder / "valkey.conf").stat().st_mode) == 0o644


def test_its_users_are_those_of_the_project(folder: Path) -> None:
    passwords = {user.name: (folder / "secrets/passwords" / user.name).read_text().strip() for user in USERS}
    assert (folder / "secrets/server/users.acl").read_text() == hardening.acl(passwords, USERS)
    assert len(set(passwords.values())) == len(USERS)
    assert min(map(len, passwords.values())) == 64
    urls = (folder / "secrets/env").read_text()
    assert f"VALKEY_URL='rediss://app:{passwords['app']}@valkey.example.com:7000/0'\n" in urls


def test_strict_clients_accept_its_certificate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = ssl.create_default_context

    def strict(**options: str) -> ssl.SSLContext:
        context = create(**options)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    server = folder / "secrets" / "server"
    pair = CertificatePair((server / "server.crt").read_text(), (server / "server.key").read_text())
    hosts = ["valkey.example.com", "localhost", "127.0.0.1"]
    assert certificates.validation_error(pair, (server / "ca.crt").read_text(), hosts) is None
    assert certificates.validation_error(pair, (server / "ca.crt").read_text(), ["another.example.com"])


def test_a_second_run_renews_only_the_certificate(folder: Path) -> None:
    before = contents(folder)
    make_secrets(folder)
    after = contents(folder)
    assert [name for name in after if after[name] != before.get(name)] == ["secrets/server/server.crt"]
    assert set(after) == set(before)


def test_a_run_after_one_that_was_killed_completes_it(folder: Path) -> None:
    for name in ("ca.crt", "server/users.acl", "env"):
        (folder / "secrets" / name).unlink()
    (folder / "secrets/ca.crt.new").write_text("-----BEGIN")
    (folder / "secrets/openssl.cnf").write_text("[req]")
    before = set(contents(folder)) - {"secrets/ca.crt.new", "secrets/openssl.cnf"}
    make_secrets(folder)
    assert set(contents(folder)) - before == {"secrets/ca.crt", "secrets/server/users.acl", "secrets/env"}
