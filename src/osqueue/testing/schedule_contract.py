"""What a transport must carry of schedules.

Subclass `ScheduleContract` as `TransportContract`, and give it the same `make_transport`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from msgspec import Raw

from osqueue.config import (
    SCHEDULE_EVERY_MS_MIN,
    SCHEDULE_NAME_CHARS_MAX,
    SCHEDULE_PAYLOAD_BYTES_MAX,
    RetryPolicy,
)
from osqueue.errors import BrokerProtocolError, OsqueueError, ScheduleNotFoundError
from osqueue.testing.transport_bench import TransportBench
from osqueue.testing.transport_expectations import PATIENCE_S, Calls, expect_error, text_of
from osqueue.wire import operations as ops
from osqueue.wire.messages import ClaimRequest
from osqueue.wire.operations import Operation, SchedulesQuery
from osqueue.wire.schedules import (
    PutScheduleRequest,
    RunScheduleRequest,
    ScheduleInfo,
    ScheduleRef,
)

__all__ = ["ScheduleContract"]

HOUR_MS = 3_600_000
NIGHTLY: dict[str, Any] = {"cron": "0 3 * * *", "timezone": "Europe/Rome"}


class ScheduleContract(TransportBench):
    """The checks. Subclass it, and give it `make_transport`."""

    async def test_put_schedule_then_listed_with_all_that_was_said(self) -> None:
        async with self.calls() as calls:
            request = PutScheduleRequest(
                name="nightly",
                type="report",
                payload=Raw(b'{"a":[1,"\xc3\xa9"]}'),
                priority=-5,
                max_attempts=0,
                retry=RetryPolicy(base_ms=5, factor=3.5),
                timeout_ms=7,
                keep_result=True,
                missed="skip",
                **NIGHTLY,
            )
            put = await _put(calls, request)
            (listed,) = (await calls.call(ops.LIST_SCHEDULES)).value.schedules
            assert listed == put
            assert (put.name, put.type, text_of(put.payload)) == (
                "nightly",
                "report",
                b'{"a":[1,"\xc3\xa9"]}',
            )
            assert (put.cron, put.timezone, put.every_ms) == ("0 3 * * *", "Europe/Rome", None)
            assert put.when == "At 03:00 every day, Europe/Rome"
            assert (put.priority, put.max_attempts, put.retry) == (-5, 0, request.retry)
            assert (put.timeout_ms, put.keep_result, put.missed) == (7, True, "skip")
            assert put.next_at is not None
            assert put.next_at > put.created_at > 0
            assert (put.paused, put.last_at, put.last_job_id) == (False, None, None)

    async def test_put_schedule_again_then_nothing_changes_and_else_it_is_replaced(self) -> None:
        async with self.calls() as calls:
            first = await _put(calls, _hourly())
            assert await _put(calls, _hourly()) == first
            other = await _put(calls, PutScheduleRequest(name="s", type="u", **NIGHTLY))
            assert (other.type, other.every_ms, other.created_at) == ("u", None, first.created_at)
            assert len(await _listed(calls)) == 1

    async def test_schedule_whose_time_comes_then_its_job_is_there(self) -> None:
        async with self.calls() as calls:
            await _put(
                calls,
                PutScheduleRequest(
                    name="s", type="t", payload=Raw(b"7"), every_ms=SCHEDULE_EVERY_MS_MIN
                ),
            )
            claim = ClaimRequest(worker_id="w", max=1, wait_ms=int(PATIENCE_S * 1_000))
            answer = await calls.call(ops.CLAIM, claim, timeout_s=PATIENCE_S + 5)
            (job,) = answer.value.jobs
            assert (job.type, text_of(job.payload)) == ("t", b"7")
            (schedule,) = await _listed(calls)
            assert schedule.last_at is not None
            assert schedule.next_at is not None
            assert schedule.next_at > schedule.last_at

    async def test_pause_schedule_then_it_has_no_next_time_until_it_is_resumed(self) -> None:
        async with self.calls() as calls:
            await _put(calls, _hourly())
            for _ in range(2):
                assert await _asked(calls, ops.PAUSE_SCHEDULE) is None
            (paused,) = await _listed(calls)
            assert (paused.paused, paused.next_at) == (True, None)
            for _ in range(2):
                assert await _asked(calls, ops.RESUME_SCHEDULE) is None
            (resumed,) = await _listed(calls)
            assert resumed.paused is False
            assert resumed.next_at is not None

    async def test_put_schedule_paused_then_it_stays_so_unless_it_is_said(self) -> None:
        async with self.calls() as calls:
            assert (await _put(calls, _hourly(paused=True))).paused
            assert (await _put(calls, _hourly())).paused
            assert not (await _put(calls, _hourly(paused=False))).paused

    async def test_run_schedule_then_a_job_of_it_beside_its_times(self) -> None:
        async with self.calls() as calls:
            before = await _put(calls, _hourly(type="t", payload=Raw(b"[1]"), priority=3))
            for _ in range(2):  # a repetition adds nothing
                request = RunScheduleRequest(name="s", job_id="mine")
                assert (await calls.call(ops.RUN_SCHEDULE, request)).value.job_id == "mine"
            other = (await calls.call(ops.RUN_SCHEDULE, RunScheduleRequest(name="s"))).value
            assert other.job_id not in {"", "mine"}
            job = await calls.job("mine")
            assert (job.type, text_of(job.payload), job.priority) == ("t", b"[1]", 3)
            assert (await calls.stats()).total == 2
            assert await _listed(calls) == [before]

    async def test_drop_schedule_then_gone_and_a_second_time_done(self) -> None:
        async with self.calls() as calls:
            await _put(calls, _hourly())
            for _ in range(2):
                assert await _asked(calls, ops.DROP_SCHEDULE) is None
            assert await _listed(calls) == []

    async def test_list_schedules_page_by_page_then_by_name(self) -> None:
        async with self.calls() as calls:
            for name in ("c", "a", "b"):
                await _put(calls, _hourly(name))
            first = (await calls.call(ops.LIST_SCHEDULES, SchedulesQuery(limit=2))).value
            query = SchedulesQuery(limit=2, cursor=first.next_cursor, consistent=True)
            second = (await calls.call(ops.LIST_SCHEDULES, query)).value
            assert [each.name for each in first.schedules] == ["a", "b"]
            assert [each.name for each in second.schedules] == ["c"]
            assert second.next_cursor is None

    async def test_ask_of_a_schedule_that_is_not_there_then_refused(self) -> None:
        async with self.calls() as calls:
            for operation in (ops.PAUSE_SCHEDULE, ops.RESUME_SCHEDULE):
                error = await expect_error(ScheduleNotFoundError, _asked(calls, operation))
                assert (error.status, "'s'" in error.message) == (404, True)
            run = calls.call(ops.RUN_SCHEDULE, RunScheduleRequest(name="s"))
            await expect_error(ScheduleNotFoundError, run)

    async def test_put_schedule_that_cannot_be_then_refused_with_what_to_write(self) -> None:
        async with self.calls() as calls:
            for fields, said in (
                ({}, "say either `cron` or `everyMs`"),
                ({**NIGHTLY, "every_ms": HOUR_MS}, "say either `cron` or `everyMs`"),
                ({"cron": "0 3 * *"}, "write five fields"),
                ({"cron": "0 0 30 2 *"}, "bad day-of-month"),
                ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "write a name such as"),
                ({"every_ms": HOUR_MS, "timezone": "UTC"}, "goes with `cron`"),
                ({"every_ms": SCHEDULE_EVERY_MS_MIN - 1}, "everyMs"),
                ({"every_ms": HOUR_MS, "missed": "all"}, "missed"),
                (
                    {"every_ms": HOUR_MS, "payload": _text(SCHEDULE_PAYLOAD_BYTES_MAX)},
                    "larger than",
                ),
            ):
                request = PutScheduleRequest(name="s", **fields)
                error = await expect_error(BrokerProtocolError, _put(calls, request))
                assert (error.status, said in error.message) == (400, True), error.message
            assert await _listed(calls) == []

    async def test_schedule_of_a_name_that_cannot_stand_in_a_path_then_refused(self) -> None:
        async with self.calls() as calls:
            for name in ("a b", "..", "é", "a/b", "<b>", "n" * (SCHEDULE_NAME_CHARS_MAX + 1)):
                assert await _status(_put(calls, _hourly(name))) in {400, 404}, name
                assert await _status(_asked(calls, ops.DROP_SCHEDULE, name)) in {400, 404}, name
            assert await _listed(calls) == []


def _hourly(name: str = "s", **fields: Any) -> PutScheduleRequest:
    return PutScheduleRequest(name=name, every_ms=HOUR_MS, **fields)


def _text(size: int) -> Raw:
    return Raw(b'"%b"' % (b"x" * size))


async def _status(call: Awaitable[object]) -> int | None:
    """How a refusal is classified; ``None`` when there is none."""
    try:
        await call
    except OsqueueError as error:
        return error.status
    return None


async def _put(calls: Calls, request: PutScheduleRequest) -> ScheduleInfo:
    info: ScheduleInfo = (await calls.call(ops.PUT_SCHEDULE, request)).value
    return info


async def _asked(calls: Calls, operation: Operation, name: str = "s") -> object:
    return (await calls.call(operation, ScheduleRef(name=name))).value


async def _listed(calls: Calls) -> list[ScheduleInfo]:
    page = (await calls.call(ops.LIST_SCHEDULES, SchedulesQuery(consistent=True))).value
    found: list[ScheduleInfo] = page.schedules
    return found
