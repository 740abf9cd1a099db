"""Pause of a node's writers (CLIENT PAUSE).

A pause lasts two seconds, and a thread renews it, so it ends soon after a command that is killed. While a replica is
being promoted it lasts longer, so that no write passes even if the machine is too busy for a renewal.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from infra.drivers.topology.node_executor import CommandRejectedError, NodeExecutor, NotRespondingError

PAUSE_SECONDS = 2.0
PROMOTION_PAUSE_SECONDS = 20.0
RENEW_INTERVAL_SECONDS = 0.5
EXIT_TIMEOUT_SECONDS = 5.0


class Pause:
    """A pause of a node's writers that knows whether it had a gap."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._seconds = PAUSE_SECONDS
        self._ends = 0.0
        self._unbroken = False

    @property
    def is_unbroken(self) -> bool:
        """Whether no write can have passed since `begin`."""
        return self._unbroken and time.monotonic() < self._ends

    def begin(self) -> None:
        """Start the pause.

        Raises:
            CommandRejectedError, NotRespondingError: the node doesn't confirm it.
        """
        self._pause(is_first=True)

    def renew(self) -> None:
        self._pause(is_first=False)

    def extend(self) -> None:
        """Pause for PROMOTION_PAUSE_SECONDS at a time from now on."""
        self._seconds = PROMOTION_PAUSE_SECONDS
        self.renew()

    def end(self) -> None:
        self._run("CLIENT", "UNPAUSE")

    def _pause(self, *, is_first: bool) -> None:
        with self._lock:
            sent, seconds = time.monotonic(), self._seconds
            self._run("CLIENT", "PAUSE", str(int(seconds * 1000)), "WRITE")
            # The server counts from when it reads the command, which is between these two moments.
            self._unbroken = is_first or (self._unbroken and time.monotonic() < self._ends)
            self._ends = sent + seconds


@contextlib.contextmanager
def hold_writes(executor: NodeExecutor, node: str) -> Iterator[Pause]:
    """Pause a node's writers until the block ends.

    Raises:
        CommandRejectedError, NotRespondingError: the node doesn't confirm it.
    """
    with executor.session(node) as run:
        pause, over = Pause(run), threading.Event()
        pause.begin()
        renewer = threading.Thread(target=_renew, args=(pause, over), daemon=True)
        renewer.start()
        try:
            yield pause
        finally:
            over.set()
            renewer.join(EXIT_TIMEOUT_SECONDS)
            with contextlib.suppress(CommandRejectedError, NotRespondingError):  # the pause expires anyway
                pause.end()


def _renew(pause: Pause, over: threading.Event) -> None:
    while not over.wait(RENEW_INTERVAL_SECONDS):
        with contextlib.suppress(CommandRejectedError, NotRespondingError):
            pause.renew()
