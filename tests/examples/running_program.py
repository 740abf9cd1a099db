"""A program of an example, while it runs, and requests to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.drivers.waiting import until

START_SECONDS = 60.0


@contextlib.contextmanager
def running(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Ends it by SIGTERM, which it has to obey."""
    with subprocess.Popen(command, cwd=folder, env=environment) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def ask(port: int, path: str, method: str = "GET") -> tuple[int, Any]:
    """Status and body; a service that doesn't listen yet is waited for."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    for _ in until(START_SECONDS, every=0.1):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  (http, as above)
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)
        except urllib.error.URLError:
            continue
    raise AssertionError(f"nothing listens on port {port}")
