"""Servers that run and say nothing: nobody waits for them without an end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.docker import Bed, make_spec, running
from infra.drivers.docker import executor
from infra.drivers.topology.executor import NotRespondingError, is_reachable, wait_until


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running(make_spec(tmp_path_factory.mktemp("frozen"), "replicated")) as made:
        yield made


def signal(bed: Bed, service: str, name: str) -> None:
    container = bed.deployment.container(service)
    bed.spec.engine.docker("exec", container, "sh", "-c", f"kill -{name} $(pidof valkey-server)")


def test_a_frozen_node_is_silent(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "RESPONSE_TIMEOUT_SECONDS", 2)
    signal(bed, "node-1", "STOP")
    try:
        with pytest.raises(NotRespondingError, match="node-1 doesn't respond: it has not responded for 2 s"):
            bed.deployment.executor.run("node-1", "PING")
    finally:
        signal(bed, "node-1", "CONT")
    assert is_reachable(bed.deployment.executor, "node-1")


def test_a_node_starts_beside_a_frozen_sentinel(bed: Bed) -> None:
    signal(bed, "sentinel-0", "STOP")
    try:
        bed.spec.engine.docker("restart", bed.deployment.container("node-1"))
        wait_until(lambda: is_reachable(bed.deployment.executor, "node-1"), 60, "it waits for the Sentinel")
    finally:
        signal(bed, "sentinel-0", "CONT")
    bed.ensure()
    assert bed.wrong() == []
