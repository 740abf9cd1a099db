"""A status line while a command works: rewritten each second on a terminal, else a line twice a minute.

It needs only the standard library, since the installation of everything else uses it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

PLAIN_INTERVAL_SECONDS = 30.0
"""How often the status is printed where stderr is not a terminal."""

INTERVAL_SECONDS = 1.0

_WIDTH = 79
_CLEAR = "\r\x1b[K"


class Progress:
    """Show what is being done, how far it is and for how long, until the block ends.

    Args:
        what: what is being done, such as `Installing Python packages`.
        detail: returns how far it is, or "".
    """

    def __init__(self, what: str, detail: Callable[[], str] = str) -> None:
        self._what, self._detail = what, detail
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._show, daemon=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        on_terminal = sys.stderr.isatty()
        next_line = PLAIN_INTERVAL_SECONDS
        while not self._ended.wait(INTERVAL_SECONDS):
            if on_terminal:
                sys.stderr.write(_CLEAR)  # `detail` may print messages
            detail = self._detail()
            line = f"{self._what}: {f'{detail}, ' if detail else ''}{self.seconds:.0f} s"
            if on_terminal:
                sys.stderr.write(line[:_WIDTH])
            elif self.seconds >= next_line:
                next_line += PLAIN_INTERVAL_SECONDS
                sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        if on_terminal:
            sys.stderr.write(_CLEAR)
