from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from infra.drivers import certificates
from infra.drivers.certificates import CertificatePair
from stackctl.errors import StackError
from stackctl.render import render

SMALL = ["memory=64mb", "port=17000"]


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def kept(folder: Path) -> dict[str, object]:
    known: dict[str, object] = json.loads((folder / "kept.json").read_text())
    return known


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", ["compose", "native"])
def test_rendering_again_changes_nothing(form: str, tmp_path: Path) -> None:
    render(form, tmp_path / "v", SMALL)
    before = contents(tmp_path / "v")
    render(form, tmp_path / "v", SMALL)
    assert contents(tmp_path / "v") == before


@pytest.mark.parametrize("topology", ["single", "replicated", "cluster"])
def test_no_compose_file_has_passwords_and_only_the_owner_has_access(topology: str, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    render("compose", folder, [*SMALL, f"topology={topology}", "docker.exporter=example/exporter:1"])
    passwords = kept(folder)["passwords"]
    assert isinstance(passwords, dict)
    assert not any(password in (folder / "compose.yaml").read_text() for password in passwords.values())
    assert mode(folder) == "700"
    assert mode(folder / "env") == mode(folder / "kept.json") == "600"
    assert mode(folder / "conf") == mode(folder / "conf" / "tls") == "755"
    assert mode(folder / "conf" / "tls" / "server.key") == "444"
    assert yaml.safe_load((folder / "compose.yaml").read_text())["services"]["exporter"]["image"]
    assert json.loads((folder / "prometheus.json").read_text())[0]["labels"]["node"] == "node-0"


def test_a_certificate_near_its_end_is_renewed_and_the_rest_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    render("compose", folder, SMALL)
    known = kept(folder)
    authority = CertificatePair(**known["authority"])  # type: ignore[arg-type]
    known["leaf"] = vars(certificates.issue_certificate(authority, ["localhost"], timedelta(days=3)))
    (folder / "kept.json").write_text(json.dumps(known))
    assert "docker compose restart" in render("compose", folder, SMALL)
    now = kept(folder)
    assert now["leaf"] != known["leaf"]
    assert (now["passwords"], now["authority"]) == (known["passwords"], known["authority"])
    assert "docker compose restart" not in render("compose", folder, SMALL)


def test_a_folder_stays_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    render("compose", folder, SMALL)
    before = contents(folder)
    for form, given in (
        ("compose", [*SMALL, "topology=replicated"]),
        ("compose", [*SMALL, "version=8.1"]),
        ("native", SMALL),
    ):
        with pytest.raises(StackError):
            render(form, folder, given)
    assert contents(folder) == before


def test_a_render_killed_before_its_first_file_was_complete_is_done_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "valkey"
    folder.mkdir()
    (folder / ".kept.json.x1y2z3").write_text("{")
    render("compose", folder, ["docker.image=valkey:1"])
    assert (folder / "compose.yaml").exists()


def test_a_folder_of_another_owner_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("")
    with pytest.raises(StackError, match="was not created by this command"):
        render("compose", tmp_path, SMALL)


@pytest.mark.parametrize(
    ("given", "said", "fix"),
    [
        ("memory=1tb", "memory is '1tb'", "--set memory=512mb"),
        ("topology", "is invalid", "--set KEY=VALUE"),
        ("docker.bind=0.0.0.0", "open to the internet", "--set docker.bind=127.0.0.1"),
        ("docker.imageFile=x.tar", "is not supported", "leave out --set docker.imageFile"),
        ("docker.backupSecretKey=@/nowhere", "can't be read", "KEY=@<file>"),
    ],
)
def test_a_configuration_error_is_reported_with_its_fix(given: str, said: str, fix: str, tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised:
        render("compose", tmp_path / "v", [given])
    told = f"{raised.value} -> {raised.value.fix}"
    assert said in told
    assert fix in told
    assert not (tmp_path / "v").exists()


def test_a_native_server_is_a_single_one(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="topology is cluster"):
        render("native", tmp_path / "v", ["topology=cluster"])


def test_a_native_server_takes_no_keys_of_docker(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"docker\.bind is not supported in a folder for native") as raised:
        render("native", tmp_path / "v", ["docker.bind=10.0.0.5"])
    assert raised.value.fix == "--set bind=…"
    with pytest.raises(StackError, match=r"  bind is 0\.0\.0\.0, which is open") as raised:
        render("native", tmp_path / "v", ["bind=0.0.0.0"])
    assert "--set bind=127.0.0.1, or --set allowedCidrs=" in str(raised.value)


def test_a_native_server_has_the_addresses_that_are_configured(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    render("native", folder, [*SMALL, "bind=10.0.0.5", "host=valkey.example.com", "names=a.internal,b.internal"])
    assert "bind 10.0.0.5 127.0.0.1" in (folder / "valkey.conf").read_text().splitlines()
    assert "@valkey.example.com:17000" in (folder / "env").read_text()


def test_a_native_server_has_the_same_hardening(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    render("native", folder, [*SMALL, "workload=queue"])
    conf = (folder / "valkey.conf").read_text().splitlines()
    assert {"port 0", "tls-port 17000", "maxmemory-policy noeviction", "appendonly yes"} <= set(conf)
    assert (folder / "users.acl").read_text().startswith("user default off")
    assert mode(folder / "install") == "755"


@pytest.mark.parametrize(
    ("files", "starts"),
    [
        ([], True),
        (["appendonlydir/temp-rewriteaof-1.aof"], True),
        (["appendonlydir/appendonly.aof.1.base.rdb", "appendonlydir/appendonly.aof.manifest"], True),
        (["appendonlydir/appendonly.aof.1.incr.aof"], False),
    ],
    ids=["first", "interrupted", "complete", "without-manifest"],
)
def test_a_native_server_does_not_start_empty_next_to_its_files(files: list[str], starts: bool, tmp_path: Path) -> None:
    render("native", tmp_path / "v", SMALL)
    unit = (tmp_path / "v" / "hardening.conf").read_text().replace("\\\n", " ")
    (check,) = re.findall(r"^ExecStartPre=\+(.*)", unit, re.MULTILINE)
    assert not set("$%") & set(check)  # systemd would replace them
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    result = subprocess.run(
        shlex.split(check.replace("/var/lib/valkey", str(tmp_path))), capture_output=True, text=True, check=False
    )
    assert (result.returncode == 0) == starts
    assert ("has files, but no manifest -> write it again" in result.stderr) != starts
