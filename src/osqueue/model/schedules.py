"""Schedules: what is to be submitted again and again, and when that is next.

Laws: a schedule that is not paused, and will come again, has its next time, by which it can be
found; a time is moved on from in the same operation that submits its job; the id of that job
follows from the schedule's name and the time, so whatever happens a time brings one job at most.

When a time comes after another is not known here: that hangs on time zones, which are data of the
machine (`Timetable`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from osqueue.config import RetryPolicy
from osqueue.errors import CorruptStateError
from osqueue.model.job import NO_TERMS, Terms

__all__ = [
    "ONCE",
    "SKIP",
    "Schedule",
    "Schedules",
    "Timetable",
    "decode_schedule",
    "fired_job_id",
    "same_times",
]

ONCE, SKIP = "once", "skip"
"""What is made of times that were missed: one job for all of them, or none."""


class Schedule(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False
):
    """One schedule, as it is written. Either ``cron``, in ``timezone``, or ``every_ms`` is said."""

    name: str
    type: str = ""
    payload: Raw | UnsetType = UNSET
    cron: str | None = None
    timezone: str = "UTC"
    every_ms: int | None = None
    priority: int = 0
    max_attempts: int | None = None
    retry: RetryPolicy | None = None
    timeout_ms: int | None = None
    keep_result: bool = False
    missed: str = ONCE
    paused: bool = False
    created_at: int
    next_at: int | None = None
    """``None`` while it is paused, or when it comes never again."""
    last_at: int | None = None
    """The time that came last, which may have been missed."""
    last_job_id: str | None = None

    @property
    def terms(self) -> Terms:
        """Of its jobs."""
        if self.retry is None and self.timeout_ms is None and not self.keep_result:
            return NO_TERMS
        return Terms(self.retry, self.timeout_ms, self.keep_result)


class Timetable(Protocol):
    """Works out the times of schedules."""

    def next_after(self, schedule: Schedule, wall_ms: int) -> int | None:
        """Its first time after this one; ``None`` when there is none.

        Raises `OsqueueError` when it cannot be told here.
        """
        ...


class _Entry(NamedTuple):
    schedule: Schedule
    extra: bytes
    """Fields of other implementations, as the JSON text ``,"name":value…``."""
    encoded: bytes


_encode = msgspec.json.Encoder().encode
_strict_decoder = msgspec.json.Decoder(Schedule)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_KNOWN = frozenset(Schedule.__struct_encode_fields__)


class Schedules:
    """The schedules of a queue, by name and by their next time.

    Their times are a sorted list: to move one among so few as there may be is a copy of 8 KiB.
    """

    __slots__ = ("_by_name", "_encoded", "_times", "size")

    def __init__(self) -> None:
        self._by_name: dict[str, _Entry] = {}
        self._times: list[tuple[int, str]] = []
        self._encoded: bytes | None = None
        self.size = 0
        """Bytes that they count towards the state's bound."""

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Schedule]:
        return (entry.schedule for entry in self._by_name.values())

    def get(self, name: str) -> Schedule | None:
        """The schedule of this name, if there is one."""
        entry = self._by_name.get(name)
        return None if entry is None else entry.schedule

    def page(self, after: str, limit: int) -> tuple[Schedule, ...]:
        """The first by name of those after this one."""
        names = sorted(name for name in self._by_name if name > after)
        return tuple([self._by_name[name].schedule for name in names[:limit]])

    def put(self, schedule: Schedule, extra: bytes = b"") -> None:
        """Take one in, in the place of that of its name, whose unknown fields stay."""
        before = self._by_name.get(schedule.name)
        if before is not None:
            extra = extra or before.extra
            self._take_out(before)
        encoded = _encode(schedule)
        if extra:
            encoded = encoded[:-1] + extra + b"}"
        self._by_name[schedule.name] = _Entry(schedule, extra, encoded)
        self.size += len(encoded)
        self._encoded = None
        if schedule.next_at is not None:
            insort(self._times, (schedule.next_at, schedule.name))

    def drop(self, name: str) -> bool:
        """Whether there was one of this name; there is none any more."""
        entry = self._by_name.pop(name, None)
        if entry is None:
            return False
        self._take_out(entry)
        return True

    def next_at(self) -> int | None:
        """The earliest time of all."""
        return self._times[0][0] if self._times else None

    def due(self, wall_ms: int) -> list[Schedule]:
        """Those whose time has come, in its order."""
        number = bisect_left(self._times, (wall_ms + 1, ""))
        return [self._by_name[name].schedule for _, name in self._times[:number]]

    def encoded(self) -> bytes:
        """The JSON of all, with commas between."""
        if self._encoded is None:
            self._encoded = b",".join([entry.encoded for entry in self._by_name.values()])
        return self._encoded

    def _take_out(self, entry: _Entry) -> None:
        self.size -= len(entry.encoded)
        self._encoded = None
        schedule = entry.schedule
        if schedule.next_at is not None:
            del self._times[bisect_left(self._times, (schedule.next_at, schedule.name))]


def fired_job_id(name: str, at: int) -> str:
    """The id of the job of a schedule's time: a UUIDv7 that is made of nothing else.

    As of that kind it tells its time, by which the archive finds it.
    """
    stamp, noise = f"{at:012x}", sha256(b"%b %d" % (name.encode(), at)).hexdigest()
    variant = "89ab"[int(noise[3], 16) % 4]
    return f"{stamp[:8]}-{stamp[8:]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"


def same_times(one: Schedule, other: Schedule) -> bool:
    """Whether both come at the same times."""
    return (one.cron, one.timezone, one.every_ms) == (other.cron, other.timezone, other.every_ms)


def decode_schedule(data: bytes) -> tuple[Schedule, bytes]:
    """A schedule, and its fields that we do not know. Raises `CorruptStateError`."""
    try:
        schedule = _strict_decoder.decode(data)
        fields = _fields_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptStateError(f"a schedule is malformed: {error}: {data[:120]!r}") from error
    unknown = {name: raw for name, raw in fields.items() if name not in _KNOWN}
    extra = b"," + _encode(unknown)[1:-1] if unknown else b""
    if schedule.payload is not UNSET:  # it must not keep the whole state object
        schedule = replace(schedule, payload=Raw(bytes(schedule.payload)))
    return schedule, extra
