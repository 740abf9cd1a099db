"""The command line in processes of their own, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeykit import heartbeat

from harness.servers import ServerProcess

MAIN = [sys.executable, "-c", "from valkeykit.cli import main; main()"]

APP = """
import asyncio, time
from valkeykit import Queue, current_job
queue = Queue("mail")

@queue.handler(result_ttl=60)
def double(n: int) -> int:
    return n * 2

@queue.handler
def long() -> None:
    time.sleep(600)

@queue.handler
async def long_coroutine() -> None:
    await asyncio.sleep(600)

@queue.handler
async def block() -> None:
    time.sleep(20)

@queue.handler
def log() -> None:
    import logging
    logging.getLogger("app").warning("hello")
"""


def environment(server: ServerProcess, folder: Path) -> dict[str, str]:
    """Heartbeat files go into the folder."""
    return os.environ | {"VALKEY_URL": server.url, "NO_COLOR": "1", "COLUMNS": "160", "TMPDIR": str(folder)}


def run(
    server: ServerProcess,
    *arguments: str,
    cwd: Path | None = None,
    url: str | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `url` in place of the server's own."""
    variables = environment(server, cwd or server.folder) | {"VALKEY_URL": url or server.url}
    return subprocess.run(
        [*MAIN, *arguments], env=variables, cwd=cwd, stdin=stdin,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@contextmanager
def worker_process(server: ServerProcess, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`valkeykit worker app:queue` in the folder; its log goes to the file `log`."""
    (folder / "app.py").write_text(APP)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*MAIN, "worker", "app:queue", *arguments], env=environment(server, folder), cwd=folder,
            stderr=log, text=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def heartbeat_file(folder: Path, process: subprocess.Popen[str]) -> Path:
    """Where the worker that runs in the folder writes its heartbeat."""
    return folder / heartbeat.heartbeat_folder().name / f"{process.pid}.json"
