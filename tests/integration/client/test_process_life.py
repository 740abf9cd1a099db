"""Child processes that crash, are killed or lose their parent; nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from valkeykit.queue.processes.parent import HandlerProcess, ProcessEndedError

from harness.waiting import wait_until
from tests.integration.client import process_handlers as handlers
from tests.integration.client.calling import CHILD_WAIT_SECONDS, RunningCall, call, is_gone


def open_files() -> int:
    return psutil.Process().num_fds()


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
    wait_until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None, CHILD_WAIT_SECONDS)
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
    running = RunningCall(process, handlers.hold_the_gil)
    pid = running.first_report()
    process.kill()
    assert str(running.outcome()) == "the child process of the job was killed"
    assert isinstance(running.error, ProcessEndedError)
    assert is_gone(pid)
    assert call(process, handlers.pid) != pid


def test_kill_ends_the_commands_of_a_handler(process: HandlerProcess) -> None:
    running = RunningCall(process, handlers.start_a_command)
    pid = running.first_report()
    process.kill()
    assert isinstance(running.outcome(), ProcessEndedError)
    wait_until(lambda: is_gone(pid), CHILD_WAIT_SECONDS)


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
    running = RunningCall(process, handlers.hold_the_gil)
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
from valkeykit.queue.processes.parent import HandlerProcess

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
from valkeykit.queue.outcomes import HandlerFailedError
from valkeykit.queue.processes.parent import HandlerProcess

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
            wait_until(lambda: is_gone(pid), CHILD_WAIT_SECONDS)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def test_a_script_without_a_guard_gets_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=True
    )
    assert done.stdout.startswith("ConfigurationError: the script starts a worker whenever it is imported")
    assert '-> start the worker below `if __name__ == "__main__":`' in done.stdout
