"""The states of earlier stacks name dynamic providers by previous paths, which still lead to the present classes."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

PREVIOUS = (
    *(f"infra.local.providers.{kind}Provider" for kind in ("Password", "Rotation", "Server", "ServerGroup")),
    *(f"infra.local.docker.providers.{kind}Provider" for kind in ("Authority", "Certificate", "Containers")),
    "infra.local.docker.cleanup.CleanupProvider",
)


@pytest.mark.parametrize("path", PREVIOUS)
def test_a_previous_path_leads_to_the_present_class(path: str) -> None:
    """In a process of its own, as Pulumi loads a provider from the state."""
    module, _, name = path.rpartition(".")
    stored = pickle.PROTO + bytes([2]) + pickle.GLOBAL + f"{module}\n{name}\n".encode() + pickle.STOP
    load = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).__module__)"
    loaded = subprocess.run([sys.executable, "-c", load], input=stored, capture_output=True, check=False)
    assert loaded.stdout.decode().startswith("infra.providers."), loaded.stderr.decode()
