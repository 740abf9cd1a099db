"""Faulty endpoints, each a real one, by the name of the expected finding.

TABLE_ROWS are the rows of the error table in docs/client/doctor.md, OTHER_STATES have no error of redis-py.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import redis

from harness import binaries, servers
from harness import tls as tls_end
from harness.endpoints import cases
from harness.endpoints.cases import EndpointCase
from harness.ports import HOST, free_port
from harness.servers import Sentinels, ServerProcess, running
from harness.waiting import wait_until

OpenEndpoint = Callable[[Path], contextlib.AbstractContextManager[EndpointCase]]

TABLE_ROWS: dict[str, OpenEndpoint] = {}
OTHER_STATES: dict[str, OpenEndpoint] = {}
"""By the name of the finding, with a suffix if it has several endpoints."""

MEMORY_LIMIT = ("--maxmemory", "300mb")


def _endpoint(
    name: str, endpoints: dict[str, OpenEndpoint] = TABLE_ROWS
) -> Callable[[Callable[[Path], Iterator[EndpointCase]]], OpenEndpoint]:
    def register(function: Callable[[Path], Iterator[EndpointCase]]) -> OpenEndpoint:
        endpoints[name] = contextlib.contextmanager(function)
        return endpoints[name]

    return register


def user(rule: str) -> tuple[str, ...]:
    """The server's options for a user."""
    return ("--user", *rule.split())


@_endpoint("refused")
def _refused(_: Path) -> Iterator[EndpointCase]:
    yield EndpointCase(f"redis://{HOST}:{free_port()}")


@_endpoint("unknown-host")
def _unknown_host(_: Path) -> Iterator[EndpointCase]:
    yield EndpointCase("redis://no-such-host.invalid:6379")


@_endpoint("no-credentials")
def _no_credentials(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--requirepass", "right") as server:
        yield EndpointCase(server.url)


@_endpoint("wrong-password")
def _wrong_password(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--requirepass", "right") as server:
        yield EndpointCase(f"redis://:wrong-secret@{HOST}:{server.port}")


@_endpoint("wrong-password:off")
def _user_off(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app off >right ~* +@all")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_endpoint("not-permitted")
def _not_permitted(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* +@read +@connection +@transaction +info")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_endpoint("out-of-memory")
def _out_of_memory(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, "--maxmemory", "4mb") as server, closing(server.client()) as client:
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            for number in range(100):
                client.set(f"key:{number}", "x" * 100_000)
        client.config_set("maxmemory", "3mb")  # full, whatever buffers are freed meanwhile
        yield EndpointCase(server.url)


@_endpoint("cluster-met-by-single")
def _cluster_met_by_single(folder: Path) -> Iterator[EndpointCase]:
    with servers.cluster(folder) as nodes:
        yield EndpointCase(f"redis+single://{HOST}:{nodes[0].port}")


@_endpoint("cross-slot")
def _cross_slot(folder: Path) -> Iterator[EndpointCase]:
    with servers.cluster(folder) as nodes, closing(nodes[0].client()) as client:
        with contextlib.suppress(redis.exceptions.ClusterCrossSlotError):
            client.execute_command("MSET", "a", 1, "b", 2)
        yield EndpointCase(f"valkey+cluster://{HOST}:{nodes[0].port}")


@_endpoint("cluster-down")
def _cluster_down(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        yield EndpointCase(f"valkey+cluster://{HOST}:{server.port}")


@_endpoint("single-met-by-cluster")
def _single_met_by_cluster(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(f"valkey+cluster://{HOST}:{server.port}")


@contextlib.contextmanager
def _pair(folder: Path, *options: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """A primary, and a replica with options that follows it."""
    with (
        running(folder / "primary", *MEMORY_LIMIT, "--repl-diskless-sync-delay", "0") as primary,
        running(folder / "replica", *MEMORY_LIMIT, "--replicaof", f"{HOST} {primary.port}", *options) as replica,
        closing(replica.client()) as client,
    ):
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield primary, replica


@_endpoint("replica-written")
def _replica(folder: Path) -> Iterator[EndpointCase]:
    with _pair(folder) as (_, replica):
        yield EndpointCase(replica.url)


@_endpoint("loading")
def _loading(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server, closing(server.client()) as client:
        client.mset({f"key:{number}": "x" * 200 for number in range(20_000)})
        client.save()
    server = ServerProcess(folder, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    server.launch()
    try:
        wait_until(lambda: _says(server.port, b"LOADING"))
        yield EndpointCase(server.url)
    finally:
        server.kill()


def _says(port: int, text: bytes) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1) as connection:
        connection.sendall(b"PING\r\n")
        return text in connection.recv(200)
    return False


@_endpoint("primary-down")
def _primary_down(folder: Path) -> Iterator[EndpointCase]:
    with _pair(folder, "--replica-serve-stale-data", "no") as (primary, replica):
        primary.kill()
        wait_until(lambda: _says(replica.port, b"MASTERDOWN"))
        yield EndpointCase(f"valkey+replicated://{HOST}:{replica.port}")


@_endpoint("disk-refuses")
def _disk_refuses(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server, closing(server.client()) as client:
        (folder / "dump.rdb").mkdir()  # a snapshot can't take its place
        client.set("a", 1)
        client.config_set("save", "3600 1")
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield EndpointCase(server.url)


@_endpoint("too-few-replicas")
def _too_few_replicas(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--min-replicas-to-write", "1") as server:
        yield EndpointCase(server.url)


@contextlib.contextmanager
def _script(folder: Path, *options: str) -> Iterator[ServerProcess]:
    """A server with an endless script."""
    with (
        running(folder, *MEMORY_LIMIT, *options) as server,
        socket.create_connection((HOST, server.port)) as connection,
    ):
        connection.sendall(b'EVAL "while true do end" 0\r\n')
        time.sleep(0.3)
        yield server


@_endpoint("busy-script")
def _busy_script(folder: Path) -> Iterator[EndpointCase]:
    with _script(folder, "--busy-reply-threshold", "50") as server:
        yield EndpointCase(server.url)


@_endpoint("too-many-clients")
def _too_many_clients(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--maxclients", "3") as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection((HOST, server.port))).sendall(b"PING\r\n")
        time.sleep(0.1)
        yield EndpointCase(server.url)


@contextlib.contextmanager
def tls(folder: Path, *options: str, names: str = tls_end.LOCAL) -> Iterator[tls_end.Tls]:
    """A TLS proxy in front of a server."""
    with running(folder / "server", *MEMORY_LIMIT, *options) as server:
        context = tls_end.context(folder, names)
        with tls_end.end(folder, server.port, context) as end:
            yield end


@_endpoint("tls-port")
def _tls_port(folder: Path) -> Iterator[EndpointCase]:
    with tls(folder) as end:
        yield EndpointCase(f"redis://localhost:{end.port}")


@_endpoint("no-tls")
def _no_tls(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(server.url.replace("redis://", "valkeys://"))


@_endpoint("unknown-authority")
def _unknown_authority(folder: Path) -> Iterator[EndpointCase]:
    with tls(folder) as end:
        yield EndpointCase(f"rediss://localhost:{end.port}")


@_endpoint("wrong-host-name")
def _wrong_host_name(folder: Path) -> Iterator[EndpointCase]:
    with tls(folder, names="DNS:elsewhere.example") as end:
        yield EndpointCase(f"rediss://localhost:{end.port}", end.ca)


@_endpoint("client-certificate")
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


@_endpoint("not-valkey")
def _http(_: Path) -> Iterator[EndpointCase]:
    with cases.http_server() as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_endpoint("not-valkey:memcached", OTHER_STATES)
def _memcached(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.memcached) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_endpoint("no-answer:silent", OTHER_STATES)
def _silent(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.silent) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_endpoint("no-answer:tls", OTHER_STATES)
def _silent_tls(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.silent) as port:
        yield EndpointCase(f"rediss://{HOST}:{port}")


@_endpoint("no-answer:stopped", OTHER_STATES)
def _stopped(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server:
        server.pause()
        yield EndpointCase(server.url)


@_endpoint("no-answer:busy", OTHER_STATES)
def _busy(folder: Path) -> Iterator[EndpointCase]:
    with _script(folder) as server:
        yield EndpointCase(server.url)


@_endpoint("too-slow", OTHER_STATES)
def _too_slow(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.byte_a_second) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_endpoint("connect-timeout", OTHER_STATES)
def _black_hole(_: Path) -> Iterator[EndpointCase]:
    with cases.black_hole() as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_endpoint("expired", OTHER_STATES)
def _expired(folder: Path) -> Iterator[EndpointCase]:
    context = tls_end.context(folder / "tls", days=-1)
    with running(folder / "server") as server, tls_end.end(folder / "tls", server.port, context) as end:
        yield EndpointCase(f"rediss://localhost:{end.port}", end.ca)


@_endpoint("expires-soon", OTHER_STATES)
def _expires_soon(folder: Path) -> Iterator[EndpointCase]:
    context = tls_end.context(folder, days=5)
    with running(folder / "server", *MEMORY_LIMIT) as server, tls_end.end(folder, server.port, context) as end:
        yield EndpointCase(f"rediss://localhost:{end.port}", end.ca)


@_endpoint("announced-unreachable", OTHER_STATES)
def _behind_nat(folder: Path) -> Iterator[EndpointCase]:
    """Each node announces an unreachable address."""
    with servers.cluster(folder) as nodes:
        for node in nodes:
            with closing(node.client()) as client:
                client.config_set("cluster-announce-client-ipv4", "127.9.9.9")
        with closing(nodes[0].client()) as client:
            wait_until(lambda: str(client.execute_command("CLUSTER NODES")).count("127.9.9.9") == len(nodes))
        yield EndpointCase(f"valkey+cluster://{HOST}:{nodes[0].port}")


@_endpoint("sentinel-port", OTHER_STATES)
def _sentinel_port(folder: Path) -> Iterator[EndpointCase]:
    group = Sentinels(folder)
    try:
        group.start()
        yield EndpointCase(f"redis://{HOST}:{group.sentinels[0].port}")
    finally:
        group.kill()


@_endpoint("link-down", OTHER_STATES)
def _link_down(folder: Path) -> Iterator[EndpointCase]:
    with _pair(folder) as (primary, replica), closing(replica.client()) as client:
        primary.kill()
        wait_until(lambda: client.info("replication")["master_link_status"] == "down")
        yield EndpointCase(f"valkey+replicated://{HOST}:{replica.port}")


@_endpoint("no-replica", OTHER_STATES)
def _no_replica(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(f"valkey+replicated://{HOST}:{server.port}")


@_endpoint("no-limit", OTHER_STATES)
def _no_limit(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server:
        yield EndpointCase(server.url)


@_endpoint("nearly-full", OTHER_STATES)
def _nearly_full(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server, closing(server.client()) as client:
        client.setrange("a", 5_000_000, "x")  # a short command: no buffer that is freed later counts
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))
        yield EndpointCase(server.url)


@_endpoint("policy", OTHER_STATES)
def _policy(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--maxmemory-policy", "allkeys-lru") as server:
        yield EndpointCase(server.url, workload="queue")


@_endpoint("off", OTHER_STATES)
def _nothing_saved(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(server.url)


@_endpoint("clients-near", OTHER_STATES)
def _clients_near(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--maxclients", "10") as server, contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(socket.create_connection((HOST, server.port))).sendall(b"PING\r\n")
        time.sleep(0.1)
        yield EndpointCase(server.url)


@_endpoint("slow-command", OTHER_STATES)
def _slow_command(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--enable-debug-command", "yes") as server, closing(server.client()) as client:
        client.execute_command("DEBUG", "SLEEP", "0.2")
        yield EndpointCase(server.url)


@_endpoint("vulnerable", OTHER_STATES)
def _vulnerable(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, program=binaries.program("redis-7.4")) as server:
        yield EndpointCase(server.url)


@_endpoint("ended", OTHER_STATES)
def _ended(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, program=binaries.program("redis-7.0")) as server:
        yield EndpointCase(server.url)


@_endpoint("too-much", OTHER_STATES)
def _too_much(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* &* +@all")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_endpoint("multi-refused", OTHER_STATES)
def _multi_refused(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* &* +@all -multi")) as server:
        with closing(server.client()) as client:
            client.set("kept", "1")
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_endpoint("no-database", OTHER_STATES)
def _no_database(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(f"redis://{HOST}:{server.port}/99")


@_endpoint("no-hello", OTHER_STATES)
def _no_hello(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--rename-command", "HELLO", "") as server:
        yield EndpointCase(server.url)


@_endpoint("protected-mode", OTHER_STATES)
def _protected_mode(_: Path) -> Iterator[EndpointCase]:
    """The reply of a real server to other machines."""
    with cases.listening(cases.protected) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_endpoint("info-refused", OTHER_STATES)
def _info_refused(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* &* +@all -@admin -@dangerous")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


def name_of(endpoint_name: str) -> str:
    """The finding's name."""
    return endpoint_name.partition(":")[0]
