"""Typed jobs from end to end: a real broker, producers that import no handlers, workers that do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from osqueue import (
    BrokerServer,
    JobFailedError,
    Jobs,
    JobType,
    OsqueueClient,
    Registry,
    ResultTimeoutError,
    SyncOsqueueClient,
    Worker,
)
from osqueue.errors import PayloadValidationError

HANDLERS = """
from reports_of_the_test import Pages, Report

def make(report: Report) -> Pages:
    return Pages(report.month * 10)
"""
REPORTS = """
from dataclasses import dataclass

@dataclass
class Report:
    month: int

@dataclass
class Pages:
    count: int
"""


class Email(BaseModel):
    to: str


@dataclass
class Sent:
    to: str
    attempt: int


@pytest.fixture
async def broker() -> AsyncIterator[BrokerServer]:
    async with BrokerServer("memory://", host="127.0.0.1", port=0) as broker:
        yield broker


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's modules: payloads, and the handlers, which a producer never imports."""
    for name, text in (("reports_of_the_test", REPORTS), ("handlers_of_the_test", HANDLERS)):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)


def shared() -> Registry:
    return Registry(
        {
            "report:make": JobType(
                "reports_of_the_test:Report",
                handler="handlers_of_the_test:make",
                result="reports_of_the_test:Pages",
                keep_result=True,
            ),
            "report:broken": JobType(Email, handler="no_such_module_of_the_test:make"),
        }
    )


@pytest.mark.usefixtures("modules")
async def test_registry_when_shared_then_only_the_worker_imports_the_handler(
    broker: BrokerServer,
) -> None:
    async with OsqueueClient(broker.url, registry=shared()) as producer:
        await producer.submit_job("report:make", {"month": 6})
        from reports_of_the_test import (  # type: ignore[import-not-found]  # noqa: PLC0415
            Pages,
            Report,
        )

        handle = await producer.submit(Report(7))
        assert "handlers_of_the_test" not in sys.modules
        async with Worker(producer, Jobs(shared())):
            assert await handle.result(timeout=30) == Pages(70)
    assert "handlers_of_the_test" in sys.modules


async def test_handler_when_it_cannot_be_imported_then_the_job_is_dead_with_the_reason(
    broker: BrokerServer,
) -> None:
    async with OsqueueClient(broker.url, registry=shared()) as client:
        handle = await client.submit_job("report:broken", {"to": "a"})
        async with Worker(client, Jobs(shared())):
            with pytest.raises(JobFailedError, match="no_such_module_of_the_test") as failure:
                await client.result(handle, timeout=30)
    assert failure.value.job_status == "dead"


@pytest.mark.parametrize("kind", ["connect", "rest", "ws"])
async def test_jobs_when_submitted_over_any_transport_then_their_results_are_typed(
    broker: BrokerServer, kind: str
) -> None:
    jobs = Jobs()

    @jobs.job("email:send", Email, keep_result=True)
    async def send(email: Email) -> Sent:
        return Sent(email.to, 1)

    async with OsqueueClient(broker.url, transport=kind, registry=jobs) as client:
        jobs.use(client)
        async with Worker(client, jobs, concurrency=3):
            handles = [await send.submit(to=to) for to in "abc"]
            assert [await each.result(timeout=30) for each in handles] == [
                Sent("a", 1),
                Sent("b", 1),
                Sent("c", 1),
            ]


async def test_payload_when_it_was_sent_unchecked_then_the_job_is_dead_with_the_field(
    broker: BrokerServer,
) -> None:
    jobs = Jobs()

    @jobs.job("email:send")
    async def send(_email: Email) -> None: ...

    async with OsqueueClient(broker.url) as client, Worker(client, jobs):
        job_id = await client.submit_job("email:send", {"too": "a"})
        info = await client.wait(job_id, timeout=30)
    assert (info.status, info.attempts) == ("dead", 1)
    assert info.last_error is not None
    assert info.last_error.type.endswith("PayloadValidationError")
    assert "to: is required" in info.last_error.message


async def test_plain_client_when_it_submits_typed_jobs_then_its_handles_wait(
    broker: BrokerServer,
) -> None:
    await asyncio.to_thread(submit_plainly, broker.url)


def submit_plainly(url: str) -> None:
    jobs = Jobs()

    @jobs.job("email:send", Email, keep_result=True)
    def send(email: Email) -> Sent:
        return Sent(email.to, 1)

    with SyncOsqueueClient(url) as client:
        handle = client.submit(send.new(to="a"), delay_ms=60_000)
        assert handle.info().type == "email:send"
        with pytest.raises(ResultTimeoutError):
            handle.wait(timeout=0)
        handle.cancel()
        with pytest.raises(JobFailedError, match="is cancelled"):
            handle.result(timeout=30)
        with pytest.raises(PayloadValidationError):
            client.submit(send.new({"to": 3}))  # type: ignore[call-overload]
