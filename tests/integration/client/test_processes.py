"""Handlers in child processes: results, exceptions, and what a handler sees."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from valkeykit.queue.outcomes import HandlerFailedError
from valkeykit.queue.processes.parent import HandlerProcess

from tests.integration.client import process_handlers as handlers
from tests.integration.client.calling import call, progress_of


@pytest.mark.parametrize("value", [1, "text", [1, {"a": None}], {"ü": "\ud83d"}, False, 0.5, []])
def test_a_result_arrives_as_compact_json(process: HandlerProcess, value: Any) -> None:
    result = process.run(handlers.value_of, {"value": value}, job_id="job-1", attempt=1, report_progress=lambda _: None)
    assert result == json.dumps(value, separators=(",", ":"))


def test_no_result_is_none(process: HandlerProcess) -> None:
    result = process.run(handlers.value_of, {"value": None}, job_id="1", attempt=1, report_progress=lambda _: None)
    assert result is None


def test_a_result_of_20_mb_arrives(process: HandlerProcess) -> None:
    assert call(process, handlers.value_of, value="x" * 20_000_000) == "x" * 20_000_000


def test_the_child_process_rejects_a_result_that_is_too_large(process: HandlerProcess) -> None:
    with pytest.raises(HandlerFailedError) as caught:
        process.run(
            handlers.value_of, {"value": "x" * 9}, job_id="1", attempt=1, report_progress=lambda _: None, max_result=10
        )
    assert caught.value.kind == "InvalidResultError"


def test_the_child_process_is_another_one_and_is_kept(process: HandlerProcess) -> None:
    pids = {call(process, handlers.pid) for _ in range(3)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ("value", "ValueError", "no such user"),
        ("unpicklable", "UnpicklableError", "held"),
        ("mute", "MuteError", "<no text: its __str__ raises>"),
        ("surrogate", "ValueError", "half \\ud83d of it"),
        ("base", "MailError", "not an Exception"),
        ("keyboard", "KeyboardInterrupt", ""),
        ("cancelled", "CancelledError", ""),
    ],
)
def test_an_exception_arrives_as_its_kind_and_text(process: HandlerProcess, error: str, kind: str, text: str) -> None:
    pid = call(process, handlers.pid)
    with pytest.raises(HandlerFailedError) as caught:
        call(process, handlers.raise_error, kind=error)
    assert (caught.value.kind, caught.value.text) == (kind, text)
    assert "in raise_error" in caught.value.traceback
    assert "child.py" not in caught.value.traceback
    caught.value.text.encode()
    caught.value.traceback.encode()
    assert call(process, handlers.pid) == pid


def test_the_traceback_names_the_cause(process: HandlerProcess) -> None:
    with pytest.raises(HandlerFailedError, match="LookupError: nobody") as caught:
        call(process, handlers.raise_chained)
    assert "ValueError: no such user" in caught.value.traceback


def test_sys_exit_fails_the_call_only(process: HandlerProcess) -> None:
    pid = call(process, handlers.pid)
    with pytest.raises(HandlerFailedError, match="SystemExit: done"):
        call(process, handlers.leave)
    assert call(process, handlers.pid) == pid


@pytest.mark.parametrize(
    ("function", "arguments", "kind"),
    [(handlers.raise_error, {"kind": "long"}, "ValueError"), (handlers.recurse, {}, "RecursionError")],
)
def test_an_exception_of_any_size_arrives_shortened(
    process: HandlerProcess, function: Callable[..., Any], arguments: dict[str, Any], kind: str
) -> None:
    with pytest.raises(HandlerFailedError) as caught:
        call(process, function, **arguments)
    assert caught.value.kind == kind
    assert len(caught.value.text) + len(caught.value.traceback) < 100_000


def test_wrong_arguments_fail_the_call(process: HandlerProcess) -> None:
    with pytest.raises(HandlerFailedError, match=r"TypeError: pid\(\) got an unexpected keyword argument 'user'"):
        call(process, handlers.pid, user=1)


@pytest.mark.parametrize("function", [handlers.return_a_set, handlers.return_nan, handlers.return_nested])
def test_a_result_that_is_not_json_fails_the_call(process: HandlerProcess, function: Callable[..., Any]) -> None:
    with pytest.raises(HandlerFailedError) as caught:
        call(process, function)
    assert caught.value.kind == "InvalidResultError"
    assert caught.value.text.startswith("the result isn't JSON: ")


def test_handlers_see_their_job(process: HandlerProcess) -> None:
    seen = {"id": "job-1", "name": "describe", "queue": "mail", "attempt": 2}
    expected = {**seen, "arguments": {"user": "ann"}, "is_interrupted": False}
    assert call(process, handlers.describe_job, user="ann") == expected


def test_progress_arrives_in_order(process: HandlerProcess) -> None:
    assert progress_of(process, handlers.report, number=500) == [{"done": value} for value in range(500)]


def test_progress_that_is_not_json_fails_the_call(process: HandlerProcess) -> None:
    with pytest.raises(HandlerFailedError, match="InvalidJobError: the progress is not JSON"):
        call(process, handlers.report_a_set)


def test_a_thread_left_by_a_job_reports_no_progress_for_the_next(process: HandlerProcess) -> None:
    call(process, handlers.report_later)
    assert progress_of(process, handlers.report, number=200) == [{"done": value} for value in range(200)]


@pytest.mark.parametrize("function", [handlers.return_later, handlers.return_awaitable])
def test_a_coroutine_runs_to_its_end(process: HandlerProcess, function: Callable[..., Any]) -> None:
    assert call(process, function, value=[5]) == [5]
    assert progress_of(process, function, value=5) == ["awaited"]


def test_a_generator_runs_to_its_end(process: HandlerProcess) -> None:
    assert call(process, handlers.generate, number=3) == "generated"
    assert progress_of(process, handlers.generate, number=3) == [0, 1, 2]
    assert progress_of(process, handlers.generate_later, number=3) == [0, 1, 2]
    assert call(process, handlers.generate_later, number=3) is None


def test_context_variables_do_not_reach_the_next_job(process: HandlerProcess) -> None:
    assert [call(process, handlers.remember, text=text) for text in "ab"] == ["nothing", "nothing"]


def test_termination_signals_do_not_end_a_handler_but_what_it_started(process: HandlerProcess) -> None:
    assert call(process, handlers.survive_signals) == "alive"
    assert call(process, handlers.terminate_a_command) == -signal.SIGTERM
    assert call(process, handlers.terminate_a_fork) == -signal.SIGTERM


def test_ctrl_c_does_not_reach_the_child_process(process: HandlerProcess) -> None:
    assert call(process, handlers.process_group) != os.getpgrp()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT, signal.SIGTERM} == set()


def test_output_is_inherited_and_input_is_empty(process: HandlerProcess, capfd: pytest.CaptureFixture[str]) -> None:
    call(process, handlers.write, text="hello from the child")
    assert "hello from the child" in capfd.readouterr().out
    assert call(process, handlers.read_stdin) == ""
