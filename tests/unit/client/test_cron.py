from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
        ("0 0 29 2 *", "2097-01-01 00:00", "2104-02-29 00:00"),
        ("0 0 31 DEC *", "2026-01-01 00:00", "2026-12-31 00:00"),
        ("0 0 1 feb-Apr/2 *", "2026-02-01 00:00", "2026-04-01 00:00"),
        ("0 12 * * Mon,WED", "2026-01-05 12:00", "2026-01-07 12:00"),
        ("0 12 * * SAT-SUN", "2026-01-03 12:00", "2026-01-04 12:00"),
        ("*/60 */24 * * *", "2026-01-01 00:00", "2026-01-02 00:00"),
        ("@hourly", "2026-01-01 00:30", "2026-01-01 01:00"),
        ("@daily", "2026-01-01 00:30", "2026-01-02 00:00"),
        (" @Midnight ", "2026-01-01 00:30", "2026-01-02 00:00"),
        ("@weekly", "2026-01-01 00:30", "2026-01-04 00:00"),
        ("@monthly", "2026-01-01 00:30", "2026-02-01 00:00"),
        ("@yearly", "2026-01-01 00:30", "2027-01-01 00:00"),
        ("@annually", "2026-01-01 00:30", "2027-01-01 00:00"),
    ],
)
def test_the_next_time(expression: str, start: str, expected: str) -> None:
    assert following(expression, start) == expected


def times(expression: str, zone: str, start: str, end: str) -> list[datetime]:
    """All times of a schedule, in UTC; so are `start` and `end`."""
    parsed = cron.parse(expression, zone)
    moment, limit = (datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() for text in (start, end))
    every: list[datetime] = []
    while (upcoming := parsed.after(moment)) < limit:
        assert upcoming > moment
        every.append(datetime.fromtimestamp(upcoming, timezone.utc))
        moment = upcoming
    return every


def clock(expression: str, zone: str, start: str, end: str) -> str:
    """The times as a clock in the zone shows them."""
    return " ".join(f"{time.astimezone(ZoneInfo(zone)):%H:%M}" for time in times(expression, zone, start, end))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/30 * * * *", "01:30 02:00 02:30 02:00 02:30 03:00 03:30"),
        ("30 * * * *", "01:30 02:30 02:30 03:30"),
        ("30 0-23 * * *", "01:30 02:30 02:30 03:30"),
        ("0 */2 * * *", "02:00 02:00"),
        ("*/30 2 * * *", "02:00 02:30 02:00 02:30"),
        ("30 2 * * *", "02:30"),
        ("30 1-3 * * *", "01:30 02:30 03:30"),
        ("0,30 2,3 * * *", "02:00 02:30 03:00 03:30"),
        ("0 */24 * * *", ""),
    ],
)
def test_only_open_schedules_run_in_both_passes_of_a_repeated_hour(expression: str, expected: str) -> None:
    assert clock(expression, "Europe/Berlin", "2026-10-24 23:10", "2026-10-25 02:50") == expected


@pytest.mark.parametrize(
    ("zone", "expression", "start", "end", "expected"),
    [
        ("Europe/Berlin", "*/30 * * * *", "2026-03-29 00:10", "2026-03-29 02:10", "01:30 03:00 03:30 04:00"),
        ("Europe/Berlin", "30 2 * * *", "2026-03-29 00:10", "2026-03-29 22:00", "03:30"),
        ("Europe/Berlin", "30 2,3 * * *", "2026-03-29 00:10", "2026-03-29 22:00", "03:30"),
        ("Europe/Berlin", "0 */2 * * *", "2026-03-29 00:10", "2026-03-29 02:10", "03:00 04:00"),
        ("America/Havana", "0 0 * * *", "2026-03-07 06:00", "2026-03-09 03:00", "01:00"),
        ("Asia/Beirut", "0 0 * * *", "2026-03-28 00:00", "2026-03-29 12:00", "01:00"),
        ("Australia/Lord_Howe", "20 2 * * *", "2026-10-03 15:00", "2026-10-03 18:00", "02:50"),
        ("Australia/Lord_Howe", "0 * * * *", "2026-10-03 14:10", "2026-10-03 16:10", "01:00 02:30 03:00"),
        ("Pacific/Auckland", "30 2 * * *", "2026-09-26 12:00", "2026-09-27 11:00", "03:30"),
        ("Pacific/Apia", "0 12 * * *", "2011-12-29 00:00", "2012-01-01 00:00", "12:00 12:00 12:00"),
    ],
)
def test_a_skipped_time_runs_once(zone: str, expression: str, start: str, end: str, expected: str) -> None:
    assert clock(expression, zone, start, end) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "start", "end", "expected"),
    [
        ("America/Havana", "30 0 * * *", "2026-11-01 04:00", "2026-11-02 04:00", "00:30"),
        ("America/Havana", "30 * * * *", "2026-11-01 04:00", "2026-11-01 07:00", "00:30 00:30 01:30"),
        ("Asia/Beirut", "30 23 * * *", "2026-10-24 12:00", "2026-10-25 12:00", "23:30"),
        ("Asia/Beirut", "30 * * * *", "2026-10-24 20:00", "2026-10-24 23:00", "23:30 23:30 00:30"),
        ("Australia/Lord_Howe", "40 1 * * *", "2026-04-04 13:00", "2026-04-05 13:00", "01:40"),
        ("Australia/Lord_Howe", "*/10 * * * *", "2026-04-04 14:25", "2026-04-04 15:45",
         "01:30 01:40 01:50 01:30 01:40 01:50 02:00 02:10"),
        ("Pacific/Auckland", "30 2 * * *", "2026-04-04 12:00", "2026-04-05 12:00", "02:30"),
    ],
)  # fmt: skip
def test_a_fixed_time_runs_in_the_first_pass_only(
    zone: str, expression: str, start: str, end: str, expected: str
) -> None:
    assert clock(expression, zone, start, end) == expected


ZONES = (
    "UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Havana", "America/Sao_Paulo",
    "Asia/Beirut", "Africa/Casablanca", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip


@pytest.mark.parametrize("zone", [*ZONES, "Australia/Lord_Howe"])
@pytest.mark.parametrize(("expression", "step"), [("*/30 * * * *", 30), ("10 * * * *", 60), ("0 */2 * * *", 120)])
def test_an_open_schedule_never_pauses(zone: str, expression: str, step: int) -> None:
    repeated = 30 if zone == "Australia/Lord_Howe" else 60
    if step > repeated:
        step += repeated  # the clock shows no matching time in between
    gaps = {after - before for before, after in pairwise(times(expression, zone, "2026-01-01", "2027-01-01"))}
    assert max(gaps) <= timedelta(minutes=step)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "expression", ["0 0 * * *", "30 0 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *", "59 22 * * *"]
)
def test_a_fixed_daily_time_runs_once_each_day(zone: str, expression: str) -> None:
    days = [
        time.astimezone(ZoneInfo(zone)).date()
        for time in times(expression, zone, "2026-01-01 12:00", "2026-12-31 12:00")
    ]
    assert all(after - before == timedelta(days=1) for before, after in pairwise(days))
    assert len(days) >= 364


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe"]),
    expression=st.sampled_from(["*/20 * * * *", "5,50 * * * *", "20,50 0-3 * * *", "0 23 * * 6", "10 2 25 OCT sun"]),
    change=st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
    minutes=st.lists(st.integers(-2 * 1440, 2 * 1440), min_size=2, max_size=2),
)
def test_the_next_time_does_not_depend_on_the_path(zone: str, expression: str, change: str, minutes: list[int]) -> None:
    """No match is skipped between a moment and its next time, from any starting moment."""
    parsed = cron.parse(expression, zone)
    noon = datetime.fromisoformat(change).replace(tzinfo=timezone.utc).timestamp()
    early, late = (noon + 60 * minute for minute in sorted(minutes))
    first, second = parsed.after(early), parsed.after(late)
    assert first > early
    assert second == first if first > late else second > first


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "0 * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "*/70 * * * *",
        "*-5 * * * *",
        "+5 * * * *",
        "1_0 * * * *",
        "5,, * * * *",
        "1/ * * * *",
        "x * * * *",
        "JAN * * * *",
        "* * * MON *",
        "* * * * MONDAY",
        "* * L * *",
        "* * 15W * *",
        "* * ? * *",
        "* * * * 5#2",
        "* * * * SUN-",
        "@reboot",
        "@every 5m",
        "@",
        None,
        5,
        ["*"] * 5,
    ],
)
def test_an_invalid_expression(expression: str) -> None:
    with pytest.raises(errors.InvalidJobError) as caught:
        cron.parse(expression)
    assert not isinstance(caught.value, cron.UnknownZoneError)


def test_a_date_that_does_not_exist() -> None:
    with pytest.raises(errors.InvalidJobError, match="no day"):
        cron.parse("0 0 30 2 *").after(0)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "\0", "\udc80"])
def test_an_unknown_zone_differs_from_an_invalid_expression(zone: str) -> None:
    with pytest.raises(cron.UnknownZoneError, match="time zone"):
        cron.parse("* * * * *", zone)
