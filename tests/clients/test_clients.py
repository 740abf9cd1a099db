"""Every client does its work in every topology that it can, with nothing but the variables of `make env`."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import redis
from valkeykit.connection import connect

from tests.clients import page
from tests.clients.client_libraries import CLIENTS, ClientLibrary
from tests.clients.languages import LANGUAGES
from tests.support.deployments import Application

PROGRAM_TIMEOUT_SECONDS = 120
"""Seconds that a program may take; a job's worker has to start in it."""

MATRIX = [
    pytest.param(topology, client, id=f"{client.name}-{topology}")
    for client in CLIENTS
    for topology in client.topologies
]

SOURCED = 'set -a; . "$1"; shift; exec "$@"'


@pytest.mark.parametrize(("application", "client"), MATRIX, indirect=["application"], scope="session")
def test_a_client_works(application: Application, client: ClientLibrary, results: page.Results) -> None:
    language = LANGUAGES[client.language]
    program = language.command(client.program, language.installation.ready())
    application.refused()
    done = subprocess.run(
        ["bash", "-c", SOURCED, "-", application.variables, *program, *client.arguments],
        env={name: os.environ[name] for name in ("PATH", "HOME")},
        capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    results.setdefault(client.name, {})[application.topology] = None
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert application.password not in done.stdout + done.stderr
    version = json.loads(done.stdout.splitlines()[-1])["version"].removeprefix("v")
    assert version == language.version(client.package)
    assert application.refused() == set()
    results[client.name][application.topology] = version


@pytest.mark.parametrize("application", ["single"], indirect=True, scope="session")
def test_a_refusal_is_noticed(application: Application) -> None:
    application.refused()
    client = connect(application.endpoint, username="app", password=application.password)
    with client, pytest.raises(redis.exceptions.NoPermissionError):
        client.keys()
    assert application.refused() == {"keys"}


def test_the_page_lists_what_is_tested() -> None:
    assert page.FILE.read_text() == page.render(page.expected()), page.HOW
