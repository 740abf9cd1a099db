"""An engine that is reached over a network: no file of this machine is mounted, and a line may drop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from harness.docker import DeploymentHarness, make_spec, remove_leftovers, running
from infra.drivers.docker import driver
from infra.drivers.docker.plan import Backups
from infra.errors import ProvisioningError
from tests.docker.tcp_proxy import EngineProxy


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProxy]:
    proxy = EngineProxy()
    monkeypatch.setenv("DOCKER_HOST", proxy.url)
    yield proxy
    proxy.drop_after = None
    proxy.close()


def test_a_remote_engine_has_all_it_needs(tmp_path: Path, line: EngineProxy) -> None:
    with running(make_spec(tmp_path, "replicated", backups=Backups(3600, 1))) as harness:
        harness.assert_healthy()
        mounts = [
            mount
            for service in harness.deployment.project["services"]
            for mount in harness.container(service)["Mounts"]
        ]
        assert {mount["Type"] for mount in mounts} == {"volume"}
        with harness.client() as client:
            assert client.set("key", "value")
        harness.remove(keep_snapshot=True)
        assert list(tmp_path.glob("final-*.rdb"))
    assert line.seen > 20


@pytest.mark.parametrize("requests", [3, 12, 25, 40])
def test_a_lost_connection_is_reported_and_the_next_run_resumes(
    tmp_path: Path, line: EngineProxy, requests: int
) -> None:
    spec = make_spec(tmp_path, "single")
    try:
        line.drop_after = line.seen + requests
        with suppress(ProvisioningError):  # with many requests it may be done before
            driver.ensure(spec, None)
        line.drop_after = None
        harness = DeploymentHarness(spec)
        harness.ensure()
        harness.assert_healthy()
        with harness.client() as client:
            assert client.set("key", "value")
    finally:
        line.drop_after = None
        remove_leftovers(spec.plan.stack)


def test_a_line_that_is_down_is_one_error(tmp_path: Path, line: EngineProxy) -> None:
    line.drop_after = 0
    with pytest.raises(ProvisioningError) as caught:
        driver.ensure(replace(make_spec(tmp_path, "single")), None)
    assert "\n" not in str(caught.value)
