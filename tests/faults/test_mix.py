"""Faults of all kinds, in random order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from valkeykit import Queue

from harness.servers import ServerProcess
from tests.faults.harness import NEXT, ROUNDS, Producer, Workers, check, start
from tests.faults.runs import RunLog
from tests.faults.totals import totals
from tests.support.proxy import Proxy


def test_faults_of_all_kinds(server: ServerProcess, runs: RunLog, tmp_path: Path) -> None:
    file = tmp_path / "added"
    file.touch()
    with ExitStack() as stack:
        proxy = stack.enter_context(closing(Proxy(server)))
        current = stack.enter_context(Workers(2, runs, WORKER_URL=proxy.url))
        following = stack.enter_context(Workers(1, runs, program=NEXT, WORKER_URL=proxy.url))
        producer = Producer(proxy.url)
        stack.callback(producer.stop)
        producer.start()
        faults: list[Callable[[], object]] = [
            current.kill_one,
            current.restart_one,
            following.kill_one,
            following.restart_one,
            lambda: _kill(server),
            proxy.cut,
            proxy.reset,
            lambda: proxy.stall(random.uniform(0.2, 1.5)),
            lambda: _fork(proxy.url, file),
        ]
        for _ in range(ROUNDS):
            totals.rounds += 1
            time.sleep(random.uniform(0.1, 0.5))
            random.choice(faults)()
        producer.stop()
        with Queue("faults", server.url) as queue:
            check(queue, producer, runs, others=file.read_text().split())
            for workers in (current, following):
                assert workers.all_alive()
                workers.check_none_stuck(queue)


def _kill(server: ServerProcess) -> None:
    server.kill()
    time.sleep(random.uniform(0, 0.3))
    server.start()


def _fork(url: str, file: Path) -> None:
    forking = start("-m", "tests.faults.prefork", "1", str(file), WORKER_URL=url, USED="1", ADDING="1")
    try:
        assert forking.wait(120) == 0
    finally:
        forking.kill()
        forking.wait()
