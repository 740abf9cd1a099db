"""valkeykit worker: run the jobs of a queue, or check the workers of this machine."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

DAY_SECONDS = 24 * 3600
"""The longest lease and shutdown timeout that a worker accepts."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(job_id)s]: %(message)s"


def worker(  # noqa: PLR0917  (typer makes them options)
    target: Annotated[
        str | None,
        typer.Argument(metavar="MODULE:QUEUE", help="Module and variable of the queue, such as app.jobs:queue."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Jobs that run at the same time; default JOB_CONCURRENCY, else 10."),
    ] = None,
    lease: Annotated[
        float | None,
        typer.Option(
            min=1, max=DAY_SECONDS, help="Seconds without a renewal after which another worker takes over a job; 30."
        ),
    ] = None,
    shutdown_timeout: Annotated[
        float | None,
        typer.Option(min=0, max=DAY_SECONDS, help="Seconds that running jobs get to end after SIGTERM; 25."),
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="Exit when no job waits and none runs.")] = False,
    health_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve GET /live and GET /ready on this port.")
    ] = None,
    heartbeat: Annotated[
        Path | None, typer.Option(help="The heartbeat file; by default one in the folder for temporary files.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check the workers on this machine; exit 1 unless all are live.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log debug messages.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")] = False,
) -> None:
    """Run the jobs of a queue until SIGTERM or SIGINT. A second signal ends it at once."""
    if check:
        from valkeykit.commands.worker_check import check_workers

        if target is not None:
            raise typer.BadParameter("--check takes no MODULE:QUEUE: it checks every worker on this machine")
        check_workers(heartbeat, as_json=as_json)
    elif target is None:
        raise typer.BadParameter("MODULE:QUEUE is missing, such as app.jobs:queue")
    elif as_json:
        raise typer.BadParameter("--json needs --check")
    elif verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet exclude each other")
    else:
        level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
        _run(target, concurrency, lease, shutdown_timeout, health_port, heartbeat, burst=burst, level=level)


def _run(  # noqa: PLR0917
    target: str,
    concurrency: int | None,
    lease: float | None,
    shutdown_timeout: float | None,
    health_port: int | None,
    heartbeat: Path | None,
    *,
    burst: bool,
    level: int,
) -> None:
    """Run the worker. Modules that need redis-py are imported here, since --check must be fast."""
    from valkeykit.commands.application import load
    from valkeykit.heartbeat import heartbeat_folder
    from valkeykit.queue import JobFilter, Worker
    from valkeykit.queue.worker.worker import JOB_LEASE_SECONDS, SHUTDOWN_TIMEOUT_SECONDS

    handler = logging.StreamHandler()
    handler.addFilter(JobFilter())
    logging.basicConfig(level=level, format=LOG_FORMAT, handlers=[handler])
    queue = load(target)
    running = Worker(
        queue,
        concurrency=concurrency,
        lease=JOB_LEASE_SECONDS if lease is None else lease,
        shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS if shutdown_timeout is None else shutdown_timeout,
        heartbeat=heartbeat or heartbeat_folder() / f"{os.getpid()}.json",
        health_port=health_port,
    )
    jobs = ", ".join(sorted(queue.handlers))
    logging.getLogger("valkeykit").info("queue %s, %d jobs at once: %s", queue.name, running.concurrency, jobs)
    running.run(burst=burst)
