"""The commands that docs/operations/diagnose.md has for a damaged append-only file."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from infra.local.docker.engine import Engine
from tests import checkout
from tests.docker.bed import IMAGE, NEW, OLD, make_spec, running
from tools.stack import PROJECT

PAGE = PROJECT / "docs" / "operations" / "diagnose.md"
DAMAGE = "cd /data/appendonlydir; for file in *.incr.aof; do head -c 4096 /dev/zero >>$file; done"


@pytest.mark.parametrize("version", [OLD, NEW])
def test_the_commands_for_a_damaged_append_only_file_keep_all_that_was_before_the_damage(
    tmp_path: Path, version: str
) -> None:
    engine = Engine()
    with running(make_spec(tmp_path, "single", version)) as bed:
        with bed.client() as client:
            for number in range(500):
                client.set(f"key:{number}", "x")
        node, volume = bed.deployment.container("node-0"), bed.deployment.volume("node-0")
        engine.docker("stop", node)
        box = ["run", "--rm", "--user", "999:999", "-v", f"{volume}:/data", "--entrypoint", "sh", f"{IMAGE}:{version}"]
        engine.docker(*box, "-c", DAMAGE)
        engine.docker("start", node)
        _until(lambda: "Bad file format" in _logs(node))

        script = "".join(text for language, text in checkout.blocks(PAGE) if language == "bash")
        script = script.replace("valkey-web", bed.spec.plan.project).replace("-it", "-i")
        try:
            run = subprocess.run(
                ["bash", "-c", script], input="y\n" * 9, cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, run.stdout + run.stderr
            assert "RDB looks OK" in run.stdout
            assert "diff=4096" in run.stdout
            assert "Successfully truncated AOF appendonly.aof.1.incr.aof" in run.stdout
            bed.ensure()
            with bed.client() as client:
                assert client.dbsize() == 500
        finally:
            engine.docker("volume", "rm", "--force", f"{volume}-copy")


def _logs(container: str) -> str:
    run = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def _until(condition: object, seconds: float = 120) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.3)
