"""The rights that docs/client/queue.md names are enough for a queue, and open nothing else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from valkeykit import Queue, errors

from harness.ports import HOST
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled

PAGE = Path(__file__).parents[3] / "docs" / "client" / "queue.md"


@pytest.fixture
def url(own_server: ServerProcess) -> str:
    rule = next(line for line in PAGE.read_text().splitlines() if line.startswith("~valkeykit:"))
    with closing(own_server.client()) as admin:
        admin.execute_command("ACL", "SETUSER", "mailer", "on", ">secret", *rule.split())
        admin.execute_command("ACL", "LOG", "RESET")
    return f"redis://mailer:secret@{HOST}:{own_server.port}"


def test_the_rights_suffice(url: str, own_server: ServerProcess) -> None:
    with Queue("mail", url, retry_for=2) as queue:

        @queue.handler(attempts=2, backoff=0.01, result_ttl=60)
        def note(fail: bool) -> int:
            if fail:
                raise ValueError("no")
            return 1

        queue.limit(1000)
        queue.limit_dead_letters(count=5, age=3600)
        assert queue.schedule("note", {"fail": False}, every=3600)
        assert queue.unschedule("note")
        with running_worker(queue):
            good = queue.add("note", {"fail": False}).id
            bad = queue.add("note", {"fail": True}, key="once").id
            queue.add_many("note", [{"fail": False}] * 3, delay=0.05)
            assert queue.result(good) == 1
            wait_until(lambda: queue.statistics().dead == 1 and settled(queue))
            assert [worker.concurrency for worker in queue.workers()] == [4]
        assert queue.requeue([bad]) == 1
        assert queue.cancel(bad) == "waiting"
        queue.pause()
        queue.add("note", {"fail": False})
        assert queue.purge("waiting") == 1
    with closing(own_server.client()) as admin:
        assert admin.execute_command("ACL", "LOG") == []


def test_the_rights_reach_no_other_queue(url: str) -> None:
    with Queue("other", url, retry_for=0) as queue, pytest.raises(errors.NotPermittedError):
        queue.add("note")
