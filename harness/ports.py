"""Ports for test servers: each test process has its own, away from where stacks begin (6379) and the kernel's clients'.

A cluster's node listens 10,000 above its port too.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra.drivers.processes import ports

HOST = ports.HOST

GROUPS = range(1100, 5100, 20)
APPLICATIONS = range(7400, 9400, 20)
SINGLE_SERVERS = range(20_000, 29_000, 200)
CONTAINERS = range(29_000, 32_700, 20)

_reserved: dict[int, int] = {}
"""The locked file of each row of this process, by the row's first port: held until the process ends."""


def reserve(rows: range) -> int:
    """The first port of a row on which nothing listens, and which no other test process gets."""
    start = os.getpid() % len(rows)
    new = [first for first in itertools.chain(rows[start:], rows[:start]) if first not in _reserved]
    used = [first for first in _reserved if first in rows]  # the oldest first, as its servers have ended
    for first in itertools.chain(new, used):
        if (first in _reserved or _lock(first)) and all(map(ports.is_free, range(first, first + rows.step))):
            return first
    raise AssertionError(f"no row is left in {rows}")


def free_port() -> int:
    """The next one of this process's row on which nothing listens."""
    return next(filter(ports.is_free, _single_ports()))


def _lock(first: int) -> bool:
    folder = Path(tempfile.gettempdir(), f"valkey-test-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    file = os.open(folder / str(first), os.O_CREAT | os.O_WRONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return False
    _reserved[first] = file
    return True


@functools.cache
def _single_ports() -> Iterator[int]:
    first = reserve(SINGLE_SERVERS)
    return itertools.cycle(range(first, first + SINGLE_SERVERS.step))
