"""The times of schedules: by cron expressions in a time zone, or at intervals.

Where clocks change it is as with Debian's cron: what runs at fixed hours runs once on such a day,
what has a ``*`` for its minute or hour runs by the time that passes.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from osqueue.errors import BrokerProtocolError, ConfigError
from osqueue.model.schedules import Schedule

if TYPE_CHECKING:
    from cronsim import CronSim

__all__ = ["CronTimetable", "in_words"]

_HOW: Final = "write five fields, minute hour day month weekday, such as `0 3 * * *`"
_UNITS: Final = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"))


class CronTimetable:
    """Tells when a schedule comes next."""

    def next_after(self, schedule: Schedule, wall_ms: int) -> int | None:
        """Its first time after this one; ``None`` when there is none in fifty years.

        Raises `BrokerProtocolError` for what is no schedule, and `ConfigError` where cron
        expressions cannot be read.
        """
        if (schedule.cron is None) is (schedule.every_ms is None):
            raise BrokerProtocolError("say either `cron` or `everyMs`, when the job is to run")
        if schedule.every_ms is not None:
            return _next_interval(schedule.next_at, schedule.every_ms, wall_ms)
        return _next_match(schedule.cron or "", schedule.timezone, wall_ms)


def in_words(schedule: Schedule) -> str:
    """When it comes, for people."""
    if schedule.every_ms is not None:
        return _interval_in_words(schedule.every_ms)
    cron = schedule.cron or ""
    try:
        words = _reader(cron, datetime.fromtimestamp(0, UTC)).explain()
    except (BrokerProtocolError, ConfigError):  # written by another, or where it could be read
        words = cron
    return f"{words}, {schedule.timezone}"


def _next_interval(last: int | None, every_ms: int, wall_ms: int) -> int:
    """A whole number of intervals after the last time, or one from now on."""
    base = wall_ms if last is None else last
    return base + max(1, (wall_ms - base) // every_ms + 1) * every_ms


def _next_match(cron: str, timezone: str, wall_ms: int) -> int | None:
    times = _reader(cron, datetime.fromtimestamp(wall_ms // 1_000, _zone(timezone)))
    try:
        for time in times:
            at = int(time.timestamp()) * 1_000
            if at > wall_ms:  # an hour that comes twice is read as the first
                return at
    except OverflowError:  # past the year 9999
        return None
    return None


def _reader(cron: str, start: datetime) -> CronSim:
    try:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only where schedules are
    except ImportError as error:
        raise ConfigError(
            "cron expressions are read by cronsim: pip install 'osqueue[broker]'"
        ) from error
    if len(cron.split()) != 5:
        raise BrokerProtocolError(f"`cron`: {cron!r} has not five fields; {_HOW}")
    try:
        return CronSim(cron, start)
    except CronSimError as error:
        fault = str(error)
        raise BrokerProtocolError(f"`cron`: {cron!r}: {fault.lower()}; {_HOW}") from error


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise BrokerProtocolError(
            f"`timezone`: there is no {name!r} here; write a name such as Europe/Rome, and where "
            "the machine has no time zones: pip install tzdata"
        ) from error


def _interval_in_words(every_ms: int) -> str:
    for unit_ms, name in _UNITS:
        if every_ms % unit_ms == 0:
            number = every_ms // unit_ms
            return f"every {name}" if number == 1 else f"every {number:,} {name}s"
    return f"every {every_ms / 1_000:,g} seconds"
