"""One trace from the submit through the commit to the handler, by OpenTelemetry's own SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.integration.rest import Rest

from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient
from osqueue.client.models import NewJob
from osqueue.config import COMMIT_SPANS_MAX
from osqueue.worker import JobContext, Worker

ORIGIN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


class Spans:
    """What was exported so far."""

    def __init__(self, exporter: InMemorySpanExporter, tracer: trace.Tracer) -> None:
        self._exporter = exporter
        self.tracer = tracer

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return Spans(exporter, provider.get_tracer("test"))


@pytest.fixture
async def client(broker: BrokerServer) -> Any:
    async with OsqueueClient(broker.url, transport="rest") as client:
        yield client


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert parent.context is not None
    return span.parent is not None and span.parent.span_id == parent.context.span_id


async def work(client: OsqueueClient, handler: Callable[..., Any], number: int) -> None:
    """Run a worker until so many jobs have ended."""
    ended = asyncio.Semaphore(0)

    def over(*_: object) -> None:
        ended.release()

    async with Worker(client, {"mail": handler}, 1, on_job_completed=over, on_job_failed=over):
        async with asyncio.timeout(20):
            for _ in range(number):
                await ended.acquire()


async def test_job_when_it_is_traced_then_submit_commit_and_handler_are_one_trace(
    spans: Spans, client: OsqueueClient
) -> None:
    seen: list[JobContext] = []

    async def send(_payload: object, job: JobContext) -> None:
        with spans.tracer.start_as_current_span("inside"):
            seen.append(job)

    with spans.tracer.start_as_current_span("request"):
        job_id = await client.submit_job("mail", {"to": "ada"})
    await work(client, send, 1)
    request, submit = spans.one("request"), spans.one("submit mail")
    commit, process = spans.one("commit"), spans.one("process mail")
    inside = spans.one("inside")
    assert len({trace_of(span) for span in (request, submit, commit, process, inside)}) == 1
    assert is_child(submit, request)
    assert is_child(commit, submit)
    assert is_child(process, submit)
    assert is_child(inside, process)
    assert (submit.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert process.attributes is not None
    assert process.attributes["messaging.message.id"] == job_id
    assert process.attributes["messaging.destination.name"] == "mail"
    assert process.attributes["osqueue.attempt"] == 1
    assert commit.attributes is not None
    assert commit.attributes["osqueue.commit.operations"] == 1
    assert (commit.end_time or 0) >= (commit.start_time or 0) > 0
    assert seen[0].job.traceparent is not None
    assert seen[0].job.traceparent.split("-")[1] == f"{trace_of(submit):032x}"


async def test_handler_when_it_is_a_plain_function_then_its_thread_is_in_the_trace_too(
    spans: Spans, client: OsqueueClient
) -> None:
    def send(_payload: object) -> None:
        with spans.tracer.start_as_current_span("inside"):
            pass

    await client.submit_job("mail")
    await work(client, send, 1)
    assert is_child(spans.one("inside"), spans.one("process mail"))


async def test_handler_when_it_fails_then_its_span_says_so(
    spans: Spans, client: OsqueueClient
) -> None:
    async def send(_payload: object) -> None:
        raise ValueError("no such address")

    await client.submit_job("mail", max_attempts=1)
    await work(client, send, 1)
    process = spans.one("process mail")
    assert process.status.status_code is StatusCode.ERROR
    assert [event.name for event in process.events] == ["exception"]


async def test_batch_when_it_is_traced_then_its_jobs_come_from_one_span(
    spans: Spans, client: OsqueueClient
) -> None:
    own = NewJob("mail", traceparent=ORIGIN)
    await client.submit_jobs([("mail", 1), ("mail", 2), own])
    submit = spans.one("submit mail")
    assert submit.attributes is not None
    assert submit.attributes["messaging.batch.message_count"] == 3
    jobs = await client.claim_jobs("w", max_jobs=3)
    origins = [job.traceparent for job in jobs]
    assert origins[0] == origins[1] != ORIGIN
    assert origins[2] == ORIGIN
    assert len(spans.named("commit")) == 2


async def test_large_job_when_it_is_traced_then_it_says_where_it_comes_from(
    spans: Spans, client: OsqueueClient
) -> None:
    await client.submit_job("mail", "x" * 2_000_000)
    (job,) = await client.claim_jobs("w", max_jobs=1)
    assert job.traceparent is not None
    assert job.traceparent.split("-")[1] == f"{trace_of(spans.one('submit mail')):032x}"


async def test_commit_when_a_trace_is_not_sampled_or_no_trace_then_it_has_no_span(
    spans: Spans, rest: Rest
) -> None:
    for origin in (UNSAMPLED, "00-zz", "", "x" * 256):
        await rest.submit(traceparent=origin)
    assert spans.named("commit") == []
    assert len(await rest.claim(max=4)) == 4


async def test_commit_when_it_holds_many_traces_then_only_so_many_have_a_span(
    spans: Spans, rest: Rest
) -> None:
    jobs = [
        {"traceparent": f"00-{number:032x}-00f067aa0ba902b7-01"}
        for number in range(1, COMMIT_SPANS_MAX + 10)
    ]
    await rest.post("/v1/jobs/batch", {"jobs": jobs})
    assert len(spans.named("commit")) == COMMIT_SPANS_MAX


async def test_handler_when_the_job_comes_from_nowhere_then_it_begins_a_trace(
    spans: Spans, client: OsqueueClient, rest: Rest
) -> None:
    await rest.submit(type="mail", traceparent="nonsense")

    async def send(_payload: object) -> None:
        pass

    await work(client, send, 1)
    assert spans.one("process mail").parent is None


ABSENT = """
import asyncio, sys
from osqueue import BrokerServer, OsqueueClient, Worker

async def main():
    done = asyncio.Event()
    async with BrokerServer("memory://", host="127.0.0.1", port=0) as broker:
        async with OsqueueClient(broker.url, transport="rest") as client:
            await client.submit_job("mail", 1)
            async def send(payload): done.set()
            async with Worker(client, {"mail": send}, 1):
                await asyncio.wait_for(done.wait(), 20)

asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_tracing_when_the_program_does_not_trace_then_opentelemetry_is_not_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout == "[]\n"
