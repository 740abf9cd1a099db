"""Idempotent calls: each has an id, by which the server recognizes a repeated one.

An id is the producer's name and a number.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator
from typing import NamedTuple

MAX_CALLS_PER_PRODUCER = 1 << 16
"""Calls after which a producer takes a new name, so that its record on the server stays at 8 KiB."""

_forks: list[None] = []
"""One element for each fork between the first process and this one."""

os.register_at_fork(after_in_child=lambda: _forks.append(None))


class _Identity(NamedTuple):
    process: tuple[int, int]
    name: str
    calls: Iterator[int]


class CallIds:
    """Numbers calls. No pair of name and number is used twice, by no thread and no forked process.

    Both are therefore read from one immutable object.
    """

    def __init__(self) -> None:
        self._identity = _new_identity()

    def next(self) -> tuple[str, int]:
        """The producer's name and the call's number; a forked process has a name of its own."""
        while True:
            identity = self._identity
            if identity.process == _process():
                call = next(identity.calls)
                if call < MAX_CALLS_PER_PRODUCER:
                    return identity.name, call
            self._identity = _new_identity()


def _new_identity() -> _Identity:
    return _Identity(_process(), secrets.token_urlsafe(8), itertools.count())


def _process() -> tuple[int, int]:
    """The second number differs where a process id is used again."""
    return os.getpid(), len(_forks)
