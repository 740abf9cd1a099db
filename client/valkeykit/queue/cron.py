"""Times by a cron expression: minute hour day-of-month month day-of-week.

Each field is `*`, a number, a range `1-5`, a step `*/15` or `9-17/2`, or several of them
with commas. Days of the week run from 0 (Sunday) to 6; 7 is Sunday too. Where both day
fields are restricted, either fits, as cron has always done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from valkeykit.errors import InvalidJobError

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_FIX = 'cron="0 3 * * *" is every day at 3:00'


@dataclass(frozen=True)
class Cron:
    """A parsed expression in a time zone."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day_field: bool
    zone: tzinfo

    def after(self, moment: float) -> float:
        """The next time strictly after `moment`; both are seconds since the epoch.

        An hour that a clock change skips is run when it would have begun; one that it repeats, once.

        Raises:
            InvalidJobError: there is none within five years, 30 February for example.
        """
        local = datetime.fromtimestamp(moment, self.zone).replace(second=0, microsecond=0, tzinfo=None)
        end = local + timedelta(days=5 * 366)
        candidate = local + timedelta(minutes=1)
        while candidate < end:
            if not self._fits_day(candidate):
                candidate = (candidate + timedelta(days=1)).replace(hour=0, minute=0)
            elif candidate.hour not in self.hours:
                candidate = (candidate + timedelta(hours=1)).replace(minute=0)
            elif candidate.minute not in self.minutes or self._seconds(candidate) <= moment:
                candidate += timedelta(minutes=1)
            else:
                return self._seconds(candidate)
        raise InvalidJobError("the cron expression fits no day of the next five years", fix=_FIX)

    def _fits_day(self, day: datetime) -> bool:
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        fits = (in_month or in_week) if self.any_day_field else (in_month and in_week)
        return fits and day.month in self.months

    def _seconds(self, local: datetime) -> float:
        return local.replace(tzinfo=self.zone).timestamp()


def parse(expression: str, zone: str = "UTC") -> Cron:
    """Read a cron expression.

    Raises:
        InvalidJobError: it isn't one, or the time zone is unknown.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise InvalidJobError(f"the cron expression {expression!r:.80} has {len(fields)} fields, not 5", fix=_FIX)
    minutes, hours, days, months, weekdays = (
        _values(field, *limits) for field, limits in zip(fields, _FIELDS, strict=True)
    )
    return Cron(
        minutes, hours, days, months,
        frozenset(day % 7 for day in weekdays),
        any_day_field=not fields[2].startswith("*") and not fields[4].startswith("*"),
        zone=_zone(zone),
    )  # fmt: skip


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidJobError(f"the time zone {name!r:.80} is unknown here", fix='zone="Europe/Berlin"') from None


def _values(field: str, what: str, first: int, last: int) -> frozenset[int]:
    values: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        low, dash, high = ("*", "", "") if span == "*" else span.partition("-")
        try:
            start = first if low == "*" else int(low)
            stop = int(high) if dash else last if slash or low == "*" else start
            stride = int(step) if slash else 1
        except ValueError:
            start, stop, stride = -1, -1, 0
        if not (first <= start <= stop <= last and stride > 0):
            raise InvalidJobError(f"the cron expression's {what} is {field!r:.80}, not in {first}-{last}", fix=_FIX)
        values.update(range(start, stop + 1, stride))
    return frozenset(values)
