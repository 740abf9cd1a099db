"""`make up` names the program that uses the default port, where a server has another one for that reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node
from valkeykit.vocabulary import Target

from infra.drivers.processes import ports
from stackctl.operations import up
from stackctl.stack import Stack


@pytest.mark.parametrize(
    ("target", "port", "configured", "free", "named"),
    [
        ("embedded", 6380, "0", False, True),
        ("embedded", 6380, "6380", False, False),
        ("embedded", 6380, "0", True, False),
        ("embedded", 6379, "0", False, False),
        ("docker", 6380, "0", False, False),
    ],
)
def test_the_process_on_the_default_port(
    target: Target,
    port: int,
    configured: str,
    *,
    free: bool,
    named: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Stack, "configuration", lambda _self: {"port": configured})
    monkeypatch.setattr(ports, "is_free", lambda _port: free)
    monkeypatch.setattr(ports, "holder", lambda _port: "valkey-server (pid 7)")
    endpoint = Endpoint(target, "single", (Node("127.0.0.1", port),), False, "9.1.2", "cache", 2**26, ("app",))
    assert up._taken_default(Stack("web", {}, tmp_path, True), endpoint) == ("valkey-server (pid 7)" if named else "")
