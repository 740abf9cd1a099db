"""`valkeykit worker`: running jobs, ending, and checking the workers of a machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from valkeykit import Queue

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.command_line import environment, heartbeat_file, run, worker_process


def test_a_worker_runs_until_sigterm(server: ServerProcess, tmp_path: Path) -> None:
    with worker_process(server, tmp_path, "--concurrency", "2") as process, Queue("mail", server.url) as queue:
        assert queue.result(queue.add("double", {"n": 4}, result_ttl=60).id, timeout=30) == 8
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    log = (tmp_path / "log").read_text()
    assert "queue mail, 2 jobs at once: block, double, log, long, long_coroutine" in log
    assert log.index("double, log") < log.index("queue mail: ready")


def test_log_lines_carry_the_id_of_their_job(server: ServerProcess, tmp_path: Path) -> None:
    with Queue("mail", server.url) as queue:
        job = queue.add("log").id
    with worker_process(server, tmp_path, "--burst") as process:
        assert process.wait(60) == 0
    log = (tmp_path / "log").read_text()
    assert f"WARNING app [{job}]: hello" in log
    assert f"INFO valkeykit.queue [{job}]: queue mail: job {job} (log) completed in " in log


def test_a_burst_ends_when_the_queue_is_empty(server: ServerProcess, tmp_path: Path) -> None:
    with Queue("mail", server.url) as queue:
        queue.add_many("double", [{"n": 1}] * 100)
        with worker_process(server, tmp_path, "--burst", "--quiet") as process:
            assert process.wait(60) == 0
        assert (tmp_path / "log").read_text() == ""
        assert (queue.statistics().completed, queue.statistics().waiting) == (100, 0)


@pytest.mark.parametrize("job", ["long", "long_coroutine"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_worker_at_once(
    server: ServerProcess, tmp_path: Path, job: str, number: signal.Signals
) -> None:
    with worker_process(server, tmp_path, "--shutdown-timeout", "500") as process, Queue("mail", server.url) as queue:
        identity = queue.add(job).id
        wait_until(lambda: queue.job(identity).state == "active")
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(number)
        assert process.wait(60) == 0
        state = queue.job(identity)
        assert (state.state, state.attempts) == ("waiting", 0)
        assert queue.workers() == []
    assert not heartbeat_file(tmp_path, process).exists()


def test_a_worker_that_waits_for_its_server_ends_at_the_first_signal(tmp_path: Path) -> None:
    with worker_process(ServerProcess(tmp_path / "server"), tmp_path) as process:  # never started
        wait_until(heartbeat_file(tmp_path, process).exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert "can't be released" not in (tmp_path / "log").read_text()


def test_a_second_signal_ends_a_worker_whose_server_is_down(own_server: ServerProcess, tmp_path: Path) -> None:
    with (
        worker_process(own_server, tmp_path, "--shutdown-timeout", "500") as process,
        Queue("mail", own_server.url) as queue,
    ):
        identity = queue.add("long").id
        wait_until(lambda: queue.job(identity).state == "active")
        own_server.kill()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 0
    assert "jobs can't be released, so their leases expire" in (tmp_path / "log").read_text()


def test_a_check_without_workers_fails(server: ServerProcess, tmp_path: Path) -> None:
    checked = run(server, "worker", "--check", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr == "error: no worker runs on this machine -> valkeykit worker module:queue\n"
    assert run(server, "worker", "--check", "--json", cwd=tmp_path).stdout == "[]\n"


@pytest.mark.parametrize("job", ["long", "block"])
def test_a_check_finds_a_worker_that_is_busy(server: ServerProcess, tmp_path: Path, job: str) -> None:
    options = ("--concurrency", "1", "--shutdown-timeout", "0")
    with worker_process(server, tmp_path, *options) as process, Queue("mail", server.url) as queue:
        identity = queue.add(job).id
        wait_until(lambda: queue.job(identity).state == "active")
        line = f"queue mail, process {process.pid}: live, ready, the server answered"
        wait_until(lambda: line in run(server, "worker", "--check", cwd=tmp_path).stdout)
        assert run(server, "worker", "--check", cwd=tmp_path).returncode == 0
        (state,) = json.loads(run(server, "worker", "--check", "--json", cwd=tmp_path).stdout)
        assert (state["queue"], state["pid"], state["live"]) == ("mail", process.pid, True)


def test_a_check_fails_for_a_worker_that_does_not_respond(server: ServerProcess, tmp_path: Path) -> None:
    with worker_process(server, tmp_path) as process:
        file = heartbeat_file(tmp_path, process)
        wait_until(file.exists)
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"written": 0.0}))
        checked = run(server, "worker", "--check", cwd=tmp_path)
        assert checked.returncode == 1
        assert f"process {process.pid}: not live, not ready" in checked.stdout
        assert checked.stderr == f"error: not live: process {process.pid} -> check its log and restart it\n"


def test_a_check_of_a_heartbeat_file(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "run" / "worker.json"
    with worker_process(server, tmp_path, "--heartbeat", str(file)) as process:
        wait_until(file.exists)
        checked = run(server, "worker", "--check", "--heartbeat", str(file), cwd=tmp_path)
        assert (checked.returncode, f"process {process.pid}: live" in checked.stdout) == (0, True)
        assert run(server, "worker", "--check", cwd=tmp_path).returncode == 1
    missing = run(server, "worker", "--check", "--heartbeat", str(file), cwd=tmp_path)  # its process was killed
    assert (missing.returncode, f"with the heartbeat file {file}" in missing.stderr) == (1, True)


def test_a_check_loads_neither_redis_nor_the_application(server: ServerProcess, tmp_path: Path) -> None:
    code = (
        "import sys; from valkeykit.cli import main; sys.argv = ['valkeykit', 'worker', '--check']\n"
        "try: main()\n"
        "except SystemExit: print([name for name in ('redis', 'valkeykit.queue') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(server, tmp_path), capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("queue = 5", "app:queue is not a queue but of type int -> queue = valkeykit.Queue"),
        ("from valkeykit import Queue\nmail = Queue('mail')", "does not exist -> valkeykit worker app:mail"),
        ("import not_there", "ModuleNotFoundError: No module named 'not_there' (app.py, line 1) -> "),
        ("\n1/0", "'app' can't be imported: ZeroDivisionError: division by zero (app.py, line 2) -> "),
        ("def f():\n    return (", "SyntaxError: '(' was never closed (app.py, line 2) -> "),
        ("raise SystemExit('stop')", "SystemExit: stop (app.py, line 1) -> "),
        ("import json\njson.loads('{')", "(app.py, line 2) -> "),
        ("raise ValueError('a\\n\\x1b[31mb')", "ValueError: a \\x1b[31mb (app.py, line 1) -> "),
        ("from valkeykit import Queue\nqueue = Queue('a b')", "InvalidJobError: the queue's name is 'a b'"),
        ("from valkeykit import Queue\nqueue = Queue('mail')", "the queue mail has no handler"),
    ],
)  # fmt: skip
def test_an_application_that_cannot_be_used_is_one_line(
    server: ServerProcess, tmp_path: Path, source: str, error: str
) -> None:
    (tmp_path / "app.py").write_text(source)
    failed = run(server, "worker", "app:queue", cwd=tmp_path)
    assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
    assert failed.stderr.startswith("error: ")
    assert error in failed.stderr


def test_the_traceback_of_an_application_is_logged_on_request(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def fail():\n    1/0\nfail()\n")
    failed = run(server, "worker", "app:queue", "-v", cwd=tmp_path)
    assert failed.returncode == 1
    assert "in fail" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("error: the module 'app' can't be imported")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["app"], 1, "'app' does not name a queue -> valkeykit worker module:queue"),
        (["app:"], 1, "does not name a queue"),
        ([":queue"], 1, "does not name a queue"),
        (["..app:queue"], 1, "'..app' is not a module's name"),
        (["app.py:queue"], 1, "'app.py' is not a module's name -> valkeykit worker app:queue"),
        (["./pkg/jobs.py:queue"], 1, "-> valkeykit worker pkg.jobs:queue"),
        (["nothing:queue"], 1, "no module named 'nothing'"),
        (["nothing.jobs:queue"], 1, "no module named 'nothing'"),
        (["app:queue", "--concurrency", "0"], 2, "'--concurrency'"),
        (["app:queue", "--lease", "-1"], 2, "'--lease'"),
        (["app:queue", "--lease", "nan"], 2, "--lease"),
        (["app:queue", "--health-port", "70000"], 2, "--health-port"),
        ([], 2, "MODULE:QUEUE is missing"),
        (["app:queue", "--verbose", "--quiet"], 2, "exclude each other"),
        (["app:queue", "--check"], 2, "--check takes no MODULE:QUEUE"),
    ],
)
def test_wrong_usage_is_a_clear_error(
    server: ServerProcess, tmp_path: Path, arguments: list[str], code: int, error: str
) -> None:
    (tmp_path / "app.py").write_text(
        "from valkeykit import Queue\nqueue = Queue('mail')\nqueue.handler(name='send')(print)\n"
    )
    failed = run(server, "worker", *arguments, cwd=tmp_path)
    assert (failed.returncode, failed.stdout) == (code, "")
    assert error in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_health_port_in_use_is_one_error(server: ServerProcess, tmp_path: Path) -> None:
    with worker_process(server, tmp_path, "--health-port", str(server.port)) as process:
        assert process.wait(60) == 1
    assert f"error: health_port {server.port} can't be used" in (tmp_path / "log").read_text()
