"""Workers that are killed, a producer that goes on, a proxy that misbehaves: all bounded."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
from valkeykit import Queue, errors

from tests.servers import HOST, Server, free_port

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("ROUNDS", "10"))
PATIENCE = 60.0
"""Seconds in which everything must have been done after the last fault."""


class Workers:
    """Worker processes."""

    def __init__(self, number: int, **environment: str) -> None:
        self._environment = os.environ | environment
        self._processes = [self._start() for _ in range(number)]

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.app"]
        return subprocess.Popen(command, env=self._environment, cwd=ROOT, stderr=subprocess.DEVNULL)

    def kill_one(self) -> None:
        """kill -9, and another takes its place."""
        index = random.randrange(len(self._processes))
        self._processes[index].kill()
        self._processes[index].wait()
        self._processes[index] = self._start()

    def all_alive(self) -> bool:
        return all(process.poll() is None for process in self._processes)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


class Producer(threading.Thread):
    """Adds jobs one after the other until it is stopped; `acknowledged` are those whose add came back."""

    def __init__(self, url: str, *, pause: float = 0.001, topology: str | None = None) -> None:
        super().__init__()
        self._queue = Queue("faults", url, retry_for=20, topology=topology, read_timeout=0.5, connect_timeout=0.5)
        self._pause = pause
        self._ended = threading.Event()
        self.acknowledged: dict[int, str] = {}
        self.refused = 0

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            try:
                self.acknowledged[number] = self._queue.add(
                    "note", {"n": number}, attempts=100, backoff=0.05, result_ttl=600
                ).id
            except errors.ValkeykitError:
                self.refused += 1
            self._ended.wait(self._pause)
        self._queue.close()

    def stop(self) -> None:
        self._ended.set()
        self.join(30)
        assert not self.is_alive()


def all_done(queue: Queue, seconds: float = PATIENCE) -> None:
    """Wait until nothing is left."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(errors.ValkeykitError):
            counts = queue.statistics()
            if counts.waiting == counts.active == counts.delayed == 0:
                return
        assert time.monotonic() < end, f"stuck: {counts}"
        time.sleep(0.1)


def check(queue: Queue, producer: Producer, *, seconds: float = PATIENCE) -> None:
    """Every acknowledged job is done, has the one right result, and none was set aside."""
    all_done(queue, seconds)
    assert len(producer.acknowledged) > 20
    assert queue.statistics().dead == 0, queue.dead_letters(3)
    missing = [n for n, job in producer.acknowledged.items() if queue.job(job).result != n * 2]
    assert missing == []


def duplicates(counter: redis.Redis) -> int:
    """How many runs there were beyond one for each job."""
    return sum(int(runs) - 1 for runs in counter.hvals("runs"))


class Proxy:
    """Forwards to a server. A fault hits every connection that is open at that moment."""

    def __init__(self, server: Server) -> None:
        self.port = free_port()
        self._target = (HOST, server.port)
        self._open: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = socket.create_server((HOST, self.port))
        self._closed = False
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def move(self, server: Server) -> None:
        """Connections made from now on go to another server; those that are open stay."""
        self._target = (HOST, server.port)

    def stall(self, seconds: float) -> None:
        """Nothing passes for a while; then all of it does."""
        self._flowing.clear()
        time.sleep(seconds)
        self._flowing.set()

    def cut(self) -> None:
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        self._closed = True
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, 1)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            self._start(self._forward, client, server)
            self._start(self._forward, server, client)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self._open.discard(end)
        source.close()
