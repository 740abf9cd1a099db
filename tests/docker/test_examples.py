"""examples/compose: a container that talks to a stack over TLS, with the file of `make env`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.docker import IMAGE, NEW
from stackctl.stack import PROJECT
from tests.support import deployments

COMPOSE = PROJECT / "examples" / "compose" / "compose.yaml"
ASKS = 'valkey-cli -u "$VALKEY_URL" --tls --cacert "$VALKEY_CA" --no-auth-warning ACL WHOAMI'


def test_a_container_uses_the_variables(tmp_path: Path) -> None:
    with deployments.docker("single", tmp_path) as application:
        assert application.variables == tmp_path / "single.env"
        chosen = {"FOLDER": str(tmp_path), "STACK": "single", "IMAGE": f"{IMAGE}:{NEW}", "OWNER": str(os.getuid())}
        done = subprocess.run(
            ["docker", "compose", "-p", "test-example", "-f", COMPOSE, "run", "--rm", "shop", "sh", "-c", ASKS],
            env={**os.environ, **chosen}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.stdout == "app\n", done.stderr
