"""valkeykit worker: run the jobs of a queue."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from valkeykit.errors import ConfigurationError
from valkeykit.queue import Worker
from valkeykit.queue.base import QueueBase
from valkeykit.queue.worker import DRAIN, LEASE


def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:QUEUE", help="Where the queue is, such as app.jobs:queue.")],
    concurrency: Annotated[int | None, typer.Option(help="Jobs at once; JOB_CONCURRENCY, else 10.")] = None,
    lease: Annotated[float, typer.Option(help="Seconds after which a silent worker's job is taken over.")] = LEASE,
    drain: Annotated[float, typer.Option(help="Seconds that running jobs have to end after SIGTERM.")] = DRAIN,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Run the jobs of a queue until SIGTERM."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    queue = load(target)
    running = Worker(queue, concurrency=concurrency, lease=lease, drain=drain)
    jobs = ", ".join(sorted(queue.handlers))
    logging.getLogger("valkeykit").info("queue %s, %d jobs at once: %s", queue.name, running.concurrency, jobs)
    running.run()


def load(target: str) -> QueueBase:
    """The queue that `module:name` names; modules of the working folder count.

    Raises:
        ConfigurationError: there is none.
    """
    module_name, colon, name = target.partition(":")
    if not colon:
        raise ConfigurationError(f"{target!r} names no queue", fix="valkeykit worker module:queue")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ModuleNotFoundError as problem:
        if problem.name != module_name.partition(".")[0] and problem.name != module_name:
            raise
        raise ConfigurationError(
            f"there is no module {module_name!r} here", fix="run it in the project's folder"
        ) from None
    if not isinstance(found, QueueBase):
        raise ConfigurationError(f"{target} is no queue", fix=f'{name} = valkeykit.Queue("mail")')
    return found
