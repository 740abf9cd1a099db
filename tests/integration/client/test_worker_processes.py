"""Handlers that run in child processes, through a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from valkeykit import Queue, errors

from harness.waiting import wait_until
from tests.integration.client import process_handlers
from tests.integration.client.running_worker import running_worker, settled


def test_a_process_runs_a_handler(queue: Queue) -> None:
    queue.handler(process=True, result_ttl=60)(process_handlers.value_of)
    with running_worker(queue):
        assert queue.result(queue.add("value_of", {"value": 3}).id, timeout=60) == 3
    assert queue.statistics().completed == 1


def test_a_crash_fails_one_job_and_the_worker_continues(queue: Queue) -> None:
    queue.handler(process=True, attempts=1)(process_handlers.end)
    queue.handler(process=True, result_ttl=60)(process_handlers.value_of)
    with running_worker(queue, concurrency=2):
        crashed = queue.add("end", {"how": "segfault"}).id
        wait_until(lambda: queue.job(crashed).state == "dead")
        assert queue.result(queue.add("value_of", {"value": 3}).id, timeout=60) == 3
    assert "SIGSEGV" in queue.dead_letters()[0].error


def test_cancelling_and_a_timeout_kill_the_process(queue: Queue) -> None:
    queue.handler(process=True, attempts=1)(process_handlers.hold_the_gil)
    with running_worker(queue, lease=1.5):
        late = queue.add("hold_the_gil", timeout=1).id
        cancelled = queue.add("hold_the_gil").id
        wait_until(lambda: queue.job(late).state == "dead")
        wait_until(lambda: queue.job(cancelled).state == "active")
        queue.cancel(cancelled)
        wait_until(lambda: settled(queue))
        assert queue.job(cancelled).state == "missing"
    assert "JobTimeoutError" in queue.dead_letters()[0].error


def test_an_error_and_a_result_that_is_not_json_are_those_of_the_handler(queue: Queue) -> None:
    queue.handler(process=True, attempts=1)(process_handlers.raise_error)
    queue.handler(process=True, attempts=3, result_ttl=60)(process_handlers.return_a_set)
    with running_worker(queue):
        failed, odd = queue.add("raise_error", {"kind": "value"}).id, queue.add("return_a_set").id
        wait_until(lambda: queue.statistics().dead == 2)
    letters = {letter.id: letter for letter in queue.dead_letters()}
    assert letters[failed].error.startswith("ValueError: ")
    assert "process_handlers.py" in (letters[failed].traceback or "")
    assert letters[odd].error.startswith("InvalidResultError: the result isn't JSON")
    assert letters[odd].attempts == 1


def test_what_cannot_be_imported_is_rejected_when_it_is_registered(queue: Queue) -> None:
    with pytest.raises(errors.InvalidJobError):
        queue.handler(name="job", process=True)(lambda: None)


SCRIPT = """
import os, sys
from valkeykit import Queue, Worker

queue = Queue("mail", sys.argv[1])

@queue.handler(process=True, result_ttl=60, attempts=1)
def pid():
    return os.getpid()

if __name__ == "__main__":
    identity = queue.add(pid).id
    Worker(queue, concurrency=1).run(burst=True)
    assert queue.result(identity) != os.getpid()
"""


def test_the_handler_may_be_a_function_of_the_script_that_runs_the_worker(queue: Queue, tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(SCRIPT)
    assert isinstance(queue.source, str)
    subprocess.run([sys.executable, script, queue.source], check=True, timeout=120)


def test_a_coroutine_function_runs_in_a_process_too(queue: Queue) -> None:
    queue.handler(process=True, result_ttl=60)(process_handlers.pid_later)
    with running_worker(queue):
        assert queue.result(queue.add("pid_later").id, timeout=60) != os.getpid()


def test_a_result_that_is_not_kept_need_not_be_json(queue: Queue) -> None:
    queue.handler(process=True, attempts=1)(process_handlers.return_a_set)
    with running_worker(queue):
        queue.add("return_a_set")
        wait_until(lambda: queue.statistics().completed == 1)


def test_a_result_that_is_too_large_never_reaches_the_worker(queue: Queue) -> None:
    queue.handler(process=True, result_ttl=60)(process_handlers.return_text)
    with running_worker(queue):
        large = queue.add("return_text", {"size": queue.max_result}).id
        wait_until(lambda: queue.job(large).state == "dead")
    letter = queue.dead_letters()[0]
    assert letter.error.startswith(f"InvalidResultError: the result takes {queue.max_result + 2} bytes")


def test_progress_that_is_too_large_raises_in_the_handler(queue: Queue) -> None:
    queue.handler(process=True, result_ttl=60)(process_handlers.report_too_much)
    with running_worker(queue):
        assert queue.result(queue.add("report_too_much").id, timeout=60) == "rejected"


def test_a_handler_in_a_process_can_read_that_its_attempt_is_the_last(queue: Queue) -> None:
    queue.handler(process=True, result_ttl=60)(process_handlers.is_last_attempt)
    with running_worker(queue):
        assert queue.result(queue.add("is_last_attempt", attempts=1).id, timeout=60) is True
        assert queue.result(queue.add("is_last_attempt", attempts=2).id, timeout=60) is False
