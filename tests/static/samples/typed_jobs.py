"""What type checkers make of typed jobs: an error in each line marked ``wrong``, and no other."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, TypedDict, assert_type

import msgspec
from pydantic import BaseModel

from osqueue import (
    Backoff,
    JobContext,
    JobHandle,
    Jobs,
    OsqueueClient,
    SyncJobHandle,
    SyncOsqueueClient,
)
from osqueue.client import Job
from osqueue.jobs import CheckedJob, NewJob
from osqueue.worker import CallNext


class SendEmail(BaseModel):
    to: str
    subject: str = ""


@dataclasses.dataclass
class Report:
    month: int
    year: int = 2026


class Resize(msgspec.Struct):
    width: int


class Point(NamedTuple):
    x: int


class Tags(TypedDict):
    tags: list[str]


jobs = Jobs()


@jobs.job("email:send", SendEmail, max_attempts=5, timeout=30, retry=Backoff(base=5))
async def send_email(email: SendEmail) -> None: ...


@jobs.job("report:generate", keep_result=True)
def generate(report: Report, ctx: JobContext) -> dict[str, int]:
    ctx.progress(1, 2)
    return {"pages": report.month}


@jobs.job("image:resize", Resize, executor="process", concurrency=2)
def resize(job: Resize) -> int:
    return job.width


@jobs.job("point:draw", Point)
async def draw(point: Point, ctx: JobContext) -> str:
    return f"{point.x} {ctx.job_id}"


@jobs.job("tags:count")
async def count(tags: Tags) -> int:
    return len(tags["tags"])


@jobs.job("anything")
async def anything(payload: Any) -> None: ...


@jobs.job("numbers:add")
def add(numbers: list[int]) -> int:
    return sum(numbers)


async def calls(context: JobContext) -> None:
    assert_type(await send_email(SendEmail(to="a")), None)
    assert_type(generate(Report(7), context), dict[str, int])
    assert_type(await draw(Point(1), context), str)
    await send_email("ada")  # wrong
    generate(Report(7))  # wrong
    await draw(Point(1), 7)  # wrong


async def submits() -> None:
    assert_type(await send_email.submit(to="a"), JobHandle[None])
    assert_type(await send_email.submit(SendEmail(to="a")), JobHandle[None])
    assert_type(await generate.submit(Report(7)), JobHandle[dict[str, int]])
    assert_type(await resize.submit(width=7), JobHandle[int])
    assert_type(await draw.submit(Point(7)), JobHandle[str])
    assert_type(await count.submit({"tags": []}), JobHandle[int])
    assert_type(await add.submit([1, 2]), JobHandle[int])
    await anything.submit({"any": ["thing"]})
    await generate.submit(month=7)
    await send_email.options(delay_ms=1_000, priority=5).submit(to="a")
    await send_email.submit(too="a")  # wrong
    await send_email.submit(to=3)  # wrong
    await send_email.submit()  # wrong
    await send_email.submit(Report(7))  # wrong
    await send_email.submit("ada")  # wrong
    await generate.submit(SendEmail(to="a"))  # wrong
    await resize.submit(height=7)  # wrong
    await resize.submit(width="7")  # wrong
    await draw.submit(SendEmail(to="a"))  # wrong
    await count.submit({"tags": [1]})  # wrong
    await add.submit(["1"])  # wrong
    await send_email.options(delay=1)  # wrong
    send_email.options(priority="high")  # wrong


async def results() -> str:
    pages = await (await generate.submit(Report(7))).result(timeout=10)
    assert_type(pages, dict[str, int])
    width = await (await resize.submit(width=7)).result()
    text: str = width  # wrong
    return text


async def clients(client: OsqueueClient, plain: SyncOsqueueClient) -> int:
    assert_type(generate.new(Report(7)), CheckedJob[dict[str, int]])
    assert_type(await client.submit(generate.new(Report(7))), JobHandle[dict[str, int]])
    assert_type(plain.submit(resize.new(width=7)), SyncJobHandle[int])
    await client.submit(SendEmail(to="a"), delay_ms=5)
    await client.submit(Report(7))
    await client.submit(Resize(7))
    await client.submit(Point(7))
    await client.submit(NewJob("email:send", {"to": "a"}))
    await client.submit_jobs([send_email.new(to="a"), ("email:send", {"to": "a"}), Report(7)])
    plain.submit_jobs([generate.new(month=7), NewJob("report:generate")])
    jobs.use(client)
    await client.submit(SendEmail(too="a"))  # wrong
    await client.submit({"to": "a"})  # wrong
    await client.submit("email:send", {"to": "a"})  # wrong
    plain.submit("email:send")  # wrong
    plain.submit(SendEmail(to="a"), delay=5)  # wrong
    await client.submit_jobs([7])  # wrong
    generate.new(SendEmail(to="a"))  # wrong
    jobs.use(plain)  # wrong
    number: int = plain.submit(generate.new(Report(7))).result()  # wrong
    return number


def definitions() -> None:
    @jobs.job("a", SendEmail)  # wrong
    async def takes_another(report: Report) -> None: ...

    @jobs.job("b", SendEmail)  # wrong
    async def takes_three(email: SendEmail, ctx: JobContext, more: int) -> None: ...

    @jobs.job("c")  # wrong
    async def takes_nothing() -> None: ...

    @jobs.job("d")  # wrong
    async def takes_no_context(email: SendEmail, ctx: int) -> None: ...

    @jobs.job("e", max_attempts="5")  # wrong
    async def badly_set(email: SendEmail) -> None: ...

    @jobs.job("f", retries=5)  # wrong
    async def of_another_queue(email: SendEmail) -> None: ...

    @jobs.job("g", executor="thred")  # wrong
    async def misspelt(email: SendEmail) -> None: ...

    @jobs.job("h", retry=5)  # wrong
    async def no_backoff(email: SendEmail) -> None: ...


@jobs.middleware
async def timed(ctx: JobContext, call_next: CallNext) -> Any:
    ctx.log.info("begins")
    return await call_next()


@jobs.on_job_completed
def completed(job: Job) -> None: ...


@jobs.on_job_failed
async def failed(job: Job, error: BaseException) -> None: ...


def around() -> None:
    @jobs.middleware  # wrong
    async def takes_no_next(ctx: JobContext) -> None: ...

    @jobs.on_job_failed  # wrong
    def takes_no_error(job: Job) -> None: ...
