"""What an operator's drills go by: a write that is lost is noticed, and so is one that never comes."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from valkeykit.connection import connect
from valkeykit.vocabulary import Topology

from harness import servers
from harness.ports import HOST
from stackctl.availability_probe import AvailabilityProbe, replicas_with

PROGRESS_SECONDS = 20.0


def test_a_lost_write_is_noticed(tmp_path: Path) -> None:
    with servers.running(tmp_path) as server:
        with AvailabilityProbe(lambda: connect(server.url, topology="single")) as probe:
            assert probe.makes_progress(PROGRESS_SECONDS)
        assert probe.lost() == []
        with contextlib.closing(server.client()) as client:
            client.delete(next(iter(client.scan_iter("probe:*:0"))))
        assert probe.lost() == [0]
        probe.clean_up()
        with contextlib.closing(server.client()) as client:
            assert client.dbsize() == 0


@pytest.mark.parametrize("topology", ["single", "cluster"])  # a client of a cluster connects at once
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_write_is_acknowledged_where_no_server_listens(tmp_path: Path, topology: Topology) -> None:
    with servers.running(tmp_path) as server:
        gone = server.url
    with AvailabilityProbe(lambda: connect(gone, topology=topology)) as probe:
        while not probe.failed:
            time.sleep(0.01)
        assert not probe.makes_progress(0.5)
    assert probe.acknowledged == 0
    assert probe.failed


def test_the_shard_of_a_key_is_queried_in_a_cluster(tmp_path: Path) -> None:
    with (
        servers.cluster(tmp_path, replicas=1) as nodes,
        connect(f"valkey+cluster://{HOST}:{nodes[0].port}") as client,
    ):
        for number in range(20):  # of every shard
            client.set(f"key:{number}", number)
            assert replicas_with(client, f"key:{number}", 1) == 1
            assert replicas_with(client, f"key:{number}", 2, seconds=0.01) == 1
