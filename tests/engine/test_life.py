"""A stack's life under the real engine: up, no change, drift, change, replace, destroy, and being killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from harness.project import Project
from harness.waiting import wait_until
from infra.drivers.processes import process
from stackctl.errors import StackError


def test_up_twice_changes_nothing(project: Project) -> None:
    assert project.stack.up() is True
    outputs, pid = project.stack.outputs(), project.server().pid
    assert project.stack.up() is False
    assert project.stack.outputs() == outputs
    assert project.server().pid == pid


def test_outputs_have_all_that_an_application_needs(project: Project) -> None:
    project.stack.up()
    outputs = project.stack.outputs()
    assert set(outputs) == {"schemaVersion", "endpoint", "url", "adminUrl", "monitorUrl", "env"}
    assert outputs["env"] == {"VALKEY_URL": outputs["url"], "REDIS_URL": outputs["url"]}
    for name, user in (("url", "app"), ("adminUrl", "admin"), ("monitorUrl", "monitor")):
        with project.client(name) as client:
            assert client.acl_whoami() == user


def test_a_killed_server_restarts_with_its_url_and_its_data(project: Project) -> None:
    project.stack.up()
    url = project.stack.outputs()["url"]
    with project.client() as client:
        client.set("key", "kept")
    time.sleep(1.1)  # appendfsync everysec
    project.server().send_signal(signal.SIGKILL)
    assert project.stack.up() is True
    assert project.stack.outputs()["url"] == url
    with project.client() as client:
        assert client.get("key") == "kept"


def test_drift_is_seen_and_repaired(project: Project) -> None:
    project.stack.up()
    preview = ("preview", "--refresh", "--expect-no-changes")
    assert project.pulumi(*preview).returncode == 0
    with project.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.acl_deluser("monitor")
    assert project.pulumi(*preview).returncode != 0
    assert project.stack.up() is True
    with project.client() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        assert "monitor" in client.acl_users()
    assert project.pulumi(*preview).returncode == 0


def test_workload_and_memory_change_live(project: Project) -> None:
    project.stack.up()
    pid = project.server().pid
    project.configure(workload="queue", memory="128mb")
    project.stack.up()
    assert project.server().pid == pid
    with project.client() as client:
        memory = client.info("memory")
    assert (memory["maxmemory"], memory["maxmemory_policy"]) == (128 * 1024**2, "noeviction")
    assert project.stack.outputs()["endpoint"]["workload"] == "queue"


def test_a_changed_port_keeps_the_data_and_stays_when_it_is_no_longer_given(project: Project) -> None:
    project.configure(port="7501")
    project.stack.up()
    with project.client() as client:
        client.set("key", "kept")
    project.configure(port="7502")
    project.stack.up()
    project.configure(port="0")
    project.stack.up()
    assert project.stack.outputs()["endpoint"]["nodes"] == [{"host": "127.0.0.1", "port": 7502}]
    with project.client() as client:
        assert client.get("key") == "kept"


def test_a_forced_replacement_keeps_the_running_server(project: Project) -> None:
    project.stack.up()
    pid = project.server().pid
    (server,) = [r["urn"] for r in project.resources() if r["type"].endswith("valkey:Server")]
    replaced = project.pulumi("up", "--yes", "--skip-preview", "--replace", server)
    assert replaced.returncode == 0, replaced.stdout
    assert project.server().pid == pid
    assert project.stack.up() is False


def test_down_leaves_a_snapshot_that_a_new_stack_starts_with(project: Project) -> None:
    project.stack.up()
    with project.client() as client:
        client.set("key", "kept")
    project.stack.down()
    assert process.find(project.folder) is None
    (snapshot,) = project.folder.path.iterdir()

    project.configure(restoreFrom=str(snapshot))
    project.stack.up()
    time.sleep(1.1)
    project.server().send_signal(signal.SIGKILL)
    project.stack.up()
    with project.client() as client:
        assert client.get("key") == "kept"
        assert client.info("persistence")["aof_enabled"] == 1
    snapshot.unlink()  # it isn't needed any more, though the configuration still names it
    assert project.stack.up() is False


def test_down_without_a_snapshot_leaves_nothing(project: Project) -> None:
    project.configure(finalSnapshot="false")
    project.stack.up()
    project.stack.down()
    assert not project.folder.path.exists()
    assert project.resources() == []


def test_production_is_protected(project: Project) -> None:
    project.configure(environment="prod")
    project.stack.up()
    with pytest.raises(StackError, match="pulumi state unprotect"):
        project.stack.down()
    assert project.server().is_running()
    (cleanup,) = [one for one in project.resources() if one["type"].endswith(":ProcessCleanup")]
    assert cleanup["protect"]  # its deletion alone would remove the server
    assert project.pulumi("state", "unprotect", "--all", "--yes").returncode == 0
    project.stack.down()
    assert process.find(project.folder) is None


def test_the_state_has_no_file_that_a_kill_can_cut_short(project: Project) -> None:
    project.stack.up()
    state = project.root / ".valkey" / "state"
    assert list(state.rglob("test.json"))
    assert list(state.rglob("*.attrs")) == []  # the only ones that Pulumi writes in place


def _kill_creation(project: Project, moment: str) -> None:
    """Kill the first update, with its providers, as soon as a file of the server is there."""
    project.stack.query("stack", "select", "--create", project.stack.name)
    with subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--stack", project.stack.name],
        cwd=project.root,
        env=project.stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        wait_until((project.folder.path / moment).exists, every=0.001)
        helpers = psutil.Process(run.pid).children(recursive=True)
        run.kill()
        for helper in helpers:
            with contextlib.suppress(psutil.NoSuchProcess):  # some end with the command
                if helper.name() != "valkey-server":
                    helper.kill()


@pytest.mark.parametrize("moment", ["claim.json", "valkey.conf", "valkey.pid"])
def test_killed_in_the_middle_and_run_again(project: Project, moment: str) -> None:
    _kill_creation(project, moment)
    before = project.resources()
    is_changed = project.stack.up()
    # On a busy machine the kill may come too late, and only the outputs are missing.
    assert is_changed or [one["urn"] for one in before] == [one["urn"] for one in project.resources()]
    assert project.stack.up() is False
    with project.client() as client:
        assert client.ping()
    assert len([server for server in psutil.process_iter() if _is_server_below(server, project.root)]) == 1


def test_killed_in_the_middle_and_taken_down(project: Project) -> None:
    _kill_creation(project, "valkey.pid")
    project.stack.down()
    assert project.resources() == []
    assert not [server for server in psutil.process_iter() if _is_server_below(server, project.root)]
    assert [path.name for path in project.folder.path.iterdir() if not path.name.startswith("final-")] == []


def test_a_reboot_is_survived_when_the_old_process_id_is_another_programs(project: Project) -> None:
    project.stack.up()
    with project.client() as client:
        client.set("key", "kept")
    process.stop(project.server())
    project.folder.pid.write_text(f"{os.getpid()}\n")
    project.stack.up()
    with project.client() as client:
        assert client.get("key") == "kept"


def test_a_moved_project_keeps_working(project: Project) -> None:
    project.stack.up()
    pid = project.server().pid
    moved = Path(f"{project.root}-moved")
    project.root.rename(moved)
    try:
        again = type(project)(moved, project.stack.open("test", moved))
        assert again.stack.up() is False
        assert again.server().pid == pid
        again.stack.down()
    finally:
        moved.rename(project.root)


def test_a_live_change_causes_no_error_for_a_client(project: Project) -> None:
    project.stack.up()
    with project.client("url") as client:
        client.set("key", "value")
        project.configure(workload="mixed")
        project.stack.up()
        assert client.connection_pool.get_connection().can_read() is False
        assert client.get("key") == "value"


def _is_server_below(process: psutil.Process, root: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "valkey-server" and Path(process.cwd()).is_relative_to(root)
    return False
