"""States of one real server that the doctor names, each set and ended on the same server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from valkeykit_ops.doctor import examination, target
from valkeykit_ops.doctor.finding import NOTE, PROBLEM, WARNING, DoctorReport, Finding

from harness.endpoints import cases
from harness.endpoints.endpoint_servers import MEMORY_LIMIT
from harness.ports import HOST
from harness.servers import ServerProcess, running
from harness.waiting import wait_until
from tests.support import fixes

AOF = ("--appendonly", "yes")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("server"), *MEMORY_LIMIT, *AOF) as made:
        yield made


@pytest.fixture
def client(server: ServerProcess) -> Iterator[redis.Redis]:
    with closing(server.client()) as made:
        yield made
        made.flushall()


def examine(url: str, workload: str | None = None) -> DoctorReport:
    return examination.examine(target.of_url(url, workload=workload))


def found(report: DoctorReport, name: str) -> Finding:
    names = [(one.severity, one.name) for one in report.findings]
    return next((one for one in report.findings if one.name == name), None) or pytest.fail(f"{name} not in {names}")


def is_ended(url: str, finding: Finding, folder: Path, workload: str | None = None) -> None:
    """Run the printed fix, and examine again."""
    fixes.run(finding.fix, folder)
    wait_until(lambda: finding.name not in {one.name for one in examine(url, workload).findings})


@contextlib.contextmanager
def connected(server: ServerProcess, *commands: bytes) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, server.port)) as connection:
        for command in commands:
            connection.sendall(command + b"\r\n")
        yield connection


@pytest.mark.parametrize(("mode", "what"), [("WRITE", "writes are held back"), ("ALL", "all commands are held back")])
def test_paused_clients_are_not_called_a_stopped_process(
    server: ServerProcess, tmp_path: Path, mode: str, what: str
) -> None:
    with closing(server.client()) as client:
        client.execute_command("CLIENT", "PAUSE", "6000" if mode == "ALL" else "600000", mode)
    report = examine(server.url)
    is_ended(server.url, found(report, "paused"), tmp_path)
    assert found(report, "paused").what.startswith(what)
    assert found(report, "paused").severity == PROBLEM
    assert "no-answer" not in {one.name for one in report.findings}
    assert not report.is_healthy


def test_a_proxy_is_named() -> None:
    """Like twemproxy, it answers PING and closes the connection at what it doesn't support."""

    def proxy(connection: socket.socket) -> None:
        while b"PING" in (data := connection.recv(4096)):
            connection.sendall(b"+PONG\r\n" * data.count(b"PING"))

    with cases.listening(proxy) as port:
        report = examine(f"redis://{HOST}:{port}")
    assert [one.name for one in report.findings] == ["proxy"]
    assert "twemproxy" in report.findings[0].why


@pytest.mark.parametrize("rule", ["~app:*", "%RW~app:[ab]?", "~app:* ~job:*"])
def test_a_user_limited_to_key_patterns_is_no_problem(server: ServerProcess, client: redis.Redis, rule: str) -> None:
    """Rights to its own rules or one of its keys suffice to check writes."""
    client.execute_command(
        "ACL", "SETUSER", "app", "reset", *f"on >right {rule} &* +@all -@admin -@dangerous".split(), "+info"
    )
    url = f"redis://app:right@{HOST}:{server.port}"
    report = examine(url)
    assert report.is_healthy
    assert found(report, "limited-keys").severity == NOTE
    client.set("app:a1", "1")
    assert "limited-keys" not in {one.name for one in examine(url).findings}
    client.execute_command("ACL", "SETUSER", "app", "-set", "+acl|getuser")
    client.flushall()
    report = examine(url)
    assert found(report, "not-permitted").what.endswith("is not permitted to run SET")
    assert "limited-keys" not in {one.name for one in report.findings}
    client.execute_command("ACL", "DELUSER", "app")


def test_a_monitor_and_idle_connections_are_notes(
    server: ServerProcess, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkeykit_ops.doctor.load.MANY_IDLE_CLIENTS", 5)
    monkeypatch.setattr("valkeykit_ops.doctor.load.IDLE_SECONDS", 0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(connected(server, b"MONITOR"))
        for _ in range(6):
            stack.enter_context(connected(server, b"PING"))
        wait_until(lambda: {"monitor", "idle-clients"} <= {one.name for one in examine(server.url).findings})
        report = examine(server.url)
        is_ended(server.url, found(report, "monitor"), tmp_path)
        fixes.run(found(report, "idle-clients").fix, tmp_path)
    assert client.config_get("timeout") == {"timeout": "300"}
    client.config_set("timeout", 0)
    assert found(report, "monitor").severity == found(report, "idle-clients").severity == NOTE
    assert report.is_healthy


def test_the_buffer_of_a_subscriber_that_does_not_read(
    server: ServerProcess, client: redis.Redis, tmp_path: Path
) -> None:
    client.config_set("client-output-buffer-limit", "pubsub 0 0 0")
    with connected(server, b"CLIENT SETNAME slow-reader", b"SUBSCRIBE news"):
        wait_until(lambda: dict(client.pubsub_numsub("news")).get("news"))
        for _ in range(80):
            client.publish("news", "x" * 1_000_000)
        finding = found(examine(server.url), "slow-reader")
        is_ended(server.url, finding, tmp_path)
    assert finding.severity == WARNING
    assert "slow-reader" in finding.what
    client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")


def test_many_cached_scripts(
    server: ServerProcess, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkeykit_ops.doctor.memory.MANY_SCRIPTS", 50)
    for number in range(60):
        client.script_load(f"return {number}")
    finding = found(examine(server.url), "scripts")
    assert finding.severity == NOTE
    is_ended(server.url, finding, tmp_path)


def test_changes_that_no_save_point_covers(server: ServerProcess, client: redis.Redis, tmp_path: Path) -> None:
    client.config_set("appendonly", "no")
    client.config_set("save", "1000000 1000000")
    client.mset({f"key:{number}": "1" for number in range(100)})
    report = examine(server.url, workload="queue")
    finding = found(report, "rarely-saved")
    assert finding.severity == WARNING
    assert "no save point covers them" in finding.what
    assert "rarely-saved" not in {one.name for one in examine(server.url, workload="cache").findings}
    client.config_set("save", "3600 1")
    assert "rarely-saved" not in {one.name for one in examine(server.url, workload="queue").findings}
    client.config_set("save", "1000000 1000000")
    is_ended(server.url, finding, tmp_path, workload="queue")
    client.config_set("save", "")


def test_a_writable_replica(server: ServerProcess, tmp_path: Path) -> None:
    options = (*MEMORY_LIMIT, *AOF, "--replica-read-only", "no", "--replicaof", f"{HOST} {server.port}")
    with running(tmp_path, *options) as replica, closing(replica.client()) as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        url = f"valkey+replicated://{HOST}:{server.port},{HOST}:{replica.port}"
        finding = found(examine(url), "writable-replica")
        assert finding.severity == WARNING
        is_ended(url, finding, tmp_path)


def test_a_primary_with_a_replica_is_no_replica(server: ServerProcess, tmp_path: Path) -> None:
    """The replica that the server announces is examined too, but the URL does not point to it."""
    with running(tmp_path, *MEMORY_LIMIT, *AOF, "--replicaof", f"{HOST} {server.port}") as replica:
        with closing(replica.client()) as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        report = examine(server.url)
        assert report.is_healthy, report.findings
        assert str(replica.port) in str(report.findings)


def test_a_full_queue_is_a_problem_between_two_rejected_writes(
    server: ServerProcess, client: redis.Redis, tmp_path: Path
) -> None:
    """A small write may still pass, as buffers come and go."""
    client.setrange("job", 5_000_000, "x")
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 1_000_000)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("more", "x" * 100_000)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
    report = examine(server.url, workload="queue")
    finding = found(report, "out-of-memory")
    assert (finding.severity, report.is_healthy) == (PROBLEM, False)
    is_ended(server.url, finding, tmp_path, workload="queue")
    client.config_set("maxmemory", "300mb")


@pytest.mark.parametrize("login", ["", "app:right@"])
def test_a_far_server_is_slow_but_healthy(server: ServerProcess, client: redis.Redis, login: str) -> None:
    """Each round trip takes 300 ms, so that the limits of a near server would be reached."""
    client.execute_command(
        "ACL", "SETUSER", "app", *["reset", "on", ">right", "~*", "&*", "+@all", "-@admin", "-@dangerous", "+info"]
    )
    with delayed(server.port, 0.15) as port:
        report = examine(f"redis://{login}{HOST}:{port}")
    assert report.is_healthy, report.findings
    assert {one.name for one in report.findings if one.severity == WARNING} == {"slow"}
    assert "not the network" in found(report, "slow").why
    client.execute_command("ACL", "DELUSER", "app")


def test_a_line_that_dies_after_the_login_is_no_pause(server: ServerProcess) -> None:
    """The server answered before; what is queued then gets no answer, like a write during a pause."""
    with delayed(server.port, 0.05, until=b"MULTI") as port:
        report = examine(f"redis://{HOST}:{port}")
    assert found(report, "no-answer").severity == PROBLEM
    assert "paused" not in {one.name for one in report.findings}


@contextlib.contextmanager
def delayed(port: int, seconds: float, until: bytes | None = None) -> Iterator[int]:
    """A proxy that delays what it passes on; nothing passes any more once a client sent `until`."""
    dead = threading.Event()

    def relay(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if until is not None and until in data:
                    dead.set()
                time.sleep(seconds)
                if not dead.is_set():
                    sink.sendall(data)

    def talk(connection: socket.socket) -> None:
        with socket.create_connection((HOST, port)) as upstream:
            back = threading.Thread(target=relay, args=(upstream, connection), daemon=True)
            back.start()
            relay(connection, upstream)

    with cases.listening(talk) as listening:
        yield listening
