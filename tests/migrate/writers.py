"""Applications that write during a migration."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tests.migrate import data

THREADS = 2


class Writers:
    """Threads that write, change and delete keys of all types, until they are stopped.

    connect: makes a client for each.
    fields: also write hashes with TTLs of fields.
    kinds: of data.KINDS.
    ends: let some keys end soon.
    """

    def __init__(self, connect: Callable[[], Any], seed: int, *, keys: int, fields: bool = False,
                 kinds: tuple[str, ...] = data.KINDS, ends: bool = True) -> None:  # fmt: skip
        self._connect = connect
        self._keys = keys
        self._fields = fields
        self._kinds = kinds
        self._ends = ends
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed, number)) for number in range(THREADS)]
        self.writes = 0
        self._failure: Exception | None = None

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End them; what they wrote is all there will be.

        Raises:
            Exception: that ended one of them early.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failure:
            raise self._failure

    def _run(self, seed: int, share: int) -> None:
        dice = random.Random(seed * THREADS + share)
        client = self._connect()
        try:
            while not self._stop.wait(0.001):
                self._step(client, dice, share)
                self.writes += 1
        except Exception as problem:  # noqa: BLE001  (whatever ended it, the test tells)
            self._failure = problem
        finally:
            client.close()

    def _step(self, client: Any, dice: random.Random, share: int) -> None:
        number = dice.randrange(share, self._keys, THREADS)  # each has keys of its own
        key = data.name(random.Random(number), number)
        chance = dice.random()
        if chance < 0.15:
            client.delete(key)
        elif chance < 0.25 and self._ends:
            client.pexpire(key, dice.randrange(1, 1500))
        elif chance < 0.3 and self._fields:
            client.delete(key)
            data.fields_that_end(client, key, 2)
        else:
            data.write(client, dice, key, self._kinds)
