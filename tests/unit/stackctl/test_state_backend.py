"""The CLI's three ways, the backend, and the files of variables."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from stackctl import export, pulumi_cli, state_backend
from stackctl.errors import StackError
from stackctl.stack import PROJECT


def program(path: Path, answer: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Pulumi anywhere, and no way to the network's or this machine's own."""
    for name in (
        "PULUMI_BACKEND_URL",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))


def no_download(_cache: Path) -> str:
    return "download: no network"


@pytest.mark.parametrize("version", [pulumi_cli.pinned_version(), "3.999.0"])
def test_the_cli_on_path_is_used(tmp_path: Path, version: str) -> None:
    program(tmp_path / "path/pulumi", f"echo v{version}")
    program(tmp_path / "path/pulumi-language-python", "")
    assert pulumi_cli.find() == tmp_path / "path"


@pytest.mark.parametrize(("version", "reason"), [("v3.1.0", "is older than 3"), ("nonsense", "is older than")])
def test_an_old_one_isnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, reason: str) -> None:
    program(tmp_path / "path/pulumi", f"echo {version}")
    monkeypatch.setattr(pulumi_cli, "_download", no_download)
    with pytest.raises(StackError, match=reason):
        pulumi_cli.find()


def test_the_one_that_was_built_before_is_used(tmp_path: Path) -> None:
    version = pulumi_cli.pinned_version()
    built = program(tmp_path / f"cache/valkey-pulumi/{version}/bin/pulumi", f"echo v{version}")
    assert pulumi_cli.find() == built.parent


def test_without_any_all_three_reasons_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_cli, "_download", no_download)
    with pytest.raises(StackError) as caught:
        pulumi_cli.find()
    said = str(caught.value)
    assert all(
        reason in said for reason in ("PATH: pulumi is not installed", "download: no network", "build: no go on PATH")
    )
    assert "https://www.pulumi.com/docs/install/" in said


def test_a_build_that_fails_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_cli, "_download", no_download)
    program(tmp_path / "path/go", 'touch "$GOBIN/pulumi"; echo "go: no network" >&2; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    with pytest.raises(StackError, match="build: go: no network"):
        pulumi_cli.find()
    left = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert [file.name for file in left] == ["lock"]


@pytest.mark.parametrize(
    ("folder", "flags"),
    [
        ("project/infra", "-root {0}/project -virtualenv .venv 127.0.0.1:1"),
        ("other", "127.0.0.1:1"),
        ("", "127.0.0.1:1"),
    ],
)
def test_the_language_host_gets_the_virtual_environment_as_flags(tmp_path: Path, folder: str, flags: str) -> None:
    version = pulumi_cli.pinned_version()
    built = program(tmp_path / f"cache/valkey-pulumi/{version}/bin/pulumi", f"echo v{version}").parent
    program(built / "pulumi-language-python", 'echo "$@"')
    for _ in range(2):
        assert pulumi_cli.find() == built
    (tmp_path / "project/infra").mkdir(parents=True)
    shutil.copy(PROJECT / "Pulumi.yaml", tmp_path / "project")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/Pulumi.yaml").write_text("name: app\nruntime: python\n")
    run = subprocess.run(
        [built / "pulumi-language-python", "127.0.0.1:1"], cwd=tmp_path / folder, env={"PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == flags.format(tmp_path)


def test_the_official_language_host_is_left_alone(tmp_path: Path) -> None:
    version = pulumi_cli.pinned_version()
    official = program(tmp_path / f"cache/valkey-pulumi/{version}/bin/pulumi", f"echo v{version}").parent
    host = program(official / "pulumi-language-python", "echo official")
    program(official / "pulumi-language-nodejs", "")
    text = host.read_text()
    pulumi_cli.find()
    assert host.read_text() == text


def test_the_projects_own_backend(tmp_path: Path) -> None:
    variables = state_backend.environment(tmp_path, tmp_path / "bin")
    assert variables["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/.valkey/state?metadata=skip"
    passphrase = Path(variables["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text()) >= 43
    assert state_backend.environment(tmp_path, tmp_path / "bin") == variables
    assert variables["PATH"].startswith(f"{tmp_path}/bin{os.pathsep}{tmp_path}/.venv/bin")


def test_the_environment_of_make_shell_has_the_projects_own_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = state_backend.environment(tmp_path, tmp_path / "bin")["PULUMI_BACKEND_URL"]
    monkeypatch.setenv("PULUMI_BACKEND_URL", exported)
    assert state_backend.is_local(os.environ, tmp_path)
    assert not state_backend.is_local(os.environ, tmp_path / "another")


def test_a_lost_passphrase_is_not_replaced(tmp_path: Path) -> None:
    file = Path(state_backend.environment(tmp_path, tmp_path / "bin")["PULUMI_CONFIG_PASSPHRASE_FILE"])
    state = tmp_path / ".valkey/state/.pulumi/stacks/valkey/web.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    assert state_backend.environment(tmp_path, tmp_path / "bin")["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(file)
    file.unlink()
    with pytest.raises(StackError, match=r"passphrase is missing; .* existing stacks \(web\)"):
        state_backend.environment(tmp_path, tmp_path / "bin")
    assert not file.exists()


def test_a_user_without_an_account_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USER", raising=False)
    assert state_backend.environment(tmp_path, tmp_path / "bin")["USER"] == str(os.getuid())


def test_an_environment_without_pip_is_completed(tmp_path: Path) -> None:
    """Debian's Python without the package python3-venv leaves `.venv/bin/python` and fails."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml", "infra/requirements.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((PROJECT / name).read_text())
    for name in ("client/pyproject.toml", "client/ops/pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    pip = 'if [ "$*" = "-m pip --version" ]; then test -e pip; exit; fi'
    python = program(
        tmp_path / "python",
        f'{pip}\nif [ "$2" = venv ]; then mkdir -p .venv/bin; cp "$0" .venv/bin; test -e ensurepip && touch pip; fi',
    )
    command = ["make", ".venv/.ready", f"PYTHON={python}"]
    for _ in range(2):
        failed = subprocess.run(
            command, cwd=tmp_path, env={"PATH": os.defpath}, capture_output=True, text=True, check=False
        )
        assert failed.returncode != 0
        assert "cannot create a virtual environment -> apt-get install python3-venv" in failed.stderr
    (tmp_path / "ensurepip").touch()
    subprocess.run(command, cwd=tmp_path, env={"PATH": os.defpath}, capture_output=True, check=True)
    assert (tmp_path / ".venv/.ready").exists()


@pytest.mark.parametrize("name", ["PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN"])
def test_a_backend_that_the_user_chose_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "s3://bucket")
    variables = state_backend.environment(tmp_path, tmp_path / "bin")
    assert variables[name] == "s3://bucket"
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in variables
    assert not (tmp_path / ".valkey").exists()


def test_a_login_is_left_alone(tmp_path: Path) -> None:
    program(tmp_path / "home/credentials.json", "").write_text('{"current": "https://api.pulumi.com"}')
    assert "PULUMI_BACKEND_URL" not in state_backend.environment(tmp_path, tmp_path / "bin")


def test_a_passphrase_that_the_user_set_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    variables = state_backend.environment(tmp_path, tmp_path / "bin")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in variables
    assert not (tmp_path / ".valkey/passphrase").exists()


@pytest.mark.parametrize("form", export.FORMATS)
def test_the_authority_is_a_file_where_a_line_cant_hold_it(tmp_path: Path, form: str) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
    (tmp_path / ".valkey").mkdir()
    text = export.write(tmp_path, "dev", {"VALKEY_CA": pem}, form, None).read_text()
    authority = tmp_path / ".valkey" / "dev.ca.pem"
    if form in export.WITH_FILES:
        assert str(authority) in text
        assert authority.read_text() == pem
        assert stat.S_IMODE(authority.stat().st_mode) == 0o600
    else:
        assert "BEGIN CERTIFICATE" in text
    export.forget(tmp_path, "dev")
    assert list((tmp_path / ".valkey").iterdir()) == []


@pytest.mark.parametrize(
    ("nodes", "sentinels", "name"),
    [
        ("127.0.0.1:6379,127.0.0.1:6380", "127.0.0.1:6389", "VALKEY_SENTINELS"),  # embedded
        ("valkey.test:6379,valkey.test:6380", "", "VALKEY_NODES"),  # docker
        ("primary.cloud.test:6379,reader.cloud.test:6379", "", ""),  # a name that follows a failover
    ],
)
@pytest.mark.parametrize("form", ["dotenv", "shell"])
def test_the_file_lists_which_clients_follow_a_failover(
    tmp_path: Path, form: str, nodes: str, sentinels: str, name: str
) -> None:
    (tmp_path / ".valkey").mkdir()
    variables = {"VALKEY_URL": "redis://it's", "VALKEY_TOPOLOGY": "replicated", "VALKEY_NODES": nodes}
    variables |= {"VALKEY_SENTINELS": sentinels} if sentinels else {}
    file = export.write(tmp_path, "dev", variables, form, None)
    first = file.read_text().splitlines()[0]
    assert first.startswith(f"# clients that read {name} follow a failover") == bool(name)
    assert first.startswith("#") == bool(name)
    if form == "shell":
        said = subprocess.run(
            ["/bin/sh", "-c", f'. {file}; printf %s "$VALKEY_URL"'], capture_output=True, text=True, check=True
        )
        assert (said.stdout, said.stderr) == ("redis://it's", "")
