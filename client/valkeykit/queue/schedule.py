"""Schedules: jobs that are added by a cron expression or at an interval."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace

from valkeykit.errors import InvalidJobError, shown
from valkeykit.queue import cron
from valkeykit.queue.job_options import JobSpec, check_word
from valkeykit.queue.schema import SCHEDULE_VERSION

MAX_INTERVAL_SECONDS = 366 * 86_400
"""Seconds, a year: the longest interval."""


@dataclass(frozen=True)
class Schedule:
    """A job that any worker adds when it is due. If all workers missed one or more times, one job is added for them.

    Attributes:
        name: Name of the schedule.
        spec: Name and options of the job. The name is "?" if another version of valkeykit stored the schedule, and this
            one can't read it.
        payload: Arguments of the job, as JSON.
        cron: A cron expression, in `zone`; None for an interval.
        every: The interval in seconds, counted from the epoch; None for a cron expression.
        zone: Time zone of the cron expression.
        overlap: Whether a job is added while the previous one isn't done.
        next_at: When it is due, seconds since the epoch by the server's clock; None if that isn't known.
    """

    name: str
    spec: JobSpec
    payload: bytes = field(repr=False)
    cron: str | None
    every: float | None
    zone: str
    overlap: bool = True
    next_at: float | None = None

    def after(self, moment: float) -> float:
        """Compute the next time.

        Args:
            moment: Seconds since the epoch.

        Returns:
            The first time of the schedule after it, in seconds since the epoch.

        Raises:
            InvalidJobError: The cron expression has no further time.
        """
        if self.every is not None:
            interval = round(self.every * 1000)
            return (math.floor(moment * 1000) // interval + 1) * interval / 1000
        return cron.parse(self.cron or "", self.zone).after(moment)

    @property
    def serialized(self) -> str:
        """As the server keeps it."""
        fields = {
            "v": SCHEDULE_VERSION,
            "spec": self.spec.spec_line,
            "payload": self.payload.decode(),
            "cron": self.cron,
            "every": self.every,
            "zone": self.zone,
            "overlap": self.overlap,
        }
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def deserialize(cls, name: str, serialized: str) -> Schedule:
        """Read what `serialized` wrote.

        Args:
            name: Name of the schedule.
            serialized: What the server stores.

        Returns:
            The schedule, without its next time.

        Raises:
            InvalidJobError: It is of another version, or something else.
        """
        try:
            fields = json.loads(serialized)
            if fields.pop("v") == SCHEDULE_VERSION:
                line, payload = fields.pop("spec"), fields.pop("payload")
                return cls(name, JobSpec.from_spec_line(line), payload.encode(), **fields)
        except (ValueError, TypeError, AttributeError, KeyError):
            pass
        raise InvalidJobError(
            f"the schedule {name!r} can't be read by this version of valkeykit",
            fix="upgrade valkeykit, or set the schedule again",
        )

    @classmethod
    def listed(cls, name: str, serialized: str, due: int) -> Schedule:
        """Read a schedule of a listing; one of another version has only its name and next time.

        Args:
            name: Name of the schedule.
            serialized: What the server stores.
            due: Its next time, milliseconds since the epoch.

        Returns:
            The schedule.
        """
        try:
            schedule = cls.deserialize(name, serialized)
        except InvalidJobError:
            schedule = cls(name, JobSpec("?"), b"{}", None, None, "UTC")
        return replace(schedule, next_at=due / 1000)


def new_schedule(
    name: str, spec: JobSpec, payload: bytes, *, cron: str | None, every: float | None, zone: str, overlap: bool
) -> Schedule:
    """A schedule, checked.

    Raises:
        InvalidJobError: Not exactly one of cron and every, or one that can't be used.
    """
    if (cron is None) == (every is None):
        raise InvalidJobError("a schedule needs either cron or every", fix='cron="0 3 * * *" or every=60')
    if every is not None and not _is_interval(every):
        raise InvalidJobError(f"every is {shown(every)}, not a number of seconds from 0.1 to a year", fix="every=60")
    for what, text in (("cron", cron), ("zone", zone)):
        if text is not None and not isinstance(text, str):
            raise InvalidJobError(f"{what} is {shown(text)}, not a text", fix='cron="0 3 * * *", zone="UTC"')
    schedule = Schedule(check_word("the schedule's name", name), spec, payload, cron, every, zone, bool(overlap))
    schedule.after(0.0)
    return schedule


def _is_interval(every: object) -> bool:
    return isinstance(every, int | float) and not isinstance(every, bool) and 0.1 <= every <= MAX_INTERVAL_SECONDS
