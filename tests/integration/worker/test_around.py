"""What a program puts around its handlers: middleware, and callbacks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.integration.worker.conftest import BRISK, ended

from osqueue import Retry
from osqueue.client import Job, OsqueueClient
from osqueue.jobs import HandlerSpec, Jobs
from osqueue.worker import CallNext, JobContext, Middleware, Worker


async def _echo(payload: Any) -> Any:
    return payload


def _echo_plainly(payload: Any) -> Any:
    return payload


@pytest.mark.parametrize("handler", [_echo, _echo_plainly], ids=["loop", "thread"])
async def test_middlewares_when_a_job_runs_then_are_around_it_the_first_outermost(
    client: OsqueueClient, handler: Any
) -> None:
    told: list[str] = []

    def layer(name: str) -> Middleware:
        async def middleware(ctx: JobContext, call_next: CallNext) -> Any:
            told.append(f"{name} {ctx.type} {ctx.attempt}")
            result = await call_next()
            told.append(f"{name} {result}")
            return f"{name}({result})"

        return middleware

    jobs = Jobs()
    jobs.middleware(layer("c"))
    jobs.job("t")(handler)
    job_id = await client.submit_job("t", "x", keep_result=True)
    async with Worker(client, jobs, settings=BRISK, middlewares=[layer("a"), layer("b")]):
        info = await ended(client, job_id)

    assert told == ["a t 1", "b t 1", "c t 1", "c x", "b c(x)", "a b(c(x))"]
    assert info.result == "a(b(c(x)))"


async def _never(_ctx: JobContext, _call_next: CallNext) -> Any:
    return "done"


async def _twice(_ctx: JobContext, call_next: CallNext) -> Any:
    await call_next()
    return await call_next()


async def _raising(_ctx: JobContext, _call_next: CallNext) -> Any:
    raise OSError("no database")


async def _raising_after(_ctx: JobContext, call_next: CallNext) -> Any:
    await call_next()
    raise OSError("not committed")


async def _hanging(_ctx: JobContext, _call_next: CallNext) -> Any:
    await asyncio.get_running_loop().create_future()


async def _exiting(_ctx: JobContext, _call_next: CallNext) -> Any:
    raise SystemExit(1)


@pytest.mark.parametrize(
    ("middleware", "reason", "runs"),
    [
        (_never, "_never returned without calling call_next", 0),
        (_twice, "_twice called call_next twice", 1),
        (_raising, "no database", 0),
        (_raising_after, "not committed", 1),
        (_hanging, "did not end within", 0),
        (_exiting, "1", 0),
    ],
)
async def test_job_whose_middleware_misbehaves_then_has_failed_and_the_worker_lives_on(
    client: OsqueueClient, middleware: Middleware, reason: str, runs: int
) -> None:
    ran: list[Any] = []

    async def handle(payload: Any) -> None:
        ran.append(payload)

    async def only_bad(ctx: JobContext, call_next: CallNext) -> Any:
        return await (call_next() if ctx.type == "fine" else middleware(ctx, call_next))

    bad = HandlerSpec(function=handle, timeout_s=0.05)
    job_id = await client.submit_job("bad", max_attempts=1)
    fine = await client.submit_job("fine")
    chosen = middleware if middleware in {_never, _twice} else only_bad
    handlers: dict[str, Any] = {"bad": bad}
    if chosen is not middleware:
        handlers["fine"] = _echo
    async with Worker(client, handlers, settings=BRISK, middlewares=[chosen]):
        info = await ended(client, job_id)
        if "fine" in handlers:
            assert (await ended(client, fine)).status == "completed"

    assert info.status == "dead"
    assert info.last_error is not None
    assert reason in info.last_error.message
    assert len(ran) == runs


async def test_middleware_when_it_handles_what_the_handler_raises_then_that_counts(
    client: OsqueueClient,
) -> None:
    async def forgiving(_ctx: JobContext, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except ZeroDivisionError:
            return "forgiven"
        except KeyError:
            raise Retry(after=3_600) from None

    def handle(payload: Any) -> None:
        raise {"zero": ZeroDivisionError, "key": KeyError}[payload]

    zero = await client.submit_job("t", "zero", keep_result=True)
    key = await client.submit_job("t", "key")
    async with Worker(client, {"t": handle}, settings=BRISK, middlewares=[forgiving]):
        assert (await ended(client, zero)).result == "forgiven"
        while not (info := await client.get_job(key)).errors:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)

    assert (info.status, info.attempts) == ("unclaimed", 1)


async def test_callbacks_of_jobs_and_of_the_worker_when_a_job_ends_are_all_called(
    client: OsqueueClient,
) -> None:
    jobs, told = Jobs(), list[str]()
    jobs.job("t")(_echo)

    @jobs.on_job_claimed
    def claimed(job: Job) -> None:
        told.append(f"claimed {job.type}")

    @jobs.on_job_completed
    async def completed(job: Job) -> None:
        told.append(f"completed {job.type}")

    job_id = await client.submit_job("t")
    async with Worker(client, jobs, settings=BRISK, on_job_claimed=lambda _: told.append("own")):
        await ended(client, job_id)

    assert told == ["own", "claimed t", "completed t"]


async def test_callbacks_that_hang_raise_or_cancel_themselves_harm_no_job(
    client: OsqueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(_: Job) -> None:
        await asyncio.get_running_loop().create_future()

    async def cancelled(_: Job) -> None:
        raise asyncio.CancelledError

    def leave(*_: Any) -> None:
        raise SystemExit(3)

    for claimed in (hang, cancelled, leave):
        job_id = await client.submit_job("t")
        async with Worker(
            client,
            {"t": _echo},
            settings=BRISK,
            on_job_claimed=claimed,
            on_job_completed=claimed,
        ):
            assert (await ended(client, job_id)).status == "completed"

    assert len([each for each in caplog.messages if "a callback" in each]) == 6
