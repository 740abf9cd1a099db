"""Cron expressions: minute hour day-of-month month day-of-week, or a macro such as `@daily`.

Each field is `*`, a number, a range `1-5`, a step `*/15` or `9-17/2`, or a list of them with commas.
Months and days of the week also have names, JAN-DEC and SUN-SAT. Days of the week run from 0 (Sunday)
to 6; 7 is Sunday too. If both day fields are restricted, either matches, as in Vixie cron.

Clock changes follow Vixie cron too. A schedule with `*` or `*/n` for minute or hour runs in both passes
of a repeated hour, and any other schedule in the first pass only. A skipped time runs as long after the
change as it would have without one, so `30 2 * * *` runs at 3:30 when the clock jumps from 2:00 to 3:00.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from valkeykit.errors import InvalidJobError

_DAY = timedelta(days=1)
_HORIZON = 41 * 366 * _DAY
"""A 29 February on a given weekday recurs within 40 years, even across 2100."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIX = 'cron="0 3 * * *" is every day at 3:00'


class UnknownZoneError(InvalidJobError):
    """The time zone is not installed on this machine. The schedule may be valid on another one."""


@dataclass(frozen=True)
class Cron:
    """A parsed expression in a time zone.

    Attributes:
        times: Seconds since midnight, ascending.
        both_passes: Whether a repeated hour counts twice.
        either_day: Whether one matching day field suffices.
    """

    times: tuple[int, ...] = field(repr=False)
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    both_passes: bool
    zone: tzinfo

    def after(self, moment: float) -> float:
        """The next time strictly after `moment`; both are seconds since the epoch.

        Raises:
            InvalidJobError: There is no such time, for example on 30 February.
        """
        midnight = datetime.fromtimestamp(moment, self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        # A clock change moves times by up to a day (Samoa, 2011), so the days before and after count too.
        start = midnight.replace(tzinfo=None) - _DAY
        for day in self._days_from(start):
            upcoming = self._first_on(day, moment)
            if upcoming is not None:
                next_day = self._first_on(day + _DAY, moment) if self._matches(day + _DAY) else None
                return upcoming if next_day is None else min(upcoming, next_day)
        raise InvalidJobError("the cron expression matches no day of the next 41 years", fix=_FIX)

    def _days_from(self, day: datetime) -> Iterator[datetime]:
        end = day + _HORIZON
        while day < end:
            if day.month not in self.months:
                day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
                continue
            if self._matches(day):
                yield day
            day += _DAY

    def _matches(self, day: datetime) -> bool:
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        fits = (in_month or in_week) if self.either_day else (in_month and in_week)
        return fits and day.month in self.months

    def _first_on(self, day: datetime, moment: float) -> float | None:
        """The first time of a local day after `moment`."""
        begin = day.replace(tzinfo=self.zone)
        if begin.utcoffset() != (day + _DAY).replace(tzinfo=self.zone, fold=1).utcoffset():
            return min((time for time in self._across_a_change(day) if time > moment), default=None)
        midnight = begin.timestamp()
        index = bisect_right(self.times, moment - midnight)
        return midnight + self.times[index] if index < len(self.times) else None

    def _across_a_change(self, day: datetime) -> Iterator[float]:
        for time in self.times:
            local = (day + timedelta(seconds=time)).replace(tzinfo=self.zone)
            first, second = local.timestamp(), local.replace(fold=1).timestamp()
            yield first
            if self.both_passes and second > first:  # for a skipped time, it is earlier
                yield second


def parse(expression: str, zone: str = "UTC") -> Cron:
    """Read a cron expression.

    Raises:
        UnknownZoneError: The time zone is not installed on this machine.
        InvalidJobError: The expression is invalid.
    """
    if not isinstance(expression, str) or not isinstance(zone, str):
        raise InvalidJobError(f"cron is {expression!r:.80} in zone {zone!r:.80}, expected two strings", fix=_FIX)
    return _parse(expression, zone)


@lru_cache(maxsize=256)
def _parse(expression: str, zone: str) -> Cron:
    fields = _MACROS.get(expression.strip().lower(), expression).split()
    if len(fields) != 5:
        raise InvalidJobError(
            f"the cron expression is {expression!r:.80}, expected 5 fields or one of {', '.join(_MACROS)}", fix=_FIX
        )
    minute, hour, day, month, weekday = fields
    minutes = _values(minute, "minute", 0, 59)
    hours = _values(hour, "hour", 0, 23)
    return Cron(
        times=tuple(h * 3600 + m * 60 for h in sorted(hours) for m in sorted(minutes)),
        days=_values(day, "day of month", 1, 31),
        months=_values(month, "month", 1, 12, _MONTHS),
        weekdays=frozenset(number % 7 for number in _values(weekday, "day of week", 0, 7, _WEEKDAYS)),
        either_day=not day.startswith("*") and not weekday.startswith("*"),
        both_passes=_is_open(minute, minutes, 60) or _is_open(hour, hours, 24),
        zone=_zone(zone),
    )


def _is_open(text: str, values: frozenset[int], size: int) -> bool:
    return len(values) == size or (text.startswith("*") and len(values) > 1)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZoneError(
            f"this machine has no time zone {name!r:.80}", fix='zone="Europe/Berlin", or pip install tzdata'
        ) from None


def _values(text: str, what: str, first: int, last: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """All values that a field matches.

    Raises:
        InvalidJobError: The field is invalid.
    """
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        low, dash, high = span.partition("-")
        try:
            start = first if span == "*" else _number(low, first, names)
            stop = _number(high, first, names) if dash else last if slash or span == "*" else start
            stride = _number(step) if slash else 1
        except ValueError:
            start, stop, stride = -1, -1, 0
        if high.upper() == "SUN" and start > 0:
            stop = 7  # FRI-SUN
        if not (first <= start <= stop <= last and 0 < stride <= last - first + 1):
            expected = f"{first}-{last}" + (f" or {names[0]}-{names[-1]}" if names else "")
            raise InvalidJobError(f"the cron expression's {what} is {text!r:.80}, expected {expected}", fix=_FIX)
        values.update(range(start, stop + 1, stride))
    return frozenset(values)


def _number(text: str, first: int = 0, names: tuple[str, ...] = ()) -> int:
    if text.upper() in names:
        return names.index(text.upper()) + first
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)  # int() would accept "+5" and "1_0"
    return int(text)
