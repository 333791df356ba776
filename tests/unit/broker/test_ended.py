"""Leafing through ended jobs while they move from the state to the archive."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import Raw
from tests.unit.model.driver import START, Driver

from osqueue.broker import ended
from osqueue.broker.engines import QueueEngine
from osqueue.config import ENDED_OBJECTS_MAX
from osqueue.engine.archive import Archive
from osqueue.engine.requests import Held
from osqueue.errors import BrokerProtocolError, StoreDeniedError
from osqueue.model.batches import BatchName
from osqueue.model.ops import Drop, Op, Seal
from osqueue.model.outcomes import Sealed
from osqueue.storage.memory import MemoryBackend
from osqueue.testing import Fault, ScriptedStore, Step
from osqueue.wire.messages import EndedPage
from osqueue.wire.operations import EndedQuery


class Place:
    """A queue, its archive, and the archiver's steps one by one."""

    def __init__(self, **limits: Any) -> None:
        self.queue = Driver(archived=True, dead_max=0, **limits)
        self.store = ScriptedStore(MemoryBackend())
        self.archive = Archive(self.store)
        self.sealed = 0

    def expect_leading(self) -> None:
        """It does."""

    async def ask(self, op: Op, *, consistent: bool = False) -> Held:
        return Held(op=op, consistent=consistent, outcome=self.queue.do(op), position=(1, 1))

    def end(self, *job_ids: str, **fields: Any) -> None:
        for job_id in job_ids:
            self.queue.submit(job_id, **fields)
            self.queue.cancel(job_id)

    async def put(self, jobs_max: int = 100) -> str:
        """Seal a batch and write its object; its jobs are in the state still."""
        self.sealed += 1
        self.queue.passes(1)
        sealed = self.queue.do(Seal(f"token{self.sealed}", jobs_max, 10**9))
        assert isinstance(sealed, Sealed)
        await self.store.create(sealed.key, sealed.data)
        name = BatchName.parse(sealed.key)
        assert name is not None
        self.archive.add(name)
        return sealed.key

    async def move(self, jobs_max: int = 100) -> str:
        """The same, and let go of them."""
        key = await self.put(jobs_max)
        self.queue.do(Drop(key))
        return key

    async def page(
        self, limit: int = 100, cursor: str | None = None, *, archive: bool = True, **wanted: Any
    ) -> EndedPage:
        await self.archive.load()
        query = EndedQuery(limit=limit, cursor=cursor, **wanted)
        engine = cast("QueueEngine", self)
        reply = await ended.ended_page(engine, self.archive if archive else None, query)
        assert reply.position == (1, 1)
        return reply.value

    async def walked(self, limit: int, **wanted: Any) -> list[list[str]]:
        pages, cursor = [], None
        while True:
            page = await self.page(limit, cursor, **wanted)
            pages.append(ids(page))
            cursor = page.next_cursor
            if cursor is None:
                return pages


def ids(page: EndedPage) -> list[str]:
    return [job.id for job in page.jobs]


def flat(pages: list[list[str]]) -> list[str]:
    return [job_id for page in pages for job_id in page]


@pytest.fixture
def place() -> Place:
    return Place()


async def test_page_when_nothing_has_ended_then_empty(place: Place) -> None:
    assert await place.page() == EndedPage(jobs=[])


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
async def test_page_when_some_are_in_the_archive_then_each_once_the_last_first(
    place: Place, limit: int
) -> None:
    place.end("a", "b", "c")
    await place.move(2)  # a b
    place.end("d", "e")
    await place.move(2)  # c d
    place.end("f")
    pages = await place.walked(limit)
    assert flat(pages) == ["f", "e", "d", "c", "b", "a"]
    assert all(len(page) <= limit for page in pages)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_page_when_a_batch_is_written_and_not_dropped_then_its_jobs_once(
    place: Place, limit: int
) -> None:
    place.end("a", "b", "c")
    await place.move(1)
    await place.put(1)
    assert flat(await place.walked(limit)) == ["c", "b", "a"]


@pytest.mark.parametrize("moved", [1, 2, 3, 4, 5])
async def test_page_when_jobs_leave_between_pages_then_each_once(place: Place, moved: int) -> None:
    place.end("a", "b", "c", "d", "e")
    first = await place.page(2)
    place.end("f")
    for _ in range(moved):
        await place.move(1)
    second = await place.page(100, first.next_cursor)
    assert (ids(first), ids(second)) == (["e", "d"], ["c", "b", "a"])


async def test_page_when_all_have_left_at_once_between_pages_then_each_once(place: Place) -> None:
    place.end("a", "b", "c", "d")
    first = await place.page(1)
    await place.move()
    second = await place.page(1, first.next_cursor)
    third = await place.page(100, second.next_cursor)
    assert [ids(each) for each in (first, second, third)] == [["d"], ["c"], ["b", "a"]]


async def test_page_when_another_broker_leads_by_then_then_the_cursor_holds(place: Place) -> None:
    place.end("a", "b", "c")
    await place.move(1)
    first = await place.page(1)
    place.queue.reload()
    place.queue.state.generation = "another"
    place.archive = Archive(place.store)
    assert ids(await place.page(100, first.next_cursor)) == ["b", "a"]


async def test_page_when_the_next_lives_again_then_the_cursor_leads_nowhere(place: Place) -> None:
    place.queue.submit("dead")
    place.queue.claim()
    place.queue.fail("dead", retry=False)
    place.end("a")
    first = await place.page(1)
    place.queue.retry("dead")
    with pytest.raises(BrokerProtocolError, match="begin again"):
        await place.page(1, first.next_cursor)


@pytest.mark.parametrize(
    "cursor",
    ["", "s", "s.", "s.none", "x.1", "a", "a.", "a..", "a.1.queue.json", "a.1.../queue.json",
     "a.x.2026-01-01T00/000000000000-000000000000-000000000000-t.jsonl",
     "a.\u0663.2026-01-01T00/000000000000-000000000000-000000000000-t.jsonl"],
)  # fmt: skip
@pytest.mark.parametrize("archive", [True, False])
async def test_page_when_the_cursor_is_made_up_then_refused(
    place: Place, cursor: str, *, archive: bool
) -> None:
    place.end("a")
    with pytest.raises(BrokerProtocolError, match="cursor"):
        await place.page(1, cursor, archive=archive)


async def test_page_when_the_cursor_names_an_object_that_is_gone_then_the_older_ones(
    place: Place,
) -> None:
    place.end("a", "b")
    await place.move(1)
    key = await place.move(1)
    cursor = f"a.7.{key.removeprefix('archive/').replace('token2', 'token3')}"
    assert ids(await place.page(100, cursor)) == ["b", "a"]
    await place.store.delete(key)
    assert ids(await place.page(100, cursor)) == ["a"]


async def test_page_when_the_line_of_a_cursor_is_too_high_then_from_the_last_line(
    place: Place,
) -> None:
    place.end("a", "b")
    key = await place.move()
    assert ids(await place.page(9, f"a.{'9' * 300}.{key.removeprefix('archive/')}")) == ["b", "a"]


async def test_page_when_filtered_then_only_those_wherever_they_are(place: Place) -> None:
    place.end("a1", "a2", type="x")
    place.end("b1", type="y")
    await place.move()
    place.end("a3", type="x")
    place.end("b2", type="y")
    assert flat(await place.walked(1, type="x")) == ["a3", "a2", "a1"]
    assert flat(await place.walked(2, text="B")) == ["b2", "b1"]
    assert flat(await place.walked(9, status="cancelled", type="y")) == ["b2", "b1"]
    assert flat(await place.walked(9, status="completed")) == []


async def test_page_when_jobs_ended_in_every_way_then_as_they_ended(place: Place) -> None:
    place.queue.submit("done", "dead", type="t", payload=Raw(b"[1]"))
    place.queue.claim(most=2)
    place.queue.complete("done", result=b'{"n":1}')
    place.queue.fail("dead", retry=False)
    await place.move()
    dead, done = (await place.page()).jobs
    assert (dead.status, bytes(cast("Raw", dead.payload))) == ("dead", b"[1]")
    assert dead.last_error is not None
    assert (dead.last_error.message, dead.ended_at) == ("no", START.wall)
    assert (done.status, bytes(cast("Raw", done.result))) == ("completed", b'{"n":1}')
    assert not isinstance(done.payload, Raw)


async def test_page_when_there_is_no_archive_then_what_the_state_knows(place: Place) -> None:
    place.end("a", "b", "c")
    first = await place.page(2, archive=False)
    assert ids(first) == ["c", "b"]
    assert ids(await place.page(2, first.next_cursor, archive=False)) == ["a"]


async def test_page_when_results_are_large_then_it_is_short_and_goes_on(place: Place) -> None:
    for number in range(40):
        place.queue.submit(f"j{number}")
        place.queue.claim()
        place.queue.complete(f"j{number}", result=b'"%b"' % (b"x" * 60_000))
    await place.move(20)
    pages = await place.walked(100)
    assert len(pages) == 3
    assert flat(pages) == [f"j{number}" for number in reversed(range(40))]


async def test_page_when_there_are_many_objects_then_some_are_read_and_it_goes_on(
    place: Place,
) -> None:
    names = [f"j{number}" for number in range(3 * ENDED_OBJECTS_MAX)]
    place.end(*names)
    for _ in names:
        await place.move(1)
    pages = await place.walked(100, text="no such text")
    assert pages == [[]] * 3
    assert flat(await place.walked(100)) == list(reversed(names))


async def test_page_when_leafing_through_one_object_then_it_is_read_once(place: Place) -> None:
    place.end(*[f"j{number}" for number in range(30)])
    await place.move()
    place.store.then(Step("get"), Step("get", Fault.DENIED))
    assert len(await place.walked(3)) >= 10
    assert len(place.store.unused) == 1


async def test_page_when_an_object_is_missing_then_passed_over(place: Place) -> None:
    place.end("a", "b", "c")
    await place.move(1)
    key = await place.move(1)
    await place.move(1)
    await place.archive.load()
    await place.store.delete(key)
    assert ids(await place.page()) == ["c", "a"]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda data: data[:-5], ["d", "c", "b", "a"]),
        (lambda data: data[:-5] + b"\n", ["d", "c", "b", "a"]),
        (lambda data: data.replace(b'"id":"e"', b'"id":\xff'), ["d", "c", "b", "a"]),
        (lambda data: data.replace(b'"createdAt":', b'"createdAt":"x'), ["b", "a"]),
        (lambda _: b"no JSON at all", ["b", "a"]),
        (lambda data: data + b"{}\n", ["e", "d", "c", "b", "a"]),
    ],
)
async def test_page_when_an_object_is_damaged_then_what_is_whole_and_its_name(
    place: Place, damage: Any, left: list[str]
) -> None:
    place.end("a", "b")
    await place.move()
    place.end("c", "d", "e")
    key = await place.move()
    data = (await place.store.get(key)).data  # type: ignore[union-attr]
    await place.store.delete(key)
    await place.store.create(key, damage(data))
    page = await place.page()
    assert (ids(page), page.damaged) == (left, [key])


async def test_page_when_an_object_came_in_part_then_it_is_read_again_for_the_next(
    place: Place,
) -> None:
    place.end("a", "b", "c")
    key = await place.move()
    place.store.then(Step("get", Fault.TRUNCATED))
    assert (await place.page()).damaged == [key]
    again = await place.page()
    assert (ids(again), again.damaged) == (["c", "b", "a"], [])


async def test_page_when_the_store_refuses_then_its_error(place: Place) -> None:
    place.end("a")
    await place.move()
    place.store.then(Step("get", Fault.DENIED))
    with pytest.raises(StoreDeniedError):
        await place.page()
    assert ids(await place.page()) == ["a"]
