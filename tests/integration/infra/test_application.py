"""What applications do with valkeykit is allowed to the user `app` on a hardened server."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from valkeykit import Cache, Queue, Worker
from valkeykit.url import Address

from infra import hardening
from infra.drivers.processes import ports, server
from infra.drivers.processes.running_server import ServerSpec
from tests.support.single_server import PASSWORDS


def url_of(spec: ServerSpec) -> str:
    queue = replace(spec, directives=hardening.directives("queue", 64 * 1024**2, "embedded"))
    return Address(ports.HOST, server.ensure(queue).port, username="app", password=PASSWORDS["app"]).url


def test_the_cache(spec: ServerSpec) -> None:
    with Cache(url_of(spec), namespace="shop") as cache:
        assert cache.get_or_compute("key", lambda: 42, ttl=60, tags=["tag"]) == 42
        assert cache.set_many({"a": 1, "b": 2})
        assert cache.get_many(["a", "b"]) == {"a": 1, "b": 2}
        cache.invalidate("tag")
        assert cache.get("key") is None
        assert cache.delete("a", "b") == 2
        assert cache.statistics.errors == 0


def test_the_queue_and_its_worker(spec: ServerSpec) -> None:
    queue = Queue("mail", url_of(spec))

    @queue.handler(result_ttl=60)
    def send(to: str) -> str:
        return f"sent to {to}"

    job = queue.add(send, {"to": "ada"})
    assert queue.schedule(send, {"to": "bob"}, every=3600)
    worker = Worker(queue)
    thread = threading.Thread(target=_serve, args=(worker,))
    thread.start()
    try:
        assert queue.result(job.id) == "sent to ada"
        assert queue.statistics().dead == 0
    finally:
        worker.stop()
        thread.join(30)
        queue.close()
    assert not thread.is_alive()


def _serve(worker: Worker) -> None:
    asyncio.run(worker.serve())
