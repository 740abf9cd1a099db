from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import valkeykit
from valkeykit import errors
from valkeykit.endpoint import Endpoint
from valkeykit.url import Address, Node

from harness import servers
from harness.ports import HOST, free_port
from harness.servers import STARTS_WITHIN, Sentinels, Server, running


def test_sync_and_async_clients_see_the_same_data(server: Server) -> None:
    with closing(valkeykit.connect(server.url)) as client:
        assert client.set("greeting", "hello")

    async def read() -> Any:
        client = await valkeykit.aconnect(server.url)
        try:
            return await client.get("greeting")
        finally:
            await client.aclose()

    assert asyncio.run(read()) == "hello"


def test_a_connect_sends_nothing_that_valkey_refuses(server: Server) -> None:
    with closing(server.client()) as admin:
        admin.config_resetstat()
    with closing(valkeykit.connect(server.url, topology="single")) as client:
        client.ping()
        assert client.info("errorstats") == {}


def test_an_endpoint_connects_with_its_user(own_server: Server) -> None:
    with closing(own_server.client()) as admin:
        admin.acl_setuser("app", enabled=True, passwords=["+p@ss:w/rd"], keys=["*"], commands=["+@all"])
    endpoint = Endpoint(
        target="embedded", topology="single", nodes=(Node(HOST, own_server.port),), tls=False, version="9.1.2",
        workload="queue", maxmemory=1, users=("app",),
    )  # fmt: skip
    with closing(valkeykit.connect(endpoint, username="app", password="p@ss:w/rd")) as client:
        assert client.acl_whoami() == "app"


def test_a_cluster_is_found_out(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes, closing(valkeykit.connect(nodes[1].url)) as client:
        for number in range(50):
            client.set(f"key{number}", number)
        assert [client.get(f"key{number}") for number in range(50)] == [str(number) for number in range(50)]
        plain = valkeykit.connect(nodes[0].url, topology="single")
        with closing(plain), pytest.raises(errors.TopologyError), valkeykit.translate_errors():
            _ = [plain.get(f"key{number}") for number in range(50)]


def test_writes_follow_the_primary_and_reads_may_go_to_replicas(tmp_path: Path) -> None:
    group = Sentinels(tmp_path)
    try:
        group.start()
        nodes = f"valkey+replicated://{HOST}:{group.replica.port},{HOST}:{group.primary.port}"
        clients = [valkeykit.connect(group.url), valkeykit.connect(nodes)]
        reader = valkeykit.connect(group.url, read_from_replicas=True)
        sentinel_only = valkeykit.connect(f"redis://{HOST}:{group.sentinels[0].port}")
        assert [client.set("before", "1") for client in clients] == [True, True]
        assert reader.info("replication")["role"] == "slave"
        assert sentinel_only.get("before") == "1"
        group.primary.kill()
        for client in clients:
            assert _eventually(partial(client.set, "after", "2"))
        for client in (*clients, reader, sentinel_only):
            client.close()
    finally:
        group.kill()


def _eventually(action: Callable[[], Any]) -> Any:
    end = time.monotonic() + servers.STARTS_WITHIN
    while True:
        try:
            return action()
        except (redis.ConnectionError, redis.TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_a_primary_that_nobody_follows_isnt_chosen(tmp_path: Path) -> None:
    """It came back after a failover, and hasn't been told yet."""
    with running(tmp_path / "old") as old, running(tmp_path / "new") as new:
        follower = Server(tmp_path / "replica", "--replicaof", f"{HOST} {new.port}", "--repl-diskless-sync-delay", "0")
        try:
            follower.start()
            with closing(new.client()) as client:
                _until(lambda: client.info("replication")["connected_slaves"] == 1)
            with closing(valkeykit.connect(f"valkey+replicated://{HOST}:{old.port},{HOST}:{new.port}")) as client:
                assert client.info("server")["tcp_port"] == new.port
                follower.kill()
            with closing(valkeykit.connect(f"valkey+replicated://{HOST}:{new.port}")) as alone:
                assert alone.info("server")["tcp_port"] == new.port
        finally:
            follower.kill()


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_command_whose_answer_is_late_is_sent_once(own_server: Server) -> None:
    with closing(valkeykit.connect(own_server.url, read_timeout=0.2)) as client:
        client.ping()
        own_server.pause()
        with pytest.raises(errors.OperationTimeoutError), valkeykit.translate_errors():
            client.incr("counter")
        own_server.resume()
    with closing(own_server.client()) as admin:
        admin.ping()
        assert admin.info("commandstats").get("cmdstat_incr", {"calls": 0})["calls"] <= 1


def test_a_wrong_password_is_tried_once(own_server: Server) -> None:
    with closing(own_server.client()) as admin:
        admin.config_set("requirepass", "right")
    with closing(valkeykit.connect(f"redis://:wrong-secret@{HOST}:{own_server.port}", topology="single")) as client:
        with pytest.raises(errors.LoginError) as caught, valkeykit.translate_errors():
            client.ping()
        assert "wrong-secret" not in f"{caught.value!r}{caught.value}{client!r}"
    with closing(redis.Redis(port=own_server.port, password="right")) as admin:
        assert admin.info("stats")["acl_access_denied_auth"] == 1


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["EVAL", "return redis.error_reply('MISCONF no disk')", 0], errors.RefusedError),
        (["EVAL", "return redis.error_reply('NOREPLICAS not enough')", 0], errors.RefusedError),
        (["EVAL", "return redis.error_reply('READONLY a replica')", 0], errors.ReadOnlyError),
        (["EVAL", "return redis.error_reply('CLUSTERDOWN it is')", 0], errors.UnreachableError),
        (["EVAL", "return redis.error_reply('LOADING data')", 0], errors.UnreachableError),
        (["EVAL", "return redis.error_reply('MASTERDOWN link')", 0], errors.UnreachableError),
        (["EVAL", "return redis.error_reply('OOM command not allowed')", 0], errors.OutOfMemoryError),
        (["EVAL", "return redis.error_reply('NOPERM no')", 0], errors.NotPermittedError),
        (["EVAL", "return redis.error_reply('CROSSSLOT keys')", 0], errors.TopologyError),
        (["NOSUCHCOMMAND"], errors.RefusedError),
    ],
)
def test_what_a_server_refuses_is_explained(server: Server, command: list[Any], expected: type[Exception]) -> None:
    with closing(valkeykit.connect(server.url, topology="single")) as client:
        with pytest.raises(errors.ValkeykitError) as caught, valkeykit.translate_errors():
            client.execute_command(*command)
        assert type(caught.value) is expected
        assert caught.value.fix


def test_nobody_listens_and_no_such_host() -> None:
    for url, text in (
        (f"redis://{HOST}:{free_port()}", "nothing listens"),
        ("redis://no-such-host.invalid:6379", "host name is unknown|name server"),
    ):
        client = valkeykit.connect(url)
        with closing(client), pytest.raises(errors.UnreachableError, match=text), valkeykit.translate_errors():
            client.ping()


def test_a_port_without_tls(server: Server) -> None:
    url = server.url.replace("redis://", "rediss://")
    client = valkeykit.connect(url, connect_timeout=0.5, read_timeout=0.5, topology="single")
    with closing(client), pytest.raises(errors.UnreachableError), valkeykit.translate_errors():
        client.ping()


def test_a_cluster_client_on_a_single_node(server: Server) -> None:
    with pytest.raises(errors.TopologyError), valkeykit.translate_errors():
        valkeykit.connect(server.url, topology="cluster")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"read_timeout": float("nan")}, "read_timeout"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_connections": 10**9}, "max_connections"),
        ({"connect_timeout": 1e300}, "connect_timeout"),
        ({"read_timeout": 10**400}, "read_timeout"),
        ({"topology": "ring"}, "topology"),
        ({"ca": "/no/such/file.pem"}, "can't read '/no/such/file.pem'"),
        ({"username": "app"}, "Endpoint"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=text):
        valkeykit.connect("redis://localhost:6379", **options)


def test_a_cluster_has_one_database() -> None:
    with pytest.raises(errors.ConfigurationError, match="database 2"):
        valkeykit.connect("valkey+cluster://localhost:6379/2")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("valkey+cluster://a:1,b:2", Address("a", 1, topology="cluster", fallback_nodes=(Node("b", 2),))),
        ("valkeys+replicated://u:p@a", Address("a", 6379, True, "u", "p", topology="replicated")),
        (
            "valkey+sentinel://a:1,b:2,c/main/3",
            Address(
                "a", 1, database=3, topology="sentinel", service="main", fallback_nodes=(Node("b", 2), Node("c", 6379))
            ),
        ),
        ("redis+sentinel://a", Address("a", 6379, topology="sentinel")),
    ],
)
def test_urls_that_say_the_topology(url: str, expected: Address) -> None:
    assert valkeykit.parse(url) == expected


@pytest.mark.parametrize("url", ["valkey+ring://a", "valkey+cluster://a:1,b:x", "http+cluster://a"])
def test_urls_that_dont(url: str) -> None:
    with pytest.raises(errors.ConfigurationError):
        valkeykit.parse(url)


def test_the_import_pulls_in_no_redis() -> None:
    code = "import valkeykit, sys; print('redis' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_everything_that_is_promised_exists() -> None:
    assert all(getattr(valkeykit, name) is not None for name in valkeykit.__all__)
    with pytest.raises(AttributeError, match="no_such"):
        valkeykit.no_such  # noqa: B018
