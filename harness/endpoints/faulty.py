"""Faulty endpoints with an error of redis-py, each a real one: the rows of the error table in docs/client/doctor.md."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import redis

from harness import binaries, servers
from harness import tls as tls_end
from harness.endpoints import cases
from harness.endpoints.cases import EndpointCase, OpenEndpoint, registrar
from harness.endpoints.endpoint_servers import MEMORY_LIMIT, endless_script, replicated_pair, tls, user
from harness.ports import HOST, free_port
from harness.servers import ServerProcess, running
from harness.waiting import wait_until

TABLE_ROWS: dict[str, OpenEndpoint] = {}

_register = registrar(TABLE_ROWS)


@_register("refused")
def _refused(_: Path) -> Iterator[EndpointCase]:
    yield EndpointCase(f"redis://{HOST}:{free_port()}")


@_register("unknown-host")
def _unknown_host(_: Path) -> Iterator[EndpointCase]:
    yield EndpointCase("redis://no-such-host.invalid:6379")


@_register("no-credentials")
def _no_credentials(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--requirepass", "right") as server:
        yield EndpointCase(server.url)


@_register("wrong-password")
def _wrong_password(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--requirepass", "right") as server:
        yield EndpointCase(f"redis://:wrong-secret@{HOST}:{server.port}")


@_register("wrong-password:off")
def _user_off(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app off >right ~* +@all")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_register("not-permitted")
def _not_permitted(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* +@read +@connection +@transaction +info")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_register("out-of-memory")
def _out_of_memory(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, "--maxmemory", "4mb") as server, closing(server.client()) as client:
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            for number in range(100):
                client.set(f"key:{number}", "x" * 100_000)
        client.config_set("maxmemory", "3mb")  # full, whatever buffers are freed meanwhile
        yield EndpointCase(server.url)


@_register("cluster-met-by-single")
def _cluster_met_by_single(folder: Path) -> Iterator[EndpointCase]:
    with servers.cluster(folder) as nodes:
        yield EndpointCase(f"redis+single://{HOST}:{nodes[0].port}")


@_register("cross-slot")
def _cross_slot(folder: Path) -> Iterator[EndpointCase]:
    with servers.cluster(folder) as nodes, closing(nodes[0].client()) as client:
        with contextlib.suppress(redis.exceptions.ClusterCrossSlotError):
            client.execute_command("MSET", "a", 1, "b", 2)
        yield EndpointCase(f"valkey+cluster://{HOST}:{nodes[0].port}")


@_register("cluster-down")
def _cluster_down(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        yield EndpointCase(f"valkey+cluster://{HOST}:{server.port}")


@_register("single-met-by-cluster")
def _single_met_by_cluster(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(f"valkey+cluster://{HOST}:{server.port}")


@_register("replica-written")
def _replica(folder: Path) -> Iterator[EndpointCase]:
    with replicated_pair(folder) as (_, replica):
        yield EndpointCase(replica.url)


@_register("loading")
def _loading(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server, closing(server.client()) as client:
        client.mset({f"key:{number}": "x" * 200 for number in range(20_000)})
        client.save()
    server = ServerProcess(folder, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    server.launch()
    try:
        wait_until(lambda: _replies(server.port, b"LOADING"))
        yield EndpointCase(server.url)
    finally:
        server.kill()


def _replies(port: int, text: bytes) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1) as connection:
        connection.sendall(b"PING\r\n")
        return text in connection.recv(200)
    return False


@_register("primary-down")
def _primary_down(folder: Path) -> Iterator[EndpointCase]:
    with replicated_pair(folder, "--replica-serve-stale-data", "no") as (primary, replica):
        primary.kill()
        wait_until(lambda: _replies(replica.port, b"MASTERDOWN"))
        yield EndpointCase(f"valkey+replicated://{HOST}:{replica.port}")


@_register("disk-refuses")
def _disk_refuses(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server, closing(server.client()) as client:
        (folder / "dump.rdb").mkdir()  # a snapshot can't take its place
        client.set("a", 1)
        client.config_set("save", "3600 1")
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield EndpointCase(server.url)


@_register("too-few-replicas")
def _too_few_replicas(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--min-replicas-to-write", "1") as server:
        yield EndpointCase(server.url)


@_register("busy-script")
def _busy_script(folder: Path) -> Iterator[EndpointCase]:
    with endless_script(folder, "--busy-reply-threshold", "50") as server:
        yield EndpointCase(server.url)


@_register("too-many-clients")
def _too_many_clients(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--maxclients", "3") as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection((HOST, server.port))).sendall(b"PING\r\n")
        time.sleep(0.1)
        yield EndpointCase(server.url)


@_register("tls-port")
def _tls_port(folder: Path) -> Iterator[EndpointCase]:
    with tls(folder) as end:
        yield EndpointCase(f"redis://localhost:{end.port}")


@_register("no-tls")
def _no_tls(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(server.url.replace("redis://", "valkeys://"))


@_register("unknown-authority")
def _unknown_authority(folder: Path) -> Iterator[EndpointCase]:
    with tls(folder) as end:
        yield EndpointCase(f"rediss://localhost:{end.port}")


@_register("wrong-host-name")
def _wrong_host_name(folder: Path) -> Iterator[EndpointCase]:
    with tls(folder, names="DNS:elsewhere.example") as end:
        yield EndpointCase(f"rediss://localhost:{end.port}", end.ca)


@_register("client-certificate")
def _client_certificate(folder: Path) -> Iterator[EndpointCase]:
    """A real server's TLS: Debian's Redis 7.0, which asks for one by default."""
    tls_end.context(folder, tls_end.LOCAL)
    port = free_port()
    files = {"cert": "certificate.pem", "key": "key.pem", "ca-cert": "certificate.pem"}
    options = [word for name, file in files.items() for word in (f"--tls-{name}-file", str(folder / file))]
    command = [binaries.program("redis-7.0"), "--port", "0", "--tls-port", str(port), "--bind", HOST]
    process = subprocess.Popen([*command, "--dir", str(folder), "--save", "", *options], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port))
        yield EndpointCase(f"rediss://localhost:{port}", folder / "certificate.pem")
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@_register("not-valkey")
def _http(_: Path) -> Iterator[EndpointCase]:
    with cases.http_server() as port:
        yield EndpointCase(f"redis://{HOST}:{port}")
