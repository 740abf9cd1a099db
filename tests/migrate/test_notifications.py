"""The table of commands that send no notification is that of every server version."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
from valkeykit_ops.migrate import migration_run
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.run_context import StoppedError
from valkeykit_ops.migrate.silent_commands import FLUSHES, SILENT_BEFORE_6_2, SILENT_COMMANDS

from harness import binaries
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.migrate import data, harness, notifications

SILENT = set(FLUSHES).union(*SILENT_COMMANDS.values())


@pytest.mark.parametrize("version", [*binaries.BUILDS, binaries.VALKEY_9_BUILD])
def test_the_commands_that_send_no_notification(version: str, tmp_path: Path) -> None:
    with (
        harness.started(tmp_path / "source", version, "--notify-keyspace-events", "AKE") as server,
        harness.started(tmp_path / "other", version) as other,
        data.raw(server.port) as client,
        contextlib.closing(client.pubsub()) as listener,
    ):
        listener.psubscribe("__keyevent@*__:*")
        writing = notifications.writing_commands(client)
        commands = writing | set(notifications.CHANGES_WITHOUT_FLAG)
        if version == "redis-5.0":
            commands.discard("xgroup createconsumer")
        assert commands <= set(notifications.EXAMPLES), "give the new commands of this version an example"
        found = notifications.unnotified(client, listener, sorted(commands), other=other.port)
        silent = SILENT | SILENT_BEFORE_6_2 if version == "redis-5.0" else SILENT
        assert found == silent & commands


def test_a_copy_follows_positions_of_groups(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_run, "GROUPS_INTERVAL_SECONDS", 0.0)
    ours.config_set("notify-keyspace-events", "AKE")
    ours.set("a", 1)
    ours.xadd("stream", {"f": 1}, id="1-1")
    ours.xgroup_create("stream", "group", "0")
    try:
        with harness.prepared(old.url, new.url, state, Options()) as migration:

            def follow() -> None:
                with contextlib.suppress(StoppedError):
                    migration.run(follow=600.0)

            thread = threading.Thread(target=follow)
            thread.start()
            try:
                wait_until(lambda: theirs.dbsize() == 2, problem="nothing is copied")
                ours.xreadgroup("group", "ada", {"stream": ">"})
                wait_until(lambda: theirs.xpending("stream", "group")["pending"] == 1, problem="it is not followed")
                ours.xack("stream", "group", "1-1")
                wait_until(lambda: theirs.xpending("stream", "group")["pending"] == 0, problem="it is not followed")
            finally:
                migration.stop.set()
                thread.join()
    finally:
        ours.config_set("notify-keyspace-events", "")
