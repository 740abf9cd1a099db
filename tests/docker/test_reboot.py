"""The engine stops, with all that it runs, and starts again: everything comes back by itself, in its role."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.docker import IMAGE, NETWORKS, NEW, SHAPES, DeploymentHarness, make_spec, running
from harness.waiting import wait_until
from infra.drivers.docker.engine import Engine

BACK_WITHIN = 120.0
BRIDGE = "valkeytest0"


class PrivateEngine:
    """An engine of the test's own, so that no other containers stop with it. Needs root, as any engine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder}/docker.sock"

    def start(self) -> None:
        folder = str(self._folder)
        command = [
            "dockerd", "--host", self.url, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
            "--pidfile", f"{folder}/pid", "--bridge", BRIDGE, "--iptables=false",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(
            lambda: (self._folder / "docker.sock").exists() and _answers(),
            problem=lambda: (self._folder / "log").read_text()[-2000:],
        )

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(120)


@pytest.fixture
def _network() -> Iterator[None]:
    """A bridge, since an engine without one removes everybody's; and a rule of the packet filter, whose other rules
    are another engine's and drop what they don't know."""
    rule = ["FORWARD", "-s", NETWORKS, "-d", NETWORKS, "-j", "ACCEPT"]
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    subprocess.run(["iptables", "-I", *rule], check=True)
    yield
    subprocess.run(["iptables", "-D", *rule], check=True)
    subprocess.run(["ip", "link", "delete", BRIDGE], check=True)


def _answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateEngine]:
    archive = tmp_path / "image.tar"
    Engine().docker("save", "--output", str(archive), f"{IMAGE}:{NEW}")
    folder = Path(f"/tmp/engine-{os.getpid()}")
    folder.mkdir(mode=0o700)
    private = PrivateEngine(folder)
    monkeypatch.setenv("DOCKER_HOST", private.url)
    private.start()
    try:
        Engine().docker("load", "--input", str(archive))
        yield private
    finally:
        private.stop()
        subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.usefixtures("_network")
def test_every_topology_restarts_after_a_reboot(engine: PrivateEngine, tmp_path: Path) -> None:
    with ExitStack() as stack:
        harnesses = [stack.enter_context(running(make_spec(tmp_path, shape))) for shape in SHAPES]  # type: ignore[arg-type]
        for harness in harnesses:
            with harness.client() as client:
                client.set("key", "kept")
        engine.stop()
        engine.start()
        for harness in harnesses:
            _wait_until_whole(harness)
            with harness.client() as client:
                assert client.get("key") == "kept"
                assert client.set("key", "written again")


def _wait_until_whole(harness: DeploymentHarness) -> None:
    def whole() -> bool:  # others may lead now, which is no harm
        return all(problem.startswith("primaries:") for problem in harness.wrong())

    wait_until(whole, BACK_WITHIN, lambda: str(harness.wrong()), every=1)
