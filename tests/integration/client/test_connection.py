from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import valkeykit
from valkeykit import errors
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from harness import servers
from harness.ports import HOST
from harness.servers import Sentinels, ServerProcess, running
from harness.waiting import retry, wait_until


def test_sync_and_async_clients_see_the_same_data(server: ServerProcess) -> None:
    with closing(valkeykit.connect(server.url)) as client:
        assert client.set("greeting", "hello")

    async def read() -> Any:
        client = await valkeykit.aconnect(server.url)
        try:
            return await client.get("greeting")
        finally:
            await client.aclose()

    assert asyncio.run(read()) == "hello"


def test_a_connect_sends_nothing_that_valkey_refuses(server: ServerProcess) -> None:
    with closing(server.client()) as admin:
        admin.config_resetstat()
    with closing(valkeykit.connect(server.url, topology="single")) as client:
        client.ping()
        assert client.info("errorstats") == {}


def test_an_endpoint_connects_with_its_user(own_server: ServerProcess) -> None:
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
            assert retry(partial(client.set, "after", "2"), redis.ConnectionError, redis.TimeoutError)
        for client in (*clients, reader, sentinel_only):
            client.close()
    finally:
        group.kill()


def test_a_primary_without_replicas_is_not_chosen(tmp_path: Path) -> None:
    """It restarted after a failover, and is not a replica yet."""
    with running(tmp_path / "old") as old, running(tmp_path / "new") as new:
        follower = ServerProcess(
            tmp_path / "replica", "--replicaof", f"{HOST} {new.port}", "--repl-diskless-sync-delay", "0"
        )
        try:
            follower.start()
            with closing(new.client()) as client:
                wait_until(lambda: client.info("replication")["connected_slaves"] == 1)
            with closing(valkeykit.connect(f"valkey+replicated://{HOST}:{old.port},{HOST}:{new.port}")) as client:
                assert client.info("server")["tcp_port"] == new.port
                follower.kill()
            with closing(valkeykit.connect(f"valkey+replicated://{HOST}:{new.port}")) as alone:
                assert alone.info("server")["tcp_port"] == new.port
        finally:
            follower.kill()


def test_a_command_whose_reply_is_late_is_sent_once(own_server: ServerProcess) -> None:
    with closing(valkeykit.connect(own_server.url, read_timeout=0.2)) as client:
        client.ping()
        own_server.pause()
        with pytest.raises(errors.OperationTimeoutError), valkeykit.translate_errors():
            client.incr("counter")
        own_server.resume()
    with closing(own_server.client()) as admin:
        admin.ping()
        assert admin.info("commandstats").get("cmdstat_incr", {"calls": 0})["calls"] <= 1


def test_a_wrong_password_is_tried_once(own_server: ServerProcess) -> None:
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
def test_what_a_server_refuses_is_explained(
    server: ServerProcess, command: list[Any], expected: type[Exception]
) -> None:
    with closing(valkeykit.connect(server.url, topology="single")) as client:
        with pytest.raises(errors.ValkeykitError) as caught, valkeykit.translate_errors():
            client.execute_command(*command)
        assert type(caught.value) is expected
        assert caught.value.fix


def test_a_port_without_tls(server: ServerProcess) -> None:
    url = server.url.replace("redis://", "rediss://")
    client = valkeykit.connect(url, connect_timeout=0.5, read_timeout=0.5, topology="single")
    with closing(client), pytest.raises(errors.UnreachableError), valkeykit.translate_errors():
        client.ping()


def test_a_cluster_client_on_a_single_node(server: ServerProcess) -> None:
    with pytest.raises(errors.TopologyError), valkeykit.translate_errors():
        valkeykit.connect(server.url, topology="cluster")


def test_the_import_pulls_in_no_redis() -> None:
    code = "import valkeykit, sys; print('redis' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
