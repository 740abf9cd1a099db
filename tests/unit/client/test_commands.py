"""The command line, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from valkeykit import Queue

from tests.servers import Server


def run(server: Server, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from valkeykit.cli import main; main()", *arguments],
        env=os.environ | {"VALKEY_URL": server.url, "NO_COLOR": "1", "COLUMNS": "160"}, cwd=cwd,
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


def test_the_dashboard(server: Server) -> None:
    with Queue("mail", server.url) as queue:
        job = queue.add("send", {"to": "a"}, attempts=1).id
        queue.send(queue.calls.take("w", 1, 1000))
        queue.send(queue.calls.fail("w", [job, 1, -1, "ValueError: no", ""]))
        queue.add_many("send", [{}] * 1234)
        shown = run(server, "queue", "mail")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "1,234" in shown.stdout
        assert "ValueError: no" in shown.stdout
        record = json.loads(run(server, "queue", "mail", "--json").stdout)
        assert (record["waiting"], record["dead_letters"][0]["id"]) == (1234, job)
        assert run(server, "queue", "mail", "--pause", "--requeue-all").returncode == 0
        counts = queue.statistics()
        assert (counts.paused, counts.dead, counts.waiting) == (True, 0, 1235)
        run(server, "queue", "mail", "--resume")
        assert not queue.statistics().paused


def test_requeue_all_takes_every_dead_letter(server: Server) -> None:
    with Queue("mail", server.url) as queue:
        ids = queue.add_many("send", [{}] * 1200, attempts=1)
        for first in range(0, len(ids), 600):
            queue.send(queue.calls.take("w", 600, 1000))
            for job in ids[first : first + 600]:
                queue.send(queue.calls.fail("w", [job, 1, -1, "ValueError: no", ""]))
        assert queue.statistics().dead == 1200
        assert run(server, "queue", "mail", "--requeue-all").returncode == 0
        assert (queue.statistics().dead, queue.statistics().waiting) == (0, 1200)


def test_a_server_that_is_gone_is_told_soon(tmp_path: Path) -> None:
    shown = run(Server(tmp_path), "queue", "mail")  # never started
    assert shown.returncode == 1
    assert shown.stderr.startswith("error: nothing listens")


def test_a_worker_runs_until_it_is_told_to_stop(server: Server, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from valkeykit import Queue\nqueue = Queue('mail')\n"
        "@queue.handler(result_ttl=60)\ndef double(n: int) -> int:\n    return n * 2\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", "from valkeykit.cli import main; main()", "worker", "app:queue", "--concurrency", "2"],
        env=os.environ | {"VALKEY_URL": server.url}, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with Queue("mail", server.url) as queue:
            assert queue.result(queue.add("double", {"n": 4}, result_ttl=60).id, timeout=15) == 8
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "queue mail, 2 jobs at once: double" in log


def test_errors_are_one_line_on_stderr(server: Server, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("queue = 5\n")
    for arguments, text in (
        (["worker", "app"], "names no queue"),
        (["worker", "nothing:queue"], "no module 'nothing'"),
        (["worker", "app:queue"], "is no queue"),
        (["queue", "a{b"], "brace"),
    ):
        failed = run(server, *arguments, cwd=tmp_path)
        assert failed.returncode == 1
        assert failed.stdout == ""
        assert text in failed.stderr
        assert len(failed.stderr.splitlines()) == 1
