"""The README's lines for Node and Go, as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from valkeykit.connection import connect

from stackctl.stack import PROJECT
from tests.clients.client_libraries import HERE
from tests.clients.languages import LANGUAGES
from tests.support import checkout
from tests.support.deployments import Application

SAMPLES = dict(checkout.blocks(PROJECT / "README.md"))
IMPORTS = ("context", "fmt", "log", "os", "github.com/redis/go-redis/v9")


def run(command: Sequence[object], application: Application, folder: Path, extra: dict[str, str]) -> str:
    environment = {name: os.environ[name] for name in ("PATH", "HOME")} | extra
    done = subprocess.run(
        ["bash", "-c", 'set -a; . "$1"; shift; exec "$@"', "-", application.variables, *map(str, command)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("application", ["single"], indirect=True, scope="session")
@pytest.mark.parametrize("language", ["javascript", "go"])
def test_a_sample_of_the_readme_reads_what_another_client_wrote(
    application: Application, language: str, tmp_path: Path
) -> None:
    client = connect(application.endpoint, username="app", password=application.password)
    with closing(client):
        client.set("greeting", "hello", ex=600)
    if language == "javascript":
        folder = LANGUAGES["node"].installation.ready()
        (tmp_path / "sample.js").write_text(SAMPLES[language])
        output = run(["node", "sample.js"], application, tmp_path, {"NODE_PATH": f"{folder}/node_modules"})
    else:
        LANGUAGES["go"].installation.ready()
        for name in ("go.mod", "go.sum"):
            shutil.copy(HERE / "go" / name, tmp_path)
        imports = "".join(f'import "{name}"\n' for name in IMPORTS)
        body = SAMPLES[language].replace("\n", "\n\t")
        (tmp_path / "main.go").write_text(f"package main\n\n{imports}\nfunc main() {{\n\t{body}}}\n")
        output = run(["go", "run", "main.go"], application, tmp_path, {})
    assert output == "hello\n"
