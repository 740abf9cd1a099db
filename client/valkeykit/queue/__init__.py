"""A persistent job queue. docs/client/queue.md describes its guarantees."""

from __future__ import annotations

from valkeykit.queue.activity import CurrentJob, FinishedJob, Minute, WorkerState
from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.job import Job, current_job
from valkeykit.queue.job_events import Event, Listener, telemetry
from valkeykit.queue.job_options import JobOptions
from valkeykit.queue.log_fields import JobFilter
from valkeykit.queue.queue import Queue
from valkeykit.queue.responses import Added, DeadLetter, JobState, ListedJob, QueueStatistics
from valkeykit.queue.schedule import Schedule
from valkeykit.queue.tracing import Tracing
from valkeykit.queue.worker import Worker

__all__ = [
    "Added",
    "AsyncQueue",
    "CurrentJob",
    "DeadLetter",
    "Event",
    "FinishedJob",
    "Job",
    "JobFilter",
    "JobOptions",
    "JobState",
    "ListedJob",
    "Listener",
    "Minute",
    "Queue",
    "QueueStatistics",
    "Schedule",
    "Tracing",
    "Worker",
    "WorkerState",
    "current_job",
    "telemetry",
]
