"""Finding the jobs that are meant: by status, by type, by a text in them.

Laws: a scan does no more than its budget of work, wherever that leaves it, and answers where to go
on; what it takes does not depend on how many jobs there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.model.job import Job, JobStatus
from osqueue.model.ops import JobFilter

__all__ = ["Scanned", "Searchable", "Wanted", "scan"]

CHUNK_JOBS: Final = 512
"""Jobs that are filtered together: in lists that is three times as fast as one by one."""

TEXT_CHUNK_JOBS: Final = 32
"""The same where texts are looked through, whose errors may be long: the work is bounded as well as
a chunk is small."""

TEXT_WORK: Final = 3
"""Looking for a text in a job takes about as long as looking at so many statuses."""

ERROR_WORK: Final = 16
"""And in its last error, beside its length."""

ERROR_BYTES_PER_WORK: Final = 64

_PARTS: Final[Mapping[str | None, tuple[JobStatus | None, bool | None, bool | None]]] = (
    MappingProxyType(
        {
            None: (None, None, None),
            **{status.value: (status, None, None) for status in JobStatus},
            "ready": (JobStatus.UNCLAIMED, False, False),
            "delayed": (JobStatus.UNCLAIMED, True, False),
            "waiting": (JobStatus.UNCLAIMED, None, True),
        }
    )
)
"""What a filter's status says: a job's status, whether it is delayed, whether it waits for other
jobs; ``None``: any."""


class _Failure(msgspec.Struct):
    type: str = ""
    message: str = ""


_failure_decoder = msgspec.json.Decoder(_Failure)


class Searchable(Protocol):
    """What is looked at of a job."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def status(self) -> JobStatus: ...
    @property
    def run_at(self) -> int | None: ...
    @property
    def worker_id(self) -> str | None: ...
    @property
    def last_error(self) -> Raw | UnsetType: ...
    @property
    def waits(self) -> bool: ...


JobT = TypeVar("JobT", bound=Searchable)


class Scanned(NamedTuple):
    """The jobs that were found, and the first that is left to look at; ``None``: there is none."""

    found: list[Job]
    rest: Job | None


class Wanted:
    """A filter, ready to be asked. ``work`` is what that has taken so far, in jobs looked at."""

    __slots__ = ("_delayed", "_known", "_status", "_text", "_type", "_waits", "chunk_jobs", "work")

    def __init__(self, wanted: JobFilter) -> None:
        self._status, self._delayed, self._waits = _PARTS[wanted.status]
        self._type = wanted.type
        self._text = wanted.text.casefold() if wanted.text else None
        self._known: dict[str, bool] = {}
        """Whether the text is in a name that many jobs share."""
        self.chunk_jobs = CHUNK_JOBS if self._text is None else TEXT_CHUNK_JOBS
        self.work = 0

    def among(self, jobs: list[JobT]) -> list[JobT]:
        """Those of some jobs that are meant, in their order."""
        self.work += len(jobs)
        if self._status is not None:
            status = self._status
            jobs = [job for job in jobs if job.status is status]
        if self._delayed is not None:
            delayed = self._delayed
            jobs = [job for job in jobs if (job.run_at is not None) is delayed]
        if self._waits is not None:
            waits = self._waits
            jobs = [job for job in jobs if job.waits is waits]
        if self._type is not None:
            type_ = self._type
            jobs = [job for job in jobs if job.type == type_]
        return jobs if self._text is None else self._with_text(jobs, self._text)

    def _with_text(self, jobs: list[JobT], text: str) -> list[JobT]:
        self.work += TEXT_WORK * len(jobs)
        return [
            job
            for job in jobs
            if text in job.id.casefold()
            or self._in_name(job.type, text)
            or (job.worker_id is not None and self._in_name(job.worker_id, text))
            or (job.last_error is not UNSET and self._in_error(memoryview(job.last_error), text))
        ]

    def _in_name(self, name: str, text: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = text in name.casefold()
        return known

    def _in_error(self, error: memoryview, text: str) -> bool:
        self.work += ERROR_WORK + len(error) // ERROR_BYTES_PER_WORK
        try:
            told = _failure_decoder.decode(error)
        except (msgspec.DecodeError, UnicodeDecodeError):  # of another implementation
            return text in bytes(error).decode(errors="replace").casefold()
        return text in told.type.casefold() or text in told.message.casefold()


def scan(jobs: Iterator[Job], wanted: Wanted, *, limit: int, work_max: int) -> Scanned:
    """Look through jobs until one more than ``limit`` is found, or the work is done that may be."""
    found: list[Job] = []
    while chunk := list(islice(jobs, min(wanted.chunk_jobs, work_max - wanted.work))):
        hits, room = wanted.among(chunk), limit - len(found)
        if len(hits) > room:
            return Scanned(found + hits[:room], hits[room])
        found += hits
        if wanted.work >= work_max:
            return Scanned(found, next(jobs, None))
    return Scanned(found, None)
