"""The command, its limits, and what needs more than one endpoint."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeykit.error_translation import classify
from valkeykit.url import Node
from valkeykit_ops import vulnerabilities
from valkeykit_ops.doctor import examination, load, target
from valkeykit_ops.doctor.permission_probes import DANGEROUS_COMMANDS, PROBE_KEY
from valkeykit_ops.doctor.snapshot import take_snapshot

from harness.endpoints import cases, faulty, unhealthy
from harness.endpoints.endpoint_servers import MEMORY_LIMIT, user
from harness.ports import HOST, free_port
from harness.servers import Sentinels, ServerProcess, running
from harness.waiting import WAIT_SECONDS, wait_until

AOF = ("--appendonly", "yes")


def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("VALKEY_URL", "REDIS_URL")}
    return subprocess.run(
        [sys.executable, "-c", "from valkeykit.cli import main; main()", "doctor", *arguments],
        env=kept | {"NO_COLOR": "1", "COLUMNS": "200"} | variables,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with running(tmp_path / "server", *MEMORY_LIMIT, *AOF, "--requirepass", "right-secret") as made:
        yield made


def test_exit_codes_and_the_last_line(server: ServerProcess) -> None:
    url = f"redis://:right-secret@{HOST}:{server.port}"
    well = doctor(url)
    assert (well.returncode, well.stderr) == (0, "")
    [line] = well.stdout.splitlines()
    assert line.startswith(f"{HOST}:{server.port}: healthy, 2 notes (")
    assert f"vulnerability data of {vulnerabilities.load_table().date})" in well.stdout
    ill = doctor(VALKEY_URL=f"redis://:wrong-secret@{HOST}:{server.port}")
    assert ill.returncode == 1
    assert "rejected the login" in ill.stdout.splitlines()[-1]
    for shown in (well, ill):
        assert "-secret" not in shown.stdout + shown.stderr
    record = json.loads(doctor(url, "--json").stdout)
    assert (record["healthy"], record["layers"]["memory"], record["layers"]["tls"]) == (True, "ok", "skipped")


@pytest.mark.parametrize(
    ("arguments", "variables", "text"),
    [
        (["http://localhost"], {}, "must start with"),
        (["redis://localhost", "--workload", "shop"], {}, "workload"),
        (["redis://localhost", "--stack", "dev"], {}, "exclude each other"),
        ([], {"VALKEY_URL": "redis://app:se\ncret@localhost"}, "VALKEY_URL: the connection URL contains a line break"),
        ([], {"DISABLE_REDIS": "1"}, "DISABLE_REDIS is on"),
        (["--stack", "dev"], {"PATH": "/nowhere"}, "no pulumi on PATH"),
        (["--ca", "/no/such/file.pem", "rediss://localhost"], {}, "can't read"),
    ],
)
def test_wrong_usage(arguments: list[str], variables: dict[str, str], text: str) -> None:
    shown = doctor(*arguments, **variables)
    assert shown.returncode == 2
    assert text in " ".join(shown.stderr.split())
    assert "Traceback" not in shown.stderr
    assert "cret" not in shown.stderr


def test_a_damaged_authority(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n")
    assert doctor("--ca", str(path), "rediss://localhost").returncode == 2
    assert "damaged" in doctor(VALKEY_URL="rediss://localhost", VALKEY_CA=str(path)).stderr


def test_a_password_with_the_end_of_its_file(server: ServerProcess) -> None:
    report = examination.examine(target.of_url(f"redis://:right-secret%0A@{HOST}:{server.port}"))
    [found] = report.findings
    assert found.name == "wrong-password"
    assert "line break" in found.why


def test_a_wrong_password_is_tried_once_on_all_nodes(tmp_path: Path) -> None:
    locked = (*MEMORY_LIMIT, "--requirepass", "right")
    with running(tmp_path / "a", *locked) as one, running(tmp_path / "b", *locked) as other:
        examination.examine(target.of_url(f"valkey+replicated://:wrong@{HOST}:{one.port},{HOST}:{other.port}"))
        tries = 0
        for server in (one, other):
            with closing(redis.Redis(port=server.port, password="right")) as admin:
                tries += admin.info("stats")["acl_access_denied_auth"]
    assert tries == 1


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with running(tmp_path, *MEMORY_LIMIT, *AOF) as server, closing(server.client()) as client:
        client.set("kept", "1")
        before = client.config_get("*")
        assert examination.examine(target.of_url(server.url)).is_healthy
        assert client.keys() == ["kept"]
        assert client.config_get("*") == before
        assert client.acl_users() == ["default"]
        calls = client.info("commandstats")
        assert not [name for name in calls if name in {"cmdstat_flushall", "cmdstat_monitor", "cmdstat_set|x"}]
        assert calls["cmdstat_set"]["calls"] == 1


def test_no_probe_runs_without_multi(tmp_path: Path) -> None:
    """Outside of MULTI, the probes would run."""
    rule = user("app on >right ~* &* +@all -multi")
    with running(tmp_path, *MEMORY_LIMIT, *AOF, *rule) as server, closing(server.client()) as client:
        client.set("kept", "1")
        examination.examine(target.of_url(f"redis://app:right@{HOST}:{server.port}"))
        assert client.keys() == ["kept"]
        assert "cmdstat_flushall" not in client.info("commandstats")


def test_the_probes_key_is_named_after_us() -> None:
    assert PROBE_KEY.startswith("valkeykit:")
    assert "SHUTDOWN" not in DANGEROUS_COMMANDS


def test_a_name_with_a_dead_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, *MEMORY_LIMIT, *AOF, "--bind", f"{HOST} 127.0.0.3") as server:
        plain = socket.getaddrinfo

        def three(host: Any, *arguments: Any, **options: Any) -> Any:
            if host != "cache.example":
                return plain(host, *arguments, **options)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", server.port)) for last in (1, 2, 3)]

        monkeypatch.setattr(socket, "getaddrinfo", three)
        report = examination.examine(target.of_url(f"redis://cache.example:{server.port}"))
    assert report.is_healthy
    [dead] = [one for one in report.findings if one.name == "dead-address"]
    assert (dead.severity, dead.layer) == ("warning", "tcp")
    assert "127.0.0.2" in dead.what
    assert "127.0.0.3" not in dead.what


def test_a_name_server_that_does_not_respond(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gate.wait(2 * WAIT_SECONDS))
    report = examination.examine(target.of_url("redis://cache.example"))
    gate.set()
    assert [one.name for one in report.findings] == ["name-server"]
    assert report.seconds < WAIT_SECONDS


def test_one_of_several_nodes_is_down(tmp_path: Path) -> None:
    """A client queries the next one, so it is a warning."""
    with running(tmp_path, *MEMORY_LIMIT, *AOF) as server:
        report = examination.examine(target.of_url(f"valkey+replicated://{HOST}:{free_port()},{HOST}:{server.port}"))
    assert report.is_healthy
    assert {"refused", "no-replica"} == {one.name for one in report.findings if one.severity == "warning"}


def test_a_dead_sentinel_is_a_warning_and_none_a_problem(tmp_path: Path) -> None:
    group = Sentinels(tmp_path)
    try:
        group.start()
        group.sentinels[0].kill()
        some = examination.examine(target.of_url(group.url))
        group.sentinels[1].kill()
        wait_until(lambda: "no-quorum" in str(examination.examine(target.of_url(group.url)).findings))
        few = examination.examine(target.of_url(group.url))
        group.sentinels[2].kill()
        none = examination.examine(target.of_url(group.url))
    finally:
        group.kill()
    assert some.is_healthy
    assert few.is_healthy
    assert "no-quorum" not in {one.name for one in some.findings}
    [lost] = [one for one in few.findings if one.name == "no-quorum"]
    assert (lost.severity, "majority" in lost.what) == ("warning", True)
    assert "refused" in {one.name for one in some.findings}
    assert not none.is_healthy
    assert "no-primary" in {one.name for one in none.findings}


@pytest.mark.parametrize(
    "name", ["no-answer:stopped", "no-answer:busy", "no-answer:tls", "too-slow", "connect-timeout"]
)
def test_the_command_ends(name: str, tmp_path: Path) -> None:
    """Within its timeout of 30 seconds, whatever listens there; bench/doctor.py measures the seconds."""
    with unhealthy.OTHER_STATES[name](tmp_path) as case:
        assert doctor(case.url).returncode == 1


def test_a_stack_of_pulumi(tmp_path: Path, server: ServerProcess) -> None:
    """The CLI prints a stack's outputs: the user's URL and the endpoint."""
    endpoint = {
        "schemaVersion": 1, "target": "embedded", "topology": "single", "nodes": [{"host": HOST, "port": server.port}],
        "sentinels": [], "tls": False, "version": "9.1.2", "workload": "queue", "maxmemory": 314572800.0,
        "users": ["app"], "ca": None,
    }  # fmt: skip
    outputs = {"endpoint": endpoint, "url": f"redis://:right-secret@{HOST}:{server.port}/0"}
    (tmp_path / "outputs").write_text(json.dumps(outputs))
    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/outputs\n')
    program.chmod(0o755)
    shown = doctor("--stack", "dev", "--json", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert json.loads(shown.stdout)["target"] == f"stack dev ({HOST}:{server.port})"
    assert (tmp_path / "asked").read_text().split() == [
        "--non-interactive", "stack", "output", "--json", "--show-secrets", "--stack", "dev",
    ]  # fmt: skip
    program.write_text("#!/bin/sh\necho \"error: no stack named 'dev' found\" >&2\nexit 255\n")
    missing = doctor("--stack", "dev", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert missing.returncode == 2
    assert missing.stderr == "error: Pulumi: no stack named 'dev' found -> pulumi stack ls\n"


def test_a_stacks_fixes_use_pulumi(server: ServerProcess) -> None:
    found = target.Target(target.of_url(server.url).settings, "queue", stack="web")
    assert found.configure("valkey:memory", "2gb") == (
        "pulumi config set valkey:memory 2gb --stack web && pulumi up --stack web"
    )


@pytest.mark.parametrize(
    ("engine", "version", "cve", "is_open"),
    [
        ("valkey", "8.1.3", "CVE-2025-49844", True),
        ("valkey", "8.1.4", "CVE-2025-49844", False),
        ("valkey", "9.0.0", "CVE-2025-49844", False),
        ("valkey", "8.0.5", "CVE-2025-46819", True),
        ("valkey", "9.0.2", "CVE-2026-27623", True),
        ("valkey", "8.1.6", "CVE-2026-27623", False),
        ("redis", "7.4.1", "CVE-2024-46981", True),
        ("redis", "7.4.2", "CVE-2024-51741", False),
        ("redis", "8.2.1", "CVE-2025-49844", True),
        ("redis", "6.2.14", "CVE-2025-21605", True),
    ],
)
def test_vulnerable_versions(engine: str, version: str, cve: str, is_open: bool) -> None:
    parsed = vulnerabilities.parse_release(version)
    assert parsed
    assert (cve in {one.cve for one in vulnerabilities.affecting(engine, parsed, has_tls=False)}) is is_open


def test_a_lost_primary_is_no_cluster_that_is_down() -> None:
    """redis-py's error for the one is a kind of the other's."""
    assert classify(redis.exceptions.MasterDownError("Link with MASTER is down")).name == "primary-down"
    assert classify(redis.exceptions.ClusterDownError("The cluster is down")).name == "cluster-down"


def test_a_busy_core(tmp_path: Path) -> None:
    """How much of a core a server gets depends on the machine, so what it means is judged apart from it."""
    with running(tmp_path, *MEMORY_LIMIT) as server, closing(server.client()) as client:
        quiet = take_snapshot(target.of_url(server.url).settings, Node(HOST, server.port))
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                client.eval("local a = 0; for i = 1, 100000 do a = a + i end", 0)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            loaded = take_snapshot(target.of_url(server.url).settings, Node(HOST, server.port))
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert quiet.cpu is not None
    assert loaded.cpu is not None
    assert loaded.cpu > quiet.cpu
    endpoint = target.of_url(server.url)
    assert not [one for one in load.latency(replace(loaded, cpu=0.5), endpoint) if one.name == "busy"]
    assert [one for one in load.latency(replace(loaded, cpu=0.97), endpoint) if one.name == "busy"]


@pytest.mark.parametrize("seed", range(8))
def test_a_server_that_talks_nonsense(seed: int) -> None:
    """Every kind of answer that a parser may stumble over, also after a right beginning."""
    chosen = random.Random(seed)
    parts = [
        b"+PONG\r\n", b"-ERR \xff\r\n", b"$-7\r\n", b"*3\r\n", b"%1\r\n+a\r\n", b":x\r\n", b"\x00\xff",
        b"$5\r\nab", b"_\r\n",
    ]  # fmt: skip

    def babble(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall(b"+PONG\r\n" if seed % 2 else b"".join(chosen.choices(parts, k=3)))
            if seed % 2:
                while connection.recv(4096):
                    connection.sendall(b"".join(chosen.choices(parts, k=5)))

    with cases.listening(babble) as port:
        report = examination.examine(target.of_url(f"redis://{HOST}:{port}"))
    assert not report.is_healthy
    assert report.seconds < WAIT_SECONDS


def test_a_byte_a_second_after_the_login() -> None:
    """A server that begins well and then drips: each byte comes within every socket's time-out."""

    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"+PONG\r\n")
        while connection.recv(4096):
            for byte in b"%1\r\n$6\r\nserver\r\n$6\r\nvalkey\r\n" * 20:
                connection.sendall(bytes([byte]))
                time.sleep(0.3)

    with cases.listening(drip) as port:
        report = examination.examine(target.of_url(f"redis://{HOST}:{port}"))
    assert not report.is_healthy
    assert report.seconds < WAIT_SECONDS


def test_a_loading_node_does_not_hide_others(tmp_path: Path) -> None:
    """The next one is logged in to; only a refused login ends it all."""
    with (
        faulty.TABLE_ROWS["loading"](tmp_path / "a") as loading,
        running(tmp_path / "b", *MEMORY_LIMIT, *AOF) as server,
    ):
        nodes = f"{loading.url.removeprefix('redis://').removesuffix('/0')},{HOST}:{server.port}"
        report = examination.examine(target.of_url(f"valkey+replicated://{nodes}"))
    assert {"loading", "no-replica"} <= {one.name for one in report.findings}
    assert report.state("version") == "ok"


def test_a_node_that_was_not_examined_is_no_problem(tmp_path: Path) -> None:
    with running(tmp_path / "a", *MEMORY_LIMIT, *AOF) as one, running(tmp_path / "b", *MEMORY_LIMIT, *AOF) as other:
        nodes = f"{HOST}:{one.port},{HOST}:{other.port}"
        report = examination.examine(target.of_url(f"valkey+replicated://{nodes}"), seconds=0.45)
    names = {found.name for found in report.findings if found.severity == "problem"}
    assert not names - {"no-answer"}
    assert report.seconds < WAIT_SECONDS
