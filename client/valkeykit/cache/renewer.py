"""Renewal of the leases of long computations, for synchronous code."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from weakref import WeakSet

_logger = logging.getLogger("valkeykit.cache")


@dataclass(eq=False)
class _Lease:
    every: float
    renew: Callable[[], bool]
    due: float


class Renewer:
    """One thread for all computations of a cache. It ends when no computation is running."""

    def __init__(self) -> None:
        self.reset()
        _renewers.add(self)

    def reset(self) -> None:
        """Start from scratch after a fork: the child has no thread, and must not renew its parent's leases."""
        self._changed = threading.Condition()
        self._leases: set[_Lease] = set()
        self._is_running = False
        self._wakes = 0.0

    @contextmanager
    def renewing(self, every: float, renew: Callable[[], bool]) -> Iterator[None]:
        """Call `renew` every `every` seconds until it returns False."""
        lease = _Lease(every, renew, time.monotonic() + every)
        self._add(lease)
        try:
            yield
        finally:
            self._remove(lease)

    def _add(self, lease: _Lease) -> None:
        with self._changed:
            self._leases.add(lease)
            if not self._is_running:
                with suppress(RuntimeError):  # no thread can be started: then the lease isn't renewed
                    threading.Thread(target=self._run, name="valkeykit-cache-leases", daemon=True).start()
                    self._is_running = True
            elif lease.due < self._wakes:
                self._changed.notify()

    def _remove(self, lease: _Lease) -> None:
        with self._changed:
            self._leases.discard(lease)

    def _run(self) -> None:
        while due := self._await_due():
            for lease in due:
                if _renew(lease):
                    lease.due = time.monotonic() + lease.every
                else:
                    self._remove(lease)

    def _await_due(self) -> list[_Lease]:
        """Wait for leases that are due; empty if no computation is running."""
        with self._changed:
            while self._leases:
                now = time.monotonic()
                if due := [lease for lease in self._leases if lease.due <= now]:
                    return due
                self._wakes = min(lease.due for lease in self._leases)
                self._changed.wait(self._wakes - now)
            self._is_running = False
            return []


def _renew(lease: _Lease) -> bool:
    try:
        return lease.renew()
    except Exception:  # an error in one must not end the thread of all
        _logger.exception("cache: a lease was not renewed")
        return True


_renewers: WeakSet[Renewer] = WeakSet()


def _reset_all() -> None:
    for renewer in list(_renewers):
        renewer.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
