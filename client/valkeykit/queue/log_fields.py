"""Fields of log records that name a job."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from valkeykit.queue.job import current_job_or_none

if TYPE_CHECKING:
    from valkeykit.queue.job import Job

_NO_JOB: dict[str, object] = dict.fromkeys(("job_id", "job_name", "queue", "attempt", "trace_id"), "-")


def fields(queue: str, job_id: str, job_name: str, attempt: int, trace_id: str) -> dict[str, object]:
    """The fields, as the argument `extra` of a logger."""
    return {"job_id": job_id, "job_name": job_name, "queue": queue, "attempt": attempt, "trace_id": trace_id or "-"}


def fields_of(job: Job) -> dict[str, object]:
    """The fields of a job."""
    return fields(job.queue, job.id, job.name, job.attempt, job.trace_id)


class JobFilter(logging.Filter):
    """Adds the fields job_id, job_name, queue, attempt and trace_id to log records.

    They are those of the job whose handler logs, or that the worker logs about, and "-" in other records. Jobs without
    a trace have the trace_id "-" too.

    Example:
        >>> handler.addFilter(JobFilter())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields to a record, unless it has them already.

        Args:
            record: The log record.

        Returns:
            True: no record is dropped.
        """
        job = current_job_or_none()
        for name, value in (_NO_JOB if job is None else fields_of(job)).items():
            record.__dict__.setdefault(name, value)
        return True
