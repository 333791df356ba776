"""A page of jobs that have ended: from the state, and where that ends, from the archive.

Laws: each job is shown once, though it moves from one to the other while somebody leafs through.
Jobs leave the state in the order in which they ended, so a cursor names the next job, wherever
it is by then, and later the object and the line. A page reads a few objects and shows what it has;
an object that is gone is passed over, and what cannot be read of one is told.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.broker import answers
from osqueue.broker.engines import Lookup, QueueEngine
from osqueue.broker.reply import Reply
from osqueue.config import ENDED_OBJECTS_MAX, ENDED_PAGE_BYTES_MAX
from osqueue.engine.archive import Archive
from osqueue.errors import BrokerProtocolError, CorruptStateError
from osqueue.model.batches import ARCHIVE_PREFIX, BatchName, id_time
from osqueue.model.codec import decode_finished
from osqueue.model.job import JobStatus, length_of
from osqueue.model.ops import GetStats, JobFilter, ListEnded
from osqueue.model.outcomes import EndedJobs, JobView
from osqueue.model.queries import ended_view
from osqueue.model.search import Wanted
from osqueue.wire.messages import EndedPage
from osqueue.wire.operations import EndedQuery

__all__ = ["ended_page"]

LINES_AT_ONCE: Final = 250
"""Read before others have their turn: about 2 ms."""

_IN_STATE, _IN_ARCHIVE = "s", "a"


class _Place(NamedTuple):
    """Where to go on in the archive: at this line of an object, by default its last one."""

    name: BatchName
    line: int | None = None

    def __str__(self) -> str:
        line = "" if self.line is None else str(self.line)
        return f"{_IN_ARCHIVE}.{line}.{self.name.key.removeprefix(ARCHIVE_PREFIX)}"


class _Line(msgspec.Struct, rename="camel", gc=False):
    """What is looked for in a line; the rest of it is checked, but not built."""

    id: str
    status: JobStatus
    ended_at: int
    type: str = ""
    worker_id: str | None = None
    run_at: int | None = None
    last_error: Raw | UnsetType = UNSET
    number: int = msgspec.field(default=0, name="")
    """Which line it is."""

    @property
    def waits(self) -> bool:
        """What is over waits for nothing."""
        return False


_line_decoder = msgspec.json.Decoder(_Line)


class _Leaf:
    """The page that is being made."""

    def __init__(self, query: EndedQuery) -> None:
        self.wanted = Wanted(JobFilter(query.status, query.type, query.text))
        self.views: list[JobView] = []
        self.damaged: list[str] = []
        self.next_cursor: str | None = None
        self._limit = query.limit
        self._payloads = query.payloads
        self._bytes = 0

    @property
    def full(self) -> bool:
        return len(self.views) == self._limit or self._bytes > ENDED_PAGE_BYTES_MAX

    def take(self, each: JobView) -> None:
        self.views.append(each)
        shown = (each.result, each.payload) if self._payloads else ()
        self._bytes += sum(map(length_of, (each.last_error, *shown)))

    def note_damage(self, name: BatchName) -> None:
        if name.key not in self.damaged:
            self.damaged.append(name.key)

    def made(self) -> EndedPage:
        jobs = list(map(answers.job_info, self.views))
        if not self._payloads:
            answers.leave_out_payloads(jobs)
        return EndedPage(jobs=jobs, next_cursor=self.next_cursor, damaged=self.damaged)


async def ended_page(
    engine: QueueEngine, lookup: Lookup | None, query: EndedQuery
) -> Reply[EndedPage]:
    """The page that is asked for. Raises `BrokerProtocolError` for a cursor that leads nowhere."""
    leaf = _Leaf(query)
    engine.expect_leading()  # who does not lists no archive
    archive = None if lookup is None else await lookup.listed()
    first, place = _parsed(query.cursor)
    if place is not None:
        held = await engine.ask(GetStats(), consistent=query.consistent)
        position = held.position
    else:
        newest = None if archive is None else archive.newest()  # as of the moment of the look
        ask = ListEnded(query.limit, first, JobFilter(query.status, query.type, query.text))
        held = await engine.ask(ask, consistent=query.consistent)
        position, found = held.position, held.outcome
        assert isinstance(found, EndedJobs), "it is answered even if the first is gone"
        if found.gone:
            place = await _place_of(first or "", archive)
        else:
            place = _behind(leaf, found, newest, archive)
    if archive is not None and place is not None:
        await _leaf_through(archive, place, leaf)
    return Reply(leaf.made(), position)


def _behind(
    leaf: _Leaf, found: EndedJobs, newest: BatchName | None, archive: Archive | None
) -> _Place | None:
    """Put what was found on the page; where in the archive it goes on, if it is not full by that.

    Of the batch that is sealed, all jobs are in the state still; the one before it has none there.
    """
    for each in found.jobs:
        if leaf.full:
            leaf.next_cursor = f"{_IN_STATE}.{each.id}"
            return None
        leaf.take(each)
    if found.next_id is not None:
        leaf.next_cursor = f"{_IN_STATE}.{found.next_id}"
        return None
    if archive is None or newest is None:
        return None
    names = archive.downward(newest, 2)
    name = next((each for each in names if each.key != found.sealed), None)
    return None if name is None else _Place(name)


async def _place_of(job_id: str, archive: Archive | None) -> _Place:
    """Where a job is that has left the state: of late, so it is in one of the last batches."""
    newest = None if archive is None else archive.newest()
    if archive is not None and newest is not None:
        time = id_time(job_id)
        names = [name for name in archive.downward(newest) if name.may_hold(time)]
        for name in names[:ENDED_OBJECTS_MAX]:
            line = _line_of(await archive.read(name) or b"", job_id)
            if line is not None:
                return _Place(name, line)
    raise _astray()


def _line_of(data: bytes, job_id: str) -> int | None:
    lines = data.splitlines()
    backward = range(len(lines) - 1, -1, -1)
    return next((each.number for each in _read_lines(lines, backward) if each.id == job_id), None)


async def _leaf_through(archive: Archive, place: _Place, leaf: _Leaf) -> None:
    """Fill the page from there on, downward."""
    names = archive.downward(place.name, ENDED_OBJECTS_MAX + 1)
    for name in names[:ENDED_OBJECTS_MAX]:
        if leaf.full:
            leaf.next_cursor = str(_Place(name))
            return
        data = await archive.read(name)
        if data is None:
            continue
        start = place.line if name == place.name else None
        line = await _read(name, data, leaf, start=start)
        if line is not None:
            leaf.next_cursor = str(_Place(name, line))
            return
    if len(names) > ENDED_OBJECTS_MAX:
        leaf.next_cursor = str(_Place(names[-1]))


async def _read(name: BatchName, data: bytes, leaf: _Leaf, *, start: int | None) -> int | None:
    """Put what is meant of an object on the page; the line to go on at, if there is one left."""
    lines = data.split(b"\n")
    whole = lines.pop() == b""
    last = len(lines) - 1 if start is None else min(start, len(lines) - 1)
    left = None
    while last >= 0 and left is None:
        numbers = range(last, max(-1, last - LINES_AT_ONCE), -1)
        looked_at = _read_lines(lines, numbers)
        whole = whole and len(looked_at) == len(numbers)
        left = _put(name, lines, leaf.wanted.among(looked_at), leaf)
        last = numbers[-1] - 1
        await asyncio.sleep(0)
    if not whole:
        leaf.note_damage(name)
    return left


def _put(name: BatchName, lines: list[bytes], meant: list[_Line], leaf: _Leaf) -> int | None:
    """Put these on the page; the first for which it has no room."""
    for each in meant:
        if leaf.full:
            return each.number
        try:
            leaf.take(ended_view(decode_finished(lines[each.number])))
        except CorruptStateError:
            leaf.note_damage(name)
    return None


def _read_lines(lines: list[bytes], numbers: range) -> list[_Line]:
    """Those that can be read: whole ones of ours."""
    found = []
    for number in numbers:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            line = _line_decoder.decode(lines[number])
            line.number = number
            found.append(line)
    return found


def _parsed(cursor: str | None) -> tuple[str | None, _Place | None]:
    """The job to begin with, or the place in the archive; neither where it begins."""
    if cursor is None:
        return None, None
    kind, _, rest = cursor.partition(".")
    if kind == _IN_STATE and rest:
        return rest, None
    line, _, key = rest.partition(".")
    name = BatchName.parse(ARCHIVE_PREFIX + key)
    if kind != _IN_ARCHIVE or name is None or (line and not (line.isascii() and line.isdigit())):
        raise _astray()
    return None, _Place(name, int(line) if line else None)


def _astray() -> BrokerProtocolError:
    return BrokerProtocolError("`cursor` leads nowhere any more; begin again without a cursor")
