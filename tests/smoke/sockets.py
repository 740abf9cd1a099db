"""Checks of a server over a plain socket, without a client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable

from valkeykit.url import Node

ANSWERS_WITHIN = 2.0


def unreachable(nodes: Iterable[Node]) -> list[str]:
    """What is in the way of connections. A name server's silence has no time-out of its own, hence the threads."""
    outcomes: dict[Node, str | None] = {}

    def attempt(node: Node) -> None:
        try:
            socket.create_connection((node.host, node.port), timeout=ANSWERS_WITHIN).close()
        except OSError as error:
            outcomes[node] = error.strerror or str(error) or type(error).__name__
        else:
            outcomes[node] = None

    threads = {node: threading.Thread(target=attempt, args=(node,), daemon=True) for node in nodes}
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + ANSWERS_WITHIN
    for thread in threads.values():
        thread.join(max(deadline - time.monotonic(), 0))
    silent = f"no answer within {ANSWERS_WITHIN:.0f} s"
    return [f"{node}: {problem}" for node in threads if (problem := outcomes.get(node, silent))]


def answers_plain_text(node: Node) -> bool:
    with socket.create_connection((node.host, node.port), ANSWERS_WITHIN) as connection:
        try:
            connection.sendall(b"PING\r\n")
            return connection.recv(64)[:1] in (b"+", b"-")
        except OSError:
            return False
