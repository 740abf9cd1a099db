"""Reports: answers to calls that are sent again, and results that the server can't keep."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import closing
from typing import Any

import pytest
from valkeykit import Queue, current_job, errors
from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.job_events import Event
from valkeykit.queue.protocol import ScriptCall, script

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled, take


def test_reports_that_are_sent_again_get_the_first_reply(queue: Queue) -> None:
    done, failed, stopped = queue.add_many("send", [{}] * 3)
    take(queue)
    queue.cancel(stopped)
    calls: list[ScriptCall[Any]] = [
        queue.protocol.finish("w", [done, 1], []),
        queue.protocol.fail("w", [failed, 1, -1, "ValueError: no", ""]),
        queue.protocol.drop("w", [stopped, 1]),
    ]
    for call in calls:
        assert queue.send(call) == queue.send(call)
        assert queue.send(call) in ([], ([], []))
    counts = queue.statistics()
    assert (counts.completed, counts.failed, counts.cancelled) == (1, 1, 1)


def test_calls_of_producers_that_are_sent_again_get_the_first_reply(queue: Queue) -> None:
    def again(call: ScriptCall[Any]) -> Any:
        first = queue.send(call)
        assert queue.send(call) == first
        return first

    def described(**named: Any) -> Any:
        return queue.build_request("send", None, 0, None, named.get("id"), named.get("key"), 60, {})

    assert again(queue.protocol.add(described(id="a"))) == ("a", True)
    assert again(queue.protocol.add(described(id="a"))) == ("a", False)
    assert again(queue.protocol.add(described(key="k"))).new
    assert again(queue.protocol.cancel("a")) == "waiting"
    dead = queue.add("send").id
    take(queue)
    queue.send(queue.protocol.fail("w", [dead, 1, -1, "ValueError: no", ""]))
    assert again(queue.protocol.requeue([dead])) == 1
    schedule = queue.build_schedule("send", None, None, None, 60, "UTC", True, {})
    assert again(queue.protocol.schedule(schedule, 0)) is True
    assert again(queue.protocol.unschedule("send")) is True
    assert again(queue.protocol.purge("waiting")) == 1


def test_listeners_receive_the_outcome_of_a_job_although_the_reply_was_lost(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, lost = list[str](), set[str]()
    run, shas = AsyncQueue._run, {script(name).sha: name for name in ("finish", "fail")}

    async def run_and_forget(self: AsyncQueue, call: ScriptCall[object]) -> object:
        answer = await run(self, call)
        name = shas.get(call.script.sha)
        if name is not None and name not in lost:
            lost.add(name)
            raise ConnectionResetError("the answer is lost")
        return answer

    monkeypatch.setattr(AsyncQueue, "_run", run_and_forget)

    @queue.handler(attempts=1)
    def end(well: bool) -> None:
        if not well:
            raise ValueError("no")

    with running_worker(queue, listeners=[lambda event: heard.append(event.kind)]):
        queue.add(end, {"well": True})
        queue.add(end, {"well": False})
        wait_until(lambda: len(heard) == 2)
    assert sorted(heard) == ["completed", "dead"]
    assert lost == {"finish", "fail"}


def test_a_result_that_is_too_large_fails_its_job_only(server: ServerProcess) -> None:
    with Queue("mail", server.url, max_result=1000) as queue:

        @queue.handler(result_ttl=60)
        def repeat(times: int) -> str:
            return "x" * times

        large, fitting = (queue.add(repeat, {"times": times}).id for times in (1000, 998))
        with running_worker(queue):
            assert len(queue.result(fitting)) == 998
            with pytest.raises(errors.JobFailedError, match="1002 bytes, and max_result is 1000"):
                queue.result(large)
        assert queue.job(large).attempts == 1


def test_a_result_that_the_server_refuses_does_not_hold_up_the_others(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin:
        admin.config_set("proto-max-bulk-len", 1024 * 1024)
    with Queue("mail", own_server.url, max_result=8 * 1024 * 1024, retry_for=0.5) as queue:
        begun, go_on = threading.Semaphore(0), threading.Event()

        @queue.handler(result_ttl=60)
        def repeat(times: int) -> str:
            begun.release()
            go_on.wait(10)
            return "x" * times

        large = queue.add(repeat, {"times": 3 * 1024 * 1024}).id
        small = queue.add(repeat, {"times": 3}).id
        with running_worker(queue, shutdown_timeout=10):
            assert begun.acquire(timeout=20)
            assert begun.acquire(timeout=20)
            go_on.set()
            assert queue.result(small, timeout=60) == "xxx"
            with pytest.raises(errors.JobFailedError, match="the server didn't accept the result"):
                queue.result(large, timeout=60)
        assert settled(queue)


@pytest.mark.parametrize("is_async", [False, True])
def test_errors_that_can_not_be_read_fail_their_job_only(queue: Queue, is_async: bool) -> None:
    class UnreadableError(Exception):
        def __str__(self) -> str:
            raise KeyError("missing")

        __repr__ = __str__

    class OddError(Exception):
        @property
        def kind(self) -> str:
            raise RuntimeError("no kind")

        @property
        def traceback(self) -> str:
            raise RuntimeError("no traceback")

    kinds: dict[str, BaseException] = {
        "unreadable": UnreadableError(),
        "odd": OddError("odd"),
        "surrogates": ValueError("\ud800 \udfff"),
        "large": ValueError("x" * 100_000),
        "exit": SystemExit(1),
        "stop": StopIteration(),
    }

    def fail(kind: str) -> None:
        raise kinds[kind]

    async def fail_async(kind: str) -> None:
        raise kinds[kind]

    queue.handler(name="fail", attempts=1)(fail_async if is_async else fail)
    queue.handler(name="fine", result_ttl=60)(lambda: 1)
    with running_worker(queue):
        jobs = {kind: queue.add("fail", {"kind": kind}).id for kind in kinds}
        assert queue.result(queue.add("fine").id) == 1
        wait_until(lambda: queue.statistics().dead == len(kinds))
    by_id = {letter.id: letter for letter in queue.dead_letters()}
    assert by_id[jobs["unreadable"]].error.startswith("UnreadableError: its text can't be read")
    assert by_id[jobs["odd"]].error == "OddError: odd"
    assert by_id[jobs["surrogates"]].error == "ValueError: ? ?"
    assert len(by_id[jobs["large"]].error) == 2000
    assert all(letter.traceback for letter in by_id.values())


def test_results_that_can_not_be_read_fail_their_job_only(queue: Queue) -> None:
    class Odd(dict[str, Any]):
        def items(self) -> Any:
            raise SystemExit(3)

    circle: list[Any] = []
    circle.append(circle)
    values: list[Any] = [object(), float("nan"), {1j: 2}, circle, b"bytes", {1, 2}, Odd(a=1)]
    queue.handler(name="give", result_ttl=60)(lambda n: values[n])
    with running_worker(queue):
        jobs = [queue.add("give", {"n": n}).id for n in range(len(values))]
        wait_until(lambda: queue.statistics().dead == len(values))
    assert all("the result isn't JSON" in (queue.job(job).error or "") for job in jobs)


def test_a_dead_letter_has_its_traceback(queue: Queue) -> None:
    @queue.handler(attempts=2, backoff=0.01)
    def fail_at_a_place() -> None:
        raise ValueError("no")

    with running_worker(queue):
        job = queue.add(fail_at_a_place).id
        wait_until(lambda: queue.statistics().dead == 1)
    (letter,) = queue.dead_letters()
    assert "fail_at_a_place" in (letter.traceback or "")
    assert (letter.traceback or "").endswith("ValueError: no\n")
    assert queue.requeue([job]) == 1
    assert queue.job(job).traceback is None


def test_a_listener_that_raises_stops_nothing(queue: Queue) -> None:
    heard: list[str] = []

    def raise_it(error: BaseException) -> Any:
        def listen(_: Event) -> None:
            raise error

        return listen

    queue.handler(name="note")(lambda: None)
    bad = [raise_it(error) for error in (ValueError("no"), SystemExit(1), asyncio.CancelledError())]
    with running_worker(queue, listeners=[*bad, lambda event: heard.append(event.kind)]):
        queue.add("note")
        wait_until(lambda: heard == ["completed"])
        queue.add("note")
        wait_until(lambda: heard == ["completed"] * 2)


def test_progress_that_is_not_json_fails_where_it_is_reported(queue: Queue) -> None:
    @queue.handler(result_ttl=60)
    def report() -> list[str]:
        problems = []
        for value in (object(), float("nan"), "\ud800", "x" * 100_000, {1j: 2}):
            try:
                current_job().progress(value)
            except errors.InvalidJobError as problem:
                problems.append(str(problem))
        return problems

    with running_worker(queue):
        problems = queue.result(queue.add(report).id)
    assert len(problems) == 5
    assert all(problem.startswith("the progress ") for problem in problems)


def test_a_job_that_is_lost_is_logged(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "valkeykit.queue")
    queue.handler(name="note")(lambda: None)
    job = queue.add("note").id
    take(queue, worker="gone", lease_ms=1)
    with running_worker(queue):
        wait_until(lambda: settled(queue))
    assert any(job in record.getMessage() and " lost " in record.getMessage() for record in caplog.records)
