from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from valkeykit import errors
from valkeykit.queue import cron


def following(expression: str, start: str, zone: str = "UTC") -> str:
    place = ZoneInfo(zone) if zone != "UTC" else timezone.utc
    moment = datetime.fromisoformat(start).replace(tzinfo=place).timestamp()
    return datetime.fromtimestamp(cron.parse(expression, zone).after(moment), place).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("* * * * *", "2026-01-01 00:00:30", "2026-01-01 00:01"),
        ("0 3 * * *", "2026-01-01 03:00", "2026-01-02 03:00"),
        ("*/15 9-17/4 * * *", "2026-01-01 09:50", "2026-01-01 13:00"),
        ("0 0 29 2 *", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("0 0 31 * *", "2026-01-31 00:00", "2026-03-31 00:00"),
        ("0 12 * * 1-5", "2026-01-02 12:00", "2026-01-05 12:00"),
        ("0 12 * * 7", "2026-01-02 12:00", "2026-01-04 12:00"),
        ("0 0 13 * 5", "2026-01-01 00:00", "2026-01-02 00:00"),
        ("5,10 0 1 1 *", "2026-01-01 00:05", "2026-01-01 00:10"),
    ],
)
def test_the_next_time(expression: str, start: str, expected: str) -> None:
    assert following(expression, start) == expected


def test_a_time_that_the_clock_change_skips_or_repeats_is_run_once() -> None:
    assert following("30 2 * * *", "2026-03-28 03:00", "Europe/Berlin") in {"2026-03-29 03:30", "2026-03-29 01:30"}
    parsed = cron.parse("30 2 * * *", "Europe/Berlin")
    first = parsed.after(datetime(2026, 10, 25, 0, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
    second = parsed.after(first)
    assert second - first > 20 * 3600


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "x * * * *",
    ],
)
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(errors.InvalidJobError):
        cron.parse(expression)


def test_no_such_day_and_no_such_zone() -> None:
    with pytest.raises(errors.InvalidJobError, match="no day"):
        cron.parse("0 0 30 2 *").after(0)
    with pytest.raises(errors.InvalidJobError, match="time zone"):
        cron.parse("* * * * *", "Mars/Olympus")
