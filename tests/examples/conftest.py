"""A server for the examples, and the variables of an application that uses it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from tests.support import deployments


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """An environment as a shell has it that has read the file of `make env`."""
    with deployments.embedded("single", tmp_path_factory.mktemp("server")) as application:
        told = subprocess.run(
            ["bash", "-c", 'set -a; . "$1"; env -0', "-", application.variables],
            env={name: os.environ[name] for name in ("PATH", "HOME")}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        yield dict(line.split("=", 1) for line in told.stdout.split("\0") if line)
