"""Proxies between a client and a server that misbehave."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable

from valkeykit.queue import protocol

from harness.ports import HOST, free_port
from harness.servers import ServerProcess


class Proxy:
    """Forwards to a server. A fault hits every connection that is open at that moment."""

    def __init__(self, server: ServerProcess) -> None:
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

    def move(self, server: ServerProcess) -> None:
        """Send new connections to another server; those that are open stay."""
        self._target = (HOST, server.port)

    def stall(self, seconds: float) -> None:
        """Hold back all data for a while, then forward it."""
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
                if not self._passes(source, sink, data):
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self._open.discard(end)
        source.close()

    def _passes(self, source: socket.socket, sink: socket.socket, data: bytes) -> bool:  # noqa: ARG002  (for others)
        """Whether data is forwarded. If not, the connection is cut."""
        return True


class LossyProxy(Proxy):
    """Runs some calls of scripts, drops their answers and cuts the connection.

    shares: the share of each script's answers that is dropped.
    """

    def __init__(self, server: ServerProcess, shares: dict[str, float]) -> None:
        self.dropped = Counter[str]()
        self._shares = {protocol.script(name).sha.encode(): (name, share) for name, share in shares.items()}
        self._doomed: dict[socket.socket, str] = {}
        super().__init__(server)

    def _passes(self, source: socket.socket, sink: socket.socket, data: bytes) -> bool:
        for sha, (name, share) in self._shares.items():
            if sha in data[:200] and random.random() < share:
                self._doomed[source] = name  # a call; only clients send the hash of a script
                return True
        name = self._doomed.pop(sink, "")
        self.dropped.update([name] if name else [])
        return not name
