"""Handlers in child processes: results, exceptions, crashes, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from valkeykit.errors import ConfigurationError, InvalidJobError
from valkeykit.queue import references
from valkeykit.queue.processes import (
    HandlerFailedError,
    HandlerProcess,
    ProcessEndedError,
    check_importable,
    check_not_importing,
)

from tests.unit.client import process_handlers as handlers
from tests.unit.client.working import until

PATIENCE = 60
"""Seconds for a child process to start or to end."""

ROOT = Path(__file__).parents[3]


@pytest.fixture
def process() -> Iterator[HandlerProcess]:
    with closing(HandlerProcess()) as process:
        yield process


def call(process: HandlerProcess, function: Callable[..., Any], /, **arguments: Any) -> Any:
    result = process.run(function, arguments, job_id="job-1", attempt=2, report_progress=lambda _: None)
    return None if result is None else json.loads(result)


def progress_of(process: HandlerProcess, function: Callable[..., Any], /, **arguments: Any) -> list[Any]:
    reported: list[Any] = []
    process.run(function, arguments, job_id="job-1", attempt=2, report_progress=reported.append)
    return reported


class Running:
    """A call in a thread of its own, and the first value that its handler reported."""

    def __init__(self, process: HandlerProcess, function: Callable[..., Any], /, **arguments: Any) -> None:
        self.error: Exception | None = None
        self.reported: Any = None
        self._has_reported = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(process, function, arguments))
        self._thread.start()

    def _run(self, process: HandlerProcess, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        try:
            process.run(function, arguments, job_id="job-1", attempt=1, report_progress=self._note)
        except Exception as error:  # noqa: BLE001  (the test gets it)
            self.error = error

    def _note(self, value: Any) -> None:
        self.reported = value
        self._has_reported.set()

    def first_report(self) -> Any:
        assert self._has_reported.wait(PATIENCE)
        return self.reported

    def outcome(self) -> Exception | None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.error


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # its parent is gone, and init is slow
    except psutil.NoSuchProcess:
        return True


def open_files() -> int:
    return psutil.Process().num_fds()


@pytest.mark.parametrize("value", [1, "text", [1, {"a": None}], {"ü": "\ud83d"}, False, 0.5, []])
def test_a_result_arrives_as_compact_json(process: HandlerProcess, value: Any) -> None:
    result = process.run(handlers.value_of, {"value": value}, job_id="job-1", attempt=1, report_progress=lambda _: None)
    assert result == json.dumps(value, separators=(",", ":"))


def test_no_result_is_none(process: HandlerProcess) -> None:
    result = process.run(handlers.value_of, {"value": None}, job_id="1", attempt=1, report_progress=lambda _: None)
    assert result is None


def test_a_result_of_20_mb_arrives(process: HandlerProcess) -> None:
    assert call(process, handlers.value_of, value="x" * 20_000_000) == "x" * 20_000_000


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


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("exit", "exited with status 7"),
        ("segfault", "killed by SIGSEGV"),
        ("abort", "killed by SIGABRT"),
        ("kill", "killed by SIGKILL; the kernel sends it when memory runs out"),
        ("close", "the child process"),
    ],
)
def test_a_crash_ends_its_call_and_the_next_call_runs(process: HandlerProcess, how: str, text: str) -> None:
    pid = call(process, handlers.pid)
    with pytest.raises(ProcessEndedError, match=text):
        call(process, handlers.end, how=how)
    assert call(process, handlers.pid) != pid
    assert is_gone(pid)


def test_a_crash_between_calls_is_not_noticed(process: HandlerProcess) -> None:
    pid = call(process, handlers.pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None, PATIENCE)
    assert call(process, handlers.pid) != pid


def test_a_crash_is_noticed_though_a_forked_process_lives(process: HandlerProcess) -> None:
    with pytest.raises(ProcessEndedError, match="exited with status 7"):
        call(process, handlers.fork_and_end)


def test_a_fork_that_leaves_the_handler_sends_nothing(process: HandlerProcess) -> None:
    assert [call(process, handlers.return_from_a_fork) for _ in range(3)] == ["parent"] * 3
    assert call(process, handlers.value_of, value=5) == 5


def test_a_handler_may_use_a_pool_of_processes(process: HandlerProcess) -> None:
    assert call(process, handlers.work_in_a_pool) == [1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not limit the address space")
def test_exhausted_memory_ends_the_child_process(process: HandlerProcess) -> None:
    pid = call(process, handlers.pid)
    with pytest.raises(ProcessEndedError, match="ran out of memory"):
        call(process, handlers.exhaust_memory)
    assert is_gone(pid)
    assert call(process, handlers.pid) != pid


def test_kill_ends_a_handler_that_holds_the_gil(process: HandlerProcess) -> None:
    running = Running(process, handlers.hold_the_gil)
    pid = running.first_report()
    process.kill()
    assert str(running.outcome()) == "the child process of the job was killed"
    assert isinstance(running.error, ProcessEndedError)
    assert is_gone(pid)
    assert call(process, handlers.pid) != pid


def test_kill_ends_the_commands_of_a_handler(process: HandlerProcess) -> None:
    running = Running(process, handlers.start_a_command)
    pid = running.first_report()
    process.kill()
    assert isinstance(running.outcome(), ProcessEndedError)
    until(lambda: is_gone(pid), PATIENCE)


def test_kill_between_calls_ends_the_idle_process_only(process: HandlerProcess) -> None:
    process.kill()
    pid = call(process, handlers.pid)
    process.kill()
    assert is_gone(pid)
    assert call(process, handlers.pid) != pid


def test_a_job_that_was_cancelled_before_its_call_does_not_run(process: HandlerProcess) -> None:
    process.kill()
    with pytest.raises(ProcessEndedError, match="was killed"):
        process.run(handlers.pid, {}, job_id="1", attempt=1, report_progress=lambda _: None, is_cancelled=lambda: True)
    assert call(process, handlers.pid)


def test_kill_while_the_call_starts_ends_it(process: HandlerProcess) -> None:
    def kill() -> bool:
        process.kill()
        return False

    with pytest.raises(ProcessEndedError, match="was killed"):
        process.run(handlers.pid, {}, job_id="1", attempt=1, report_progress=lambda _: None, is_cancelled=kill)
    assert call(process, handlers.pid)


def test_an_error_while_progress_is_reported_ends_the_child_process(process: HandlerProcess) -> None:
    pids: list[int] = []

    def fail(pid: int) -> None:
        pids.append(pid)
        raise OSError("no connection")

    with pytest.raises(OSError, match="no connection"):
        process.run(handlers.hold_the_gil, {}, job_id="1", attempt=1, report_progress=fail)
    assert is_gone(pids[0])
    assert call(process, handlers.value_of, value=1) == 1


def test_close_ends_a_call_and_refuses_later_ones(process: HandlerProcess) -> None:
    running = Running(process, handlers.hold_the_gil)
    pid = running.first_report()
    process.close()
    assert is_gone(pid)
    assert isinstance(running.outcome(), ProcessEndedError)
    with pytest.raises(ProcessEndedError):
        call(process, handlers.pid)


def test_nothing_is_left_of_twenty_processes() -> None:
    with closing(HandlerProcess()) as process:
        call(process, handlers.pid)
    files, pids = open_files(), []
    with closing(HandlerProcess()) as process:
        for number in range(20):
            pids.append(call(process, handlers.pid))
            if number % 2:
                process.kill()
            else:
                with pytest.raises(ProcessEndedError):
                    call(process, handlers.end, how="exit")
    assert len(set(pids)) == 20
    assert [child.pid for child in psutil.Process().children() if child.pid in pids] == []
    assert open_files() == files


def test_handlers_see_their_job(process: HandlerProcess) -> None:
    expected = {"id": "job-1", "attempt": 2, "arguments": {"user": "ann"}, "is_interrupted": False}
    assert call(process, handlers.describe_job, user="ann") == expected


def test_progress_arrives_in_order(process: HandlerProcess) -> None:
    assert progress_of(process, handlers.report, number=500) == [{"done": value} for value in range(500)]


def test_progress_that_is_not_json_fails_the_call(process: HandlerProcess) -> None:
    with pytest.raises(HandlerFailedError, match="InvalidJobError: the progress isn't JSON"):
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


def test_termination_signals_do_not_end_a_handler_but_its_commands(process: HandlerProcess) -> None:
    assert call(process, handlers.survive_signals) == "alive"
    assert call(process, handlers.terminate_a_command) == -signal.SIGTERM


def test_ctrl_c_does_not_reach_the_child_process(process: HandlerProcess) -> None:
    assert call(process, handlers.process_group) != os.getpgrp()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT, signal.SIGTERM} == set()


def test_output_is_inherited_and_input_is_empty(process: HandlerProcess, capfd: pytest.CaptureFixture[str]) -> None:
    call(process, handlers.write, text="hello from the child")
    assert "hello from the child" in capfd.readouterr().out
    assert call(process, handlers.read_stdin) == ""


def test_only_the_pipes_are_inherited(process: HandlerProcess) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        call(process, handlers.pid)
        os.close(writer)
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_fork_leaves_the_child_process_alone(process: HandlerProcess) -> None:
    pid = call(process, handlers.pid)
    fork = os.fork()
    if fork == 0:
        status = 1
        with suppress(BaseException):
            process.kill()
            own = call(process, handlers.pid)
            process.close()
            status = 0 if own != pid and is_gone(own) else 2
        os._exit(status)
    _, status = os.waitpid(fork, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert call(process, handlers.pid) == pid


SCRIPT = """
import os, re, sys
from valkeykit import current_job
from valkeykit.queue.processes import HandlerProcess

def hold_the_gil():
    current_job().progress(os.getpid())
    re.match(r"(a+)+$", "a" * 60 + "b")

def double(value):
    return value * 2

if __name__ == "__main__":
    process = HandlerProcess()
    options = {"job_id": "1", "attempt": 1, "report_progress": lambda value: print(value, flush=True)}
    print(process.run(double, {"value": 4}, **options), flush=True)
    if os.fork() == 0:  # a fork of the worker that outlives it
        import time
        time.sleep(600)
    process.run(hold_the_gil, {}, **options)
"""

UNGUARDED = """
from valkeykit.queue.processes import HandlerFailedError, HandlerProcess

def double(value):
    return value * 2

process = HandlerProcess()
try:
    process.run(double, {"value": 4}, job_id="1", attempt=1, report_progress=print)
except HandlerFailedError as error:
    print(error)
process.close()
"""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize("as_module", [False, True])
def test_a_handler_in_the_script_ends_with_a_killed_parent(tmp_path: Path, as_module: bool) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "script"] if as_module else [sys.executable, "script.py"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(), start_new_session=True
    ) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "8\n"
            pid = int(parent.stdout.readline())
            assert not is_gone(pid)
            parent.kill()
            until(lambda: is_gone(pid), PATIENCE)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def test_a_script_without_a_guard_gets_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=True
    )
    assert done.stdout.startswith("ConfigurationError: the script starts a worker whenever it is imported")
    assert '-> start the worker below `if __name__ == "__main__":`' in done.stdout


def test_a_script_that_is_imported_starts_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    check_not_importing()
    monkeypatch.setattr(references, "_importing_script", True)
    with pytest.raises(ConfigurationError):
        HandlerProcess()


@pytest.mark.parametrize(
    "function", [handlers.echo, handlers.Mailer.send, handlers.Mailer.name, handlers.wrapped, handlers.bare, abs]
)
def test_a_function_with_a_name_in_its_module_is_importable(function: Callable[..., Any]) -> None:
    check_importable(function)
    assert references.resolve(references.refer(function)) == function


def nested() -> Callable[..., Any]:
    def handler() -> None:
        pass

    return handler


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: None, "it is a lambda"),
        (handlers.anonymous, "it is a lambda"),
        (nested(), "it is defined in another function"),
        (handlers.unnamed, "it is defined in another function"),
        (handlers.partially, "it is a partial object, not a function"),
        (handlers.mailer, "it is a Mailer object, not a function"),
        (handlers.mailer.post, "it is a method of an object"),
        ([].append, "it is a method of an object"),
        (handlers.first, "the name is another function in the module"),
    ],
)
def test_a_function_without_a_name_in_its_module_is_refused(
    process: HandlerProcess, function: Callable[..., Any], reason: str
) -> None:
    with pytest.raises(InvalidJobError, match=reason) as caught:
        check_importable(function)
    assert caught.value.fix
    with pytest.raises(HandlerFailedError, match=f"InvalidJobError: .*{reason}"):
        call(process, function)


def define(module: ModuleType, source: str) -> Any:
    exec(compile(source, "session", "exec"), vars(module))  # noqa: S102
    return vars(module).get("handler")


def test_a_function_of_an_interactive_session_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", session)
    with pytest.raises(InvalidJobError, match="interactive session"):
        check_importable(define(session, "def handler(): pass"))


def test_a_function_of_a_module_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up")
    handler = define(module, "def handler(): pass")
    with pytest.raises(InvalidJobError, match="its module 'made_up' is not imported"):
        check_importable(handler)
    monkeypatch.setitem(sys.modules, "made_up", module)
    with pytest.raises(InvalidJobError, match="its module 'made_up' can't be imported"):
        check_importable(handler)


def test_a_decorator_may_check_before_the_name_is_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from valkeykit.queue.processes import check_importable as check\n"
    source += "def deco(function):\n    check(function)\n    return function\n"
    source += "@deco\ndef send(): pass\n@deco\ndef send(): pass\nclass Mail:\n    @staticmethod\n    @deco\n"
    source += "    def post(): pass\ndel send\n"
    (tmp_path / "decorated_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import decorated_module  # type: ignore[import-not-found]

    check_importable(decorated_module.Mail.post)
    post = decorated_module.Mail.post
    del decorated_module.Mail
    with pytest.raises(InvalidJobError, match="the module 'decorated_module' has no such name"):
        check_importable(post)


def test_a_module_on_a_path_that_was_added_is_imported(
    process: HandlerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "added_module.py").write_text("def greet(name):\n    return 'hello ' + name\n")
    monkeypatch.syspath_prepend(tmp_path)
    import added_module  # type: ignore[import-not-found]

    assert call(process, added_module.greet, name="ann") == "hello ann"
    assert call(process, handlers.wrapped) == ["logged", "bare"]
    assert call(process, handlers.bare) == "bare"
