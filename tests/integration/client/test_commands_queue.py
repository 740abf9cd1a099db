"""`valkeykit queue`: its tables and its changes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from contextlib import closing

import pytest
from valkeykit import Queue
from valkeykit.queue.schema import REGISTRY_KEY

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.command_line import MAIN, environment, run
from tests.integration.client.running_worker import running_worker


def register(server: ServerProcess, *names: str) -> None:
    with closing(server.client()) as client:
        client.sadd(REGISTRY_KEY, *names)


def take(queue: Queue, number: int = 1) -> None:
    queue.send(queue.protocol.take("w", number, 60_000))


def kill_one(queue: Queue, error: str = "ValueError: no", trace: str = "", name: str = "send") -> str:
    """The id of a new dead letter; nothing else may wait."""
    job = queue.add(name, {"to": "a"}, attempts=1).id
    take(queue)
    queue.send(queue.protocol.fail("w", [job, 1, -1, error, trace]))
    return job


def test_the_page_of_a_queue(queue: Queue, server: ServerProcess) -> None:
    job = kill_one(queue)
    queue.add_many("send", [{}] * 1234)
    shown = run(server, "queue", "mail")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "1,234" in shown.stdout
    assert "ValueError: no" in shown.stdout
    assert "warning: jobs wait in the queue mail, and no worker is live" in shown.stdout
    record = json.loads(run(server, "queue", "mail", "--json").stdout)
    assert (record["waiting"], record["workers"], record["dead_letters"][0]["id"]) == (1234, 0, job)


def test_no_dead_letters_are_shown_on_request(queue: Queue, server: ServerProcess) -> None:
    kill_one(queue)
    assert "ValueError" not in run(server, "queue", "mail", "--dead", "0").stdout
    record = json.loads(run(server, "queue", "mail", "--dead", "0", "--json").stdout)
    assert (record["dead"], record["dead_letters"]) == (1, [])


@pytest.mark.parametrize(
    "text",
    [
        "command [/usr/bin/x] failed [retry later]",
        pytest.param("[/]", marks=pytest.mark.thorough),
        pytest.param("[@click=f()]b[link=http://x]y", marks=pytest.mark.thorough),
    ],
)
def test_data_is_not_parsed_as_markup(queue: Queue, server: ServerProcess, text: str) -> None:
    word = text.replace(" ", "_")
    job = kill_one(queue, text, text, name=word)
    with Queue(word, server.url) as other:
        identity = other.add(word, id=word).id
        take(other)
        other.send(
            other.protocol.renew("[/w]", 60_000, [], json.dumps({"host": text, "handlers": [word], "version": text}))
        )
    register(server, "mail", word)
    for arguments in (
        ["mail"], ["mail", "--jobs", "dead"], ["mail", "--job", job], [word], [word, "--jobs", "active"],
        [word, "--workers"], [word, "--job", identity], [],
    ):  # fmt: skip
        shown = run(server, "queue", *arguments)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert word in shown.stdout.replace(" ", "_")


def test_control_characters_do_not_reach_the_terminal(queue: Queue, server: ServerProcess) -> None:
    job = kill_one(queue, "\x1b[2Jgone\x9b1m\u202e", "line\n\x1b]0;title\x07")
    for arguments in (["mail"], ["mail", "--job", job], ["mail", "--jobs", "dead"]):
        shown = run(server, "queue", *arguments).stdout
        assert "\\x1b[2Jgone" in shown
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)


def test_jobs_are_listed_by_state(queue: Queue, server: ServerProcess) -> None:
    dead = kill_one(queue)
    active = queue.add("send").id
    take(queue)
    waiting = queue.add_many("send", [{}] * 3)
    delayed = queue.add("send", delay=500).id
    for state, ids in (("waiting", waiting), ("delayed", [delayed]), ("active", [active]), ("dead", [dead])):
        listed = json.loads(run(server, "queue", "mail", "--jobs", state, "--json").stdout)
        assert [job["id"] for job in listed] == ids
        shown = run(server, "queue", "mail", "--jobs", state).stdout
        assert all(identity in shown for identity in ids)
    assert "lease ends" in run(server, "queue", "mail", "--jobs", "active").stdout
    assert len(json.loads(run(server, "queue", "mail", "--jobs", "waiting", "--limit", "2", "--json").stdout)) == 2


def test_a_job_is_shown_with_its_traceback(queue: Queue, server: ServerProcess) -> None:
    job = kill_one(queue, trace='Traceback:\n  File "x.py", line 1\nValueError: no')
    shown = run(server, "queue", "mail", "--job", job).stdout
    assert 'Traceback:\n  File "x.py", line 1\nValueError: no' in shown
    assert json.loads(run(server, "queue", "mail", "--job", job, "--json").stdout)["state"] == "dead"
    missing = run(server, "queue", "mail", "--job", "nope")
    assert (missing.returncode, "has no job nope" in missing.stderr) == (1, True)


def test_workers_are_listed(queue: Queue, server: ServerProcess) -> None:
    queue.handler(name="send")(print)
    with running_worker(queue) as worker:
        queue.add("send")
        (listed,) = json.loads(run(server, "queue", "mail", "--workers", "--json").stdout)
        assert (listed["name"], listed["handlers"]) == (worker.name, ["send"])
        assert worker.name in run(server, "queue", "mail", "--workers").stdout
        assert json.loads(run(server, "queue", "mail", "--json").stdout)["workers"] == 1


def test_queues_are_listed(queue: Queue, server: ServerProcess) -> None:
    assert run(server, "queue").stdout == "no queue has been used on this server\n"
    queue.add("send")
    register(server, "mail", "idle", "not a {name}")
    with Queue("paused", server.url) as paused:
        paused.pause()
        paused.add("send")
    register(server, "paused")
    shown = run(server, "queue")
    assert (shown.returncode, shown.stderr) == (0, "")
    warnings = [line for line in shown.stdout.splitlines() if line.startswith("warning")]
    assert warnings == ["warning: jobs wait in the queue mail, and no worker is live -> valkeykit worker module:queue"]
    listed = {one["name"]: one for one in json.loads(run(server, "queue", "--json").stdout)}
    assert list(listed) == ["idle", "mail", "paused"]
    assert (listed["mail"]["waiting"], listed["mail"]["workers"], listed["paused"]["paused"]) == (1, 0, True)


def test_workers_and_due_jobs_without_one_are_listed(queue: Queue, server: ServerProcess) -> None:
    queue.handler(name="send")(lambda: None)
    with running_worker(queue) as worker:
        queue.add("send")
        wait_until(lambda: queue.statistics().completed == 1)
        assert worker.name in run(server, "queue").stdout.replace("\n", "")
        (listed,) = json.loads(run(server, "queue", "--json").stdout)
        assert [one["name"] for one in listed["live_workers"]] == [worker.name]
    (recent,) = json.loads(run(server, "queue", "mail", "--jobs", "recent", "--json").stdout)
    assert recent["id"] in run(server, "queue", "mail", "--jobs", "recent").stdout
    assert "completed" in run(server, "queue", "mail", "--history").stdout
    queue.add("send", delay=0.001)
    wait_until(lambda: queue.statistics().due == 1)
    assert "warning: jobs wait in the queue mail" in run(server, "queue").stdout


def test_a_queue_that_was_never_used_is_an_error(server: ServerProcess) -> None:
    for arguments in ([], ["--json"], ["--pause"], ["--jobs", "dead"]):
        failed = run(server, "queue", "typo", *arguments)
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr == "error: no queue named 'typo' has been used on this server -> valkeykit queue\n"
    with closing(server.client()) as client:
        assert client.keys() == []
    register(server, "typo")
    assert run(server, "queue", "typo").returncode == 0


def test_a_user_of_one_queue_needs_no_access_to_the_list(queue: Queue, server: ServerProcess) -> None:
    queue.add("send")
    with closing(server.client()) as client:
        client.acl_setuser(
            "mail", enabled=True, passwords=["+p"], keys=["valkeykit:{mail}", "valkeykit:{mail}:*"],
            commands=["+@all"], reset=True,
        )  # fmt: skip
    url = server.url.replace("redis://", "redis://mail:p@")
    limited = run(server, "queue", "mail", "--json", url=url)
    assert json.loads(limited.stdout)["waiting"] == 1
    refused = run(server, "queue", url=url)
    assert (refused.returncode, "may not" in refused.stderr) == (1, True)


def test_a_queue_is_paused_and_resumed(queue: Queue, server: ServerProcess) -> None:
    queue.add("send")
    assert run(server, "queue", "mail", "--pause").stdout == "paused: no worker takes jobs\n"
    assert queue.statistics().paused
    assert "(paused)" in run(server, "queue", "mail").stdout
    assert json.loads(run(server, "queue", "mail", "--resume", "--json").stdout) == {"paused": False}
    assert not queue.statistics().paused


def test_dead_letters_are_requeued(queue: Queue, server: ServerProcess) -> None:
    job = kill_one(queue)
    failed = run(server, "queue", "mail", "--requeue", job, "--requeue", "nope")
    assert (failed.returncode, failed.stdout) == (1, "requeued 1 dead letter\n")
    assert "1 of 2 ids are not dead letters of the queue mail" in failed.stderr
    failed = run(server, "queue", "mail", "--requeue", "nope")
    assert "nope is not a dead letter of the queue mail" in failed.stderr
    assert (queue.statistics().dead, queue.statistics().waiting) == (0, 1)


def test_requeue_all_takes_every_dead_letter(queue: Queue, server: ServerProcess) -> None:
    ids = queue.add_many("send", [{}] * 1200, attempts=1)
    for first in range(0, len(ids), 600):
        take(queue, 600)
        for job in ids[first : first + 600]:
            queue.send(queue.protocol.fail("w", [job, 1, -1, "ValueError: no", ""]))
    assert queue.statistics().dead == 1200
    assert run(server, "queue", "mail", "--requeue-all").stdout == "requeued 1,200 dead letters\n"
    assert (queue.statistics().dead, queue.statistics().waiting) == (0, 1200)


def test_jobs_are_cancelled(queue: Queue, server: ServerProcess) -> None:
    active = queue.add("send").id
    take(queue)
    waiting = queue.add("send").id
    done = run(server, "queue", "mail", "--cancel", active, "--cancel", waiting, "--json")
    assert json.loads(done.stdout) == {"cancelled": {active: "active", waiting: "waiting"}}
    failed = run(server, "queue", "mail", "--cancel", waiting)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"the queue mail has no job {waiting}" in failed.stderr


@pytest.mark.parametrize("state", ["waiting", "delayed", "dead"])
def test_a_purge_needs_confirmation(queue: Queue, server: ServerProcess, state: str) -> None:
    kill_one(queue)
    queue.add("send")
    queue.add("send", delay=500)
    failed = run(server, "queue", "mail", "--purge", state)
    assert (failed.returncode, "needs --yes" in failed.stderr) == (2, True)
    assert getattr(queue.statistics(), state) == 1
    assert run(server, "queue", "mail", "--purge", state, "--yes").stdout == f"deleted 1 {state} job\n"
    counts = queue.statistics()
    assert {name: getattr(counts, name) for name in ("waiting", "delayed", "dead")} == {
        "waiting": 1, "delayed": 1, "dead": 1, state: 0
    }  # fmt: skip


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
def test_a_user_confirms_a_purge(queue: Queue, server: ServerProcess, answer: str, left: int) -> None:
    queue.add("send")
    user, terminal = pty.openpty()
    with os.fdopen(user, "wb"), os.fdopen(terminal, "rb"):
        os.write(user, f"{answer}\n".encode())
        done = run(server, "queue", "mail", "--purge", "waiting", stdin=terminal)
    assert "Delete all waiting jobs of the queue mail (1 now)?" in done.stdout
    assert done.returncode == left
    assert queue.statistics().waiting == left


def test_watching_ends_with_an_interrupt(queue: Queue, server: ServerProcess) -> None:
    queue.add("send")
    with closing(server.client()) as client:
        client.config_resetstat()
        watching = subprocess.Popen(
            [*MAIN, "queue", "mail", "--watch"], env=environment(server, server.folder),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            wait_until(lambda: client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0) > 6)
            watching.send_signal(signal.SIGINT)
            out, error = watching.communicate(timeout=60)
        finally:
            watching.kill()
            watching.wait()
    assert (watching.returncode, error) == (0, "")
    assert "queue mail" in out


def test_a_queue_is_shown_where_jobs_run_in_process(
    queue: Queue, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = kill_one(queue)
    monkeypatch.setenv("USE_VALKEY_QUEUE", "off")
    for arguments in ([], ["--job", job], ["--jobs", "dead"], ["--workers"]):
        shown = run(server, "queue", "mail", *arguments, "--json")
        assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(run(server, "queue", "mail", "--json").stdout)["dead"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["mail", "--dead", "-3"], 2, "--dead"),
        (["mail", "--limit", "-1", "--jobs", "dead"], 2, "--limit"),
        (["mail", "--jobs", "lost"], 2, "--jobs"),
        (["mail", "--purge", "active", "--yes"], 2, "--purge"),
        (["--pause"], 2, "NAME is missing"),
        (["--jobs", "dead"], 2, "NAME is missing"),
        (["mail", "--pause", "--resume"], 2, "exclude each other"),
        (["mail", "--workers", "--jobs", "dead"], 2, "exclude each other"),
        (["mail", "--watch", "--json"], 2, "--watch"),
        (["mail", "--cancel", "a b"], 1, "id is 'a b'"),
        (["mail", "--job", ""], 1, "id is ''"),
        (["a{b"], 1, "brace"),
        (["x y"], 1, "the queue's name is 'x y'"),
        ([""], 1, "the queue's name is ''"),
    ],
)
def test_wrong_usage_is_a_clear_error(
    queue: Queue, server: ServerProcess, arguments: list[str], code: int, error: str
) -> None:
    queue.add("send")
    failed = run(server, "queue", *arguments)
    assert (failed.returncode, failed.stdout) == (code, "")
    assert error in failed.stderr
    assert "Traceback" not in failed.stderr
