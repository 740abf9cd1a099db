"""A persistent job queue. docs/client/queue.md describes its guarantees."""

from __future__ import annotations

from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.job import Job, current_job
from valkeykit.queue.job_events import Event, JobFilter, Listener, telemetry
from valkeykit.queue.job_options import JobOptions
from valkeykit.queue.queue import Queue
from valkeykit.queue.responses import Added, DeadLetter, JobState, ListedJob, QueueStatistics, WorkerState
from valkeykit.queue.schedule import Schedule
from valkeykit.queue.worker import Worker

__all__ = [
    "Added",
    "AsyncQueue",
    "DeadLetter",
    "Event",
    "Job",
    "JobFilter",
    "JobOptions",
    "JobState",
    "ListedJob",
    "Listener",
    "Queue",
    "QueueStatistics",
    "Schedule",
    "Worker",
    "WorkerState",
    "current_job",
    "telemetry",
]
