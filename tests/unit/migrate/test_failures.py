"""Every failure names the endpoint, ends within its limit, and has a fix."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import TimeoutError as LateError
from typer.testing import CliRunner
from valkeykit.commands import app
from valkeykit.errors import ConfigurationError, TlsError, UnreachableError
from valkeykit.url import Node
from valkeykit.vocabulary import MigrationRole
from valkeykit_ops.migrate import endpoints, failures, pipelined, survey
from valkeykit_ops.migrate import state as states
from valkeykit_ops.migrate.counters import Counters
from valkeykit_ops.migrate.endpoints import TlsFiles
from valkeykit_ops.migrate.key_scan import KeyScan
from valkeykit_ops.migrate.migration_server import MigrationServer, Primary, is_same_server
from valkeykit_ops.migrate.retrying import repeated
from valkeykit_ops.migrate.state import MigrationState
from valkeykit_ops.migrate.throttle import Throttle

from harness import tls
from harness.ports import HOST, free_port

URLS = ("redis://a:1", "redis://b:2")


@pytest.mark.parametrize("role", ["source", "target"])
def test_an_endpoint_that_does_not_listen_is_named(role: MigrationRole) -> None:
    port = free_port()
    with pytest.raises(UnreachableError, match=f"{role} {HOST}:{port}: nothing listens"):
        MigrationServer(endpoints.settings(f"redis://{HOST}:{port}", None), role=role)


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a service that handles each connection with a function, and ends it."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_a_service_of_another_protocol() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with answering(answer) as port, pytest.raises(UnreachableError, match=r"source .*isn't Valkey"):
        MigrationServer(endpoints.settings(f"redis://{HOST}:{port}"), role="source")


def test_a_proxy_or_a_tls_port_that_ends_the_connection() -> None:
    with (
        answering(lambda connection: connection.recv(1000)) as port,
        pytest.raises(
            UnreachableError, match=rf"target {HOST}:{port}: .* rediss://; if it is a proxy such as twemproxy"
        ),
    ):
        MigrationServer(endpoints.settings(f"redis://{HOST}:{port}"), role="target")


def test_a_port_without_tls_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelined, "TLS_HANDSHAKE_SECONDS", 0.2)
    ended = threading.Event()
    try:
        with (
            answering(lambda _: ended.wait()) as port,
            pytest.raises(UnreachableError, match="use redis:// for a port without TLS"),
        ):
            MigrationServer(endpoints.settings(f"rediss://{HOST}:{port}"), role="target")
    finally:
        ended.set()


def test_an_address_that_only_the_cluster_announces() -> None:
    """Behind NAT the nodes announce addresses that are not reachable."""
    announced = free_port()

    def answer(connection: socket.socket) -> None:
        while request := connection.recv(1000):
            info = b"# Server\r\nredis_version:7.0.0\r\nredis_mode:cluster\r\n"
            slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % announced
            connection.sendall(b"$%d\r\n%b\r\n" % (len(info), info) if b"INFO" in request else slots)

    with answering(answer) as port:
        server = MigrationServer(endpoints.settings(f"valkey+cluster://{HOST}:{port}"), role="source")
        expected = rf"source {HOST}:{announced}: .*cluster-announce-ip"
        with pytest.raises(UnreachableError, match=expected), failures.translating_errors():
            server.sizes()
        server.close()


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (TlsFiles(ca=Path("nowhere.pem")), "source: ca: can't read 'nowhere.pem'"),
        (TlsFiles(certificate=Path("certificate.pem")), "pass both --source-cert and --source-key"),
        (TlsFiles(key=Path("key.pem")), "pass both --source-cert and --source-key"),
    ],
)
def test_files_of_tls_that_cannot_be_used(
    files: TlsFiles, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tls.context(tmp_path)
    with pytest.raises(ConfigurationError, match=text):
        endpoints.settings("rediss://a:1", files, role="source")


def test_a_ca_certificate_without_tls(tmp_path: Path) -> None:
    tls.context(tmp_path)
    with pytest.raises(ConfigurationError, match="target: a CA certificate needs TLS"):
        endpoints.settings("redis://a:1", TlsFiles(ca=tmp_path / "certificate.pem"), role="target")


def test_tls_files_of_a_source_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["migrate", "run", "dump.rdb", "redis://b:2", "--source-ca", "ca.pem"])
    assert done.exit_code == 2, done.output


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("gone.rdb", "http://a:1", "target: the connection URL must start with"),  # before the file is loaded
        ("gone.rdb", "redis://a:99999", "target: the connection URL has no valid host and port"),
        ("gone.rdb", "redis://a:1/3", "target: the URL names database 3"),
        ("gone.rdb", "redis://a:1", "the file 'gone.rdb' does not exist"),
        ("a:6379", "redis://a:1", "a URL such as redis://host:6379"),
        ("unix:///run/valkey.sock", "redis://a:1", "source: a migration needs a host and a port"),
    ],
)
def test_wrong_endpoints(source: str, target: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["migrate", "run", source, target])
    assert done.exit_code == 1
    assert text in str(done.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ids", "same"), [("b", True), ("bx", True), ("xy", False)])
def test_a_server_by_two_names(ids: str, same: bool) -> None:
    """Such as two nodes of a cluster, or an address and a proxy in front of it."""

    def server(run_ids: str) -> Any:
        nodes = [Primary(Node(name, 1)) for name in run_ids]
        return SimpleNamespace(primaries=lambda: nodes, info=lambda node, _: {"run_id": node.host})

    assert is_same_server(server("abc"), server(ids)) is same


def test_a_state_folder_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1}')
    with pytest.raises(ConfigurationError, match="has format 1"):
        MigrationState(tmp_path)
    with pytest.raises(ConfigurationError, match="File exists"):
        MigrationState(tmp_path / "run.json")


def test_the_fix_of_an_unknown_authority_is_an_option() -> None:
    with (
        pytest.raises(TlsError, match=r"target b:2: .* -> pass the authority's certificate with --target-ca"),
        failures.translating_errors(),
        failures.naming_endpoint("target", "b:2"),
    ):
        raise BrokenError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--rate", "0"], ["run", "--type", "strings"], ["run", "--batch", "-1"], ["run", "--follow", "-3"],
        ["run", "--reconnect-timeout", "nan"], ["run", "--database", "-1"], ["run", "--rename", "a:b"],
        ["run", "--conflict", "merge"], ["run", "--match", "a", "--rename", "b=c"], ["plan", "--type", "graph"],
        ["verify", "--rate", "0"], ["cut-over", "--quiet", "-1"], ["cut-over", "--quiet", "nan"],
        ["cut-over", "--pause-writes", "0"], ["cut-over", "--conflict", "skip"], ["reverse", "--follow", "-1"],
        ["run", "--follow", "3", "--conflict", "skip"], ["reverse", "--pause-writes", "5"],
        ["run", "--scratch-server", "valkey-server"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["migrate", words[0], *URLS, *words[1:]])
    assert done.exit_code == 2, done.output
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = MigrationState(tmp_path / "state")

    @contextlib.contextmanager
    def full(_: Path) -> Iterator[Any]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(states, "_opened", full)
    with pytest.raises(ConfigurationError, match="state' cannot be written: No space left on device"):
        state.put("a", 1)


class SilentHandler:
    """Takes the first batch and then fails: a target that accepted what was sent and does not answer."""

    def __init__(self) -> None:
        self.batches = 0

    def handle(self, _: Any) -> None:
        self.batches += 1
        if self.batches > 1:
            raise LateError("Timeout reading from socket")

    def flush(self) -> None: ...

    def close(self) -> None: ...


def context(timeout: float) -> Any:
    return SimpleNamespace(
        options=SimpleNamespace(reconnect_timeout=timeout, scope=SimpleNamespace(includes=lambda _: True)),
        counters=Counters(), throttle=Throttle(None, None, 10), stop=threading.Event(), check_stop=lambda: None,
    )  # fmt: skip


def connection(*_: Any) -> Any:
    replies = {"INFO": b"run_id:one", "SCAN": [b"7", [b"a"]]}
    return SimpleNamespace(call=lambda name, *_: replies[name], close=lambda: None)


def test_a_target_that_stopped_responding_exhausts_the_timeout() -> None:
    server: Any = SimpleNamespace(
        connect=connection, databases=lambda: [0], is_moving=lambda: False, primaries=lambda: [Primary(Node("a", 1))]
    )
    began = time.monotonic()
    with pytest.raises(LateError):
        KeyScan(context(1.5), server, lambda _: SilentHandler()).run()
    assert 1.5 <= time.monotonic() - began < 60


@pytest.mark.parametrize(("timeout", "limit"), [(60.0, 30.0), (12.0, 12.0), (0.1, 5.0)])
def test_a_server_that_does_not_respond_counts_as_unreachable(timeout: float, limit: float) -> None:
    server = MigrationServer.__new__(MigrationServer)
    server.settings = endpoints.settings("redis://a:1")
    server.limit_waiting(timeout)
    assert server.settings.read_timeout == limit


def test_a_node_that_a_failover_replaced_is_not_queried_until_the_timeout() -> None:
    old, new = Primary(Node("old", 1), frozenset(range(16384))), Primary(Node("new", 1), frozenset(range(16384)))
    layout = [old]
    scanned = []

    def connect(node: Node, _: int) -> Any:
        if node == old.node:
            layout[:] = [new]
            raise BrokenError("Error 111 connecting")
        scanned.append(node)
        return SimpleNamespace(
            call=lambda name, *_: b"run_id:two" if name == "INFO" else [b"0", [b"a"]], close=lambda: None
        )

    server: Any = SimpleNamespace(
        connect=connect, databases=lambda: [0], is_moving=lambda: False, primaries=lambda: list(layout)
    )
    KeyScan(context(600.0), server, lambda _: SilentHandler()).run()
    assert scanned == [new.node]


def test_sentinels_are_no_clients() -> None:
    lists = {
        ("CLIENT", "ID"): 1,
        ("CLIENT", "LIST"): b"id=2 addr=10.0.0.1:5 name=sentinel-ab-cmd user=default db=0\n",
        ("CLIENT", "LIST", "TYPE", "normal"): b"id=2 addr=10.0.0.1:5 name=sentinel-ab-cmd user=default db=0\n",
        ("CLIENT", "LIST", "TYPE", "pubsub"): b"id=3 addr=10.0.0.1:6 name=sentinel-ab-pubsub user=default db=0\n",
    }
    calls = iter([5, 9])
    server: Any = SimpleNamespace(
        name="a", sizes=dict, primaries=lambda: [Primary(Node("a", 1))], command=lambda _, *words: lists[words],
        info=lambda *_: {"cmdstat_publish": f"calls={next(calls)},usec=1", "cmdstat_role": "calls=3"},
    )  # fmt: skip
    assert survey.take(server, None, seconds=0.01).is_idle


def test_a_step_is_repeated_after_an_outage() -> None:
    outcomes = iter([BrokenError("Error 111"), LateError("Timeout"), None])
    broken: list[int] = []

    def step() -> str:
        if problem := next(outcomes):
            raise problem
        return "done"

    both: Any = SimpleNamespace(sizes=dict)
    running = context(60.0)
    running.source = running.target = both
    assert repeated(running, step, lambda: broken.append(1)) == "done"
    assert len(broken) == 2


def test_an_outage_that_lasts_ends_a_run() -> None:
    def down() -> Any:
        raise BrokenError("Error 111")

    running = context(0.5)
    running.source = running.target = SimpleNamespace(sizes=down)
    with pytest.raises(BrokenError):
        repeated(running, down, lambda: None)


def test_a_rejected_login_is_not_repeated() -> None:
    def rejected() -> Any:
        raise AuthenticationError("WRONGPASS")

    with pytest.raises(AuthenticationError):
        repeated(context(600.0), rejected, lambda: None)
