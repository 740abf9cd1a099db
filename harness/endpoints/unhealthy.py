"""Faulty endpoints without an error of redis-py, each a real one."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from harness import binaries, servers
from harness import tls as tls_end
from harness.endpoints import cases
from harness.endpoints.cases import EndpointCase, OpenEndpoint, registrar
from harness.endpoints.endpoint_servers import MEMORY_LIMIT, endless_script, replicated_pair, user
from harness.ports import HOST
from harness.servers import Sentinels, running
from harness.waiting import wait_until

OTHER_STATES: dict[str, OpenEndpoint] = {}

_register = registrar(OTHER_STATES)


@_register("not-valkey:memcached")
def _memcached(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.memcached) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_register("no-answer:silent")
def _silent(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.silent) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_register("no-answer:tls")
def _silent_tls(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.silent) as port:
        yield EndpointCase(f"rediss://{HOST}:{port}")


@_register("no-answer:stopped")
def _stopped(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server:
        server.pause()
        yield EndpointCase(server.url)


@_register("no-answer:busy")
def _busy(folder: Path) -> Iterator[EndpointCase]:
    with endless_script(folder) as server:
        yield EndpointCase(server.url)


@_register("too-slow")
def _too_slow(_: Path) -> Iterator[EndpointCase]:
    with cases.listening(cases.byte_a_second) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_register("connect-timeout")
def _black_hole(_: Path) -> Iterator[EndpointCase]:
    with cases.black_hole() as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_register("expired")
def _expired(folder: Path) -> Iterator[EndpointCase]:
    context = tls_end.context(folder / "tls", days=-1)
    with running(folder / "server") as server, tls_end.end(folder / "tls", server.port, context) as end:
        yield EndpointCase(f"rediss://localhost:{end.port}", end.ca)


@_register("expires-soon")
def _expires_soon(folder: Path) -> Iterator[EndpointCase]:
    context = tls_end.context(folder, days=5)
    with running(folder / "server", *MEMORY_LIMIT) as server, tls_end.end(folder, server.port, context) as end:
        yield EndpointCase(f"rediss://localhost:{end.port}", end.ca)


@_register("announced-unreachable")
def _behind_nat(folder: Path) -> Iterator[EndpointCase]:
    """Each node announces an unreachable address."""
    with servers.cluster(folder) as nodes:
        for node in nodes:
            with closing(node.client()) as client:
                client.config_set("cluster-announce-client-ipv4", "127.9.9.9")
        with closing(nodes[0].client()) as client:
            wait_until(lambda: str(client.execute_command("CLUSTER NODES")).count("127.9.9.9") == len(nodes))
        yield EndpointCase(f"valkey+cluster://{HOST}:{nodes[0].port}")


@_register("sentinel-port")
def _sentinel_port(folder: Path) -> Iterator[EndpointCase]:
    group = Sentinels(folder)
    try:
        group.start()
        yield EndpointCase(f"redis://{HOST}:{group.sentinels[0].port}")
    finally:
        group.kill()


@_register("link-down")
def _link_down(folder: Path) -> Iterator[EndpointCase]:
    with replicated_pair(folder) as (primary, replica), closing(replica.client()) as client:
        primary.kill()
        wait_until(lambda: client.info("replication")["master_link_status"] == "down")
        yield EndpointCase(f"valkey+replicated://{HOST}:{replica.port}")


@_register("no-replica")
def _no_replica(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(f"valkey+replicated://{HOST}:{server.port}")


@_register("no-limit")
def _no_limit(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server:
        yield EndpointCase(server.url)


@_register("nearly-full")
def _nearly_full(folder: Path) -> Iterator[EndpointCase]:
    with running(folder) as server, closing(server.client()) as client:
        client.setrange("a", 5_000_000, "x")  # a short command: no buffer that is freed later counts
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))
        yield EndpointCase(server.url)


@_register("policy")
def _policy(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--maxmemory-policy", "allkeys-lru") as server:
        yield EndpointCase(server.url, workload="queue")


@_register("off")
def _nothing_saved(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(server.url)


@_register("clients-near")
def _clients_near(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--maxclients", "10") as server, contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(socket.create_connection((HOST, server.port))).sendall(b"PING\r\n")
        time.sleep(0.1)
        yield EndpointCase(server.url)


@_register("slow-command")
def _slow_command(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--enable-debug-command", "yes") as server, closing(server.client()) as client:
        client.execute_command("DEBUG", "SLEEP", "0.2")
        yield EndpointCase(server.url)


@_register("vulnerable")
def _vulnerable(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, program=binaries.program("redis-7.4")) as server:
        yield EndpointCase(server.url)


@_register("ended")
def _ended(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, program=binaries.program("redis-7.0")) as server:
        yield EndpointCase(server.url)


@_register("too-much")
def _too_much(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* &* +@all")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_register("multi-refused")
def _multi_refused(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* &* +@all -multi")) as server:
        with closing(server.client()) as client:
            client.set("kept", "1")
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")


@_register("no-database")
def _no_database(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT) as server:
        yield EndpointCase(f"redis://{HOST}:{server.port}/99")


@_register("no-hello")
def _no_hello(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, "--rename-command", "HELLO", "") as server:
        yield EndpointCase(server.url)


@_register("protected-mode")
def _protected_mode(_: Path) -> Iterator[EndpointCase]:
    """The reply of a real server to other machines."""
    with cases.listening(cases.protected) as port:
        yield EndpointCase(f"redis://{HOST}:{port}")


@_register("info-refused")
def _info_refused(folder: Path) -> Iterator[EndpointCase]:
    with running(folder, *MEMORY_LIMIT, *user("app on >right ~* &* +@all -@admin -@dangerous")) as server:
        yield EndpointCase(f"redis://app:right@{HOST}:{server.port}")
