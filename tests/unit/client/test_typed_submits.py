"""Clients that know job types: what is checked before it leaves, and the handles of jobs."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, NamedTuple

import pytest
from msgspec import Raw
from pydantic import BaseModel, field_validator
from tests.unit.client.conftest import ScriptedTransport

from osqueue.client import JobHandle, NewJob, OsqueueClient, RetryPolicy, Runtime, SyncOsqueueClient
from osqueue.config import ClientSettings
from osqueue.errors import (
    ConfigError,
    JobFailedError,
    PayloadValidationError,
    ResultTimeoutError,
    TransportConnectionError,
)
from osqueue.jobs import Backoff, Jobs, JobType, Registry
from osqueue.wire import messages, operations

pytestmark = pytest.mark.asyncio


class SendEmail(BaseModel):
    to: str
    subject: str = "hello"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Pages:
    count: int


class Watched(BaseModel):
    """Knows which threads have looked at it."""

    seen: ClassVar[list[threading.Thread]] = []
    to: str

    @field_validator("to")
    @classmethod
    def look(cls, to: str) -> str:
        cls.seen.append(threading.current_thread())
        return to


EMAIL = b'{"to":"a","subject":"hello"}'
TYPES = {
    "email:send": JobType(SendEmail, max_attempts=5, timeout=30, retry=Backoff(base=5)),
    "point:draw": Point,
}


@pytest.fixture
async def typed(transport: ScriptedTransport, runtime: Runtime) -> AsyncIterator[OsqueueClient]:
    async with OsqueueClient(transport=transport, registry=TYPES, runtime=runtime) as client:
        yield client


def accepts(transport: ScriptedTransport) -> None:
    transport.answers(messages.SubmitAnswer(job_id="j"))


def sent(transport: ScriptedTransport) -> messages.SubmitRequest:
    request: messages.SubmitRequest = transport.calls[-1].request
    return request


def payload(request: messages.SubmitRequest) -> bytes:
    assert isinstance(request.payload, Raw)
    return bytes(request.payload)


def shown(status: str, **more: Any) -> messages.JobInfo:
    return messages.JobInfo(id="j", status=status, created_at=1, **more)


async def test_submit_when_the_class_is_known_then_its_type_and_options_travel(
    typed: OsqueueClient, transport: ScriptedTransport
) -> None:
    accepts(transport)
    handle = await typed.submit(SendEmail(to="a"), priority=3, timeout_ms=5)
    assert (handle.job_id, str(handle), repr(handle)) == ("j", "j", "<job j>")
    request = sent(transport)
    assert (request.type, payload(request)) == ("email:send", EMAIL)
    assert (request.max_attempts, request.timeout_ms, request.priority) == (5, 5, 3)
    assert request.retry == RetryPolicy(base_ms=5_000)


async def test_submit_when_it_is_to_run_after_a_handle_then_its_id_travels(
    typed: OsqueueClient, transport: ScriptedTransport
) -> None:
    accepts(transport)
    accepts(transport)
    first = await typed.submit(SendEmail(to="a"))
    await typed.submit(SendEmail(to="b"), after=[first, "other"])
    assert sent(transport).after == ["j", "other"]


async def test_submit_jobs_when_one_is_to_run_after_another_of_them_then_by_its_id(
    typed: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.SubmitBatchAnswer(job_ids=["x", "y"]))
    first = NewJob("email:send", {"to": "a"})
    await typed.submit_jobs([first, NewJob("point:draw", Point(1, 2), after=[first])])
    one, other = transport.calls[-1].request.jobs
    assert (one.after, other.after) == ([], [one.job_id])


@pytest.mark.parametrize(
    "wrong",
    [
        SendEmail.model_construct(to=3),
        NewJob("email:send", {"to": 3}),
        Point("x", 1),  # type: ignore[arg-type]
    ],
)
async def test_submit_when_the_payload_does_not_fit_then_nothing_leaves(
    typed: OsqueueClient, transport: ScriptedTransport, wrong: Any
) -> None:
    with pytest.raises(PayloadValidationError):
        await typed.submit(wrong)
    assert transport.calls == []


@pytest.mark.parametrize("wrong", [Pages(1), {"to": "a"}, "email:send", None, ("email:send",)])
async def test_submit_when_no_type_has_such_payloads_then_config_error_and_nothing_leaves(
    typed: OsqueueClient, transport: ScriptedTransport, wrong: Any
) -> None:
    with pytest.raises(ConfigError):
        await typed.submit(wrong)
    assert transport.calls == []


async def test_submit_when_the_client_has_no_registry_then_config_error_says_how(
    client: OsqueueClient,
) -> None:
    with pytest.raises(ConfigError, match=r"has no registry .* or say it: submit_job"):
        await client.submit(SendEmail(to="a"))


async def test_submit_when_the_job_was_made_before_then_it_needs_no_registry(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    accepts(transport)
    job = Registry(TYPES).new(SendEmail(to="a"), priority=1)
    await client.submit(job, priority=2, max_attempts=1)
    request = sent(transport)
    assert (payload(request), request.priority, request.max_attempts) == (EMAIL, 2, 1)


async def test_submit_job_when_the_type_is_known_then_the_payload_is_checked(
    typed: OsqueueClient, transport: ScriptedTransport
) -> None:
    accepts(transport)
    await typed.submit_job("email:send", {"to": "a"})
    assert (payload(sent(transport)), sent(transport).max_attempts) == (EMAIL, 5)
    with pytest.raises(PayloadValidationError, match="the payload of 'email:send' does not fit"):
        await typed.submit_job("email:send", {"too": "a"})
    with pytest.raises(PayloadValidationError):
        await typed.submit_job("email:send")
    assert len(transport.calls) == 1


async def test_submit_job_when_the_type_is_not_known_then_any_json_will_do(
    typed: OsqueueClient, transport: ScriptedTransport
) -> None:
    accepts(transport)
    await typed.submit_job("other", {"any": ["thing"]})
    assert payload(sent(transport)) == b'{"any":["thing"]}'


async def test_submit_jobs_when_of_every_form_then_all_are_checked(
    typed: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.SubmitBatchAnswer(job_ids=["a", "b", "c", "d"]))
    await typed.submit_jobs(
        [("email:send", {"to": "a"}), NewJob("email:send", {"to": "a"}), Point(1, 2), ("x", 7)]
    )
    requests = transport.calls[-1].request.jobs
    assert [each.type for each in requests] == ["email:send", "email:send", "point:draw", "x"]
    assert [payload(each) for each in requests] == [EMAIL, EMAIL, b"[1,2]", b"7"]
    assert [each.max_attempts for each in requests] == [5, 5, None, None]


async def test_submit_jobs_when_one_does_not_fit_then_none_leaves(
    typed: OsqueueClient, transport: ScriptedTransport
) -> None:
    with pytest.raises(PayloadValidationError):
        await typed.submit_jobs([Point(1, 2), ("email:send", {"to": 3})])
    assert transport.calls == []


async def test_submit_when_a_typed_job_uses_the_client_then_its_handle_is_typed(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    jobs = Jobs()

    @jobs.job("report", keep_result=True)
    async def count(point: Point) -> Pages:
        return Pages(point.x)

    jobs.use(client)
    transport.answers(
        messages.SubmitAnswer(job_id="j"), shown("completed", result=Raw(b'{"count": 7}'))
    )
    handle = await count.submit(Point(7, 0))
    assert sent(transport).keep_result
    assert await handle.result(timeout=5) == Pages(7)


async def handle_of(
    client: OsqueueClient, transport: ScriptedTransport, *answers: Any
) -> JobHandle[Any]:
    transport.answers(messages.SubmitAnswer(job_id="j"), *answers)
    return await client.submit(NewJob("any"))


async def test_result_when_the_job_is_dead_then_the_error_is_the_handlers(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    error = messages.JobError(type="ValueError", message="no paper", traceback="Traceback …")
    handle = await handle_of(client, transport, shown("dead", last_error=error))
    with pytest.raises(JobFailedError, match="job j is dead: ValueError: no paper") as failure:
        await handle.result()
    assert failure.value.traceback == "Traceback …"


async def test_result_when_it_is_of_another_type_then_the_error_says_so(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    jobs = Jobs()

    @jobs.job("report")
    async def count(point: Point) -> Pages:
        return Pages(point.x)

    transport.answers(
        messages.SubmitAnswer(job_id="j"), shown("completed", result=Raw(b'{"count": "many"}'))
    )
    handle = await client.submit(count.new(Point(1, 2)))
    with pytest.raises(PayloadValidationError, match="the result of 'report' does not fit Pages"):
        await handle.result()


async def test_result_when_it_was_not_to_be_kept_then_config_error_rather_than_none(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    jobs = Jobs()

    @jobs.job("report")
    async def count(point: Point) -> Pages:
        return Pages(point.x)

    transport.answers(messages.SubmitAnswer(job_id="j"), shown("completed"))
    handle = await client.submit(count.new(Point(1, 2)))
    with pytest.raises(ConfigError, match="result was not asked for: say keep_result=True"):
        await handle.result()


async def test_result_when_the_handler_brings_none_then_none(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    jobs = Jobs()

    @jobs.job("draw")
    async def draw(_point: Point) -> None: ...

    transport.answers(messages.SubmitAnswer(job_id="j"), shown("completed"))
    assert await (await client.submit(draw.new(Point(1, 2)))).result() is None  # type: ignore[func-returns-value]


async def test_result_when_nothing_is_known_of_it_and_none_was_kept_then_none(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    handle = await handle_of(client, transport, shown("completed"))
    assert await handle.result() is None


async def test_result_when_nothing_is_said_of_its_type_then_it_is_plain_json(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    handle = await handle_of(client, transport, shown("completed", result=Raw(b"[1]")))
    assert await handle.result() == [1]


async def test_wait_when_the_job_has_failed_then_it_is_shown_and_nothing_raised(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    handle = await handle_of(client, transport, shown("cancelled"))
    assert (await handle.wait()).status == "cancelled"
    assert (await client.wait("j")).status == "cancelled"


async def test_wait_when_the_time_is_over_then_result_timeout_error(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    handle = await handle_of(client, transport, shown("in_progress"))
    with pytest.raises(ResultTimeoutError, match="has not ended within 0 s; it is in_progress"):
        await handle.wait(timeout=0)


async def test_handle_when_asked_and_cancelled_then_it_is_of_its_job(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    handle = await handle_of(client, transport, shown("unclaimed"))
    assert (await handle.info()).job_id == "j"
    await handle.cancel()
    assert (transport.calls[-1].operation, transport.calls[-1].job_id) == (operations.CANCEL, "j")


async def test_registry_when_it_makes_no_sense_then_config_error() -> None:
    wrong: Any = ["email:send"]
    with pytest.raises(ConfigError, match="a registry is a Registry, a Jobs or a mapping"):
        OsqueueClient("http://127.0.0.1:1", registry=wrong)
    with pytest.raises(ConfigError, match="a registry is a Registry, a Jobs or a mapping"):
        SyncOsqueueClient("http://127.0.0.1:1", registry=wrong)


@pytest.mark.parametrize(
    "submit",
    [
        lambda client: client.submit(Watched(to="a")),
        lambda client: client.submit_job("watched", {"to": "a"}),
        lambda client: client.submit_jobs([("watched", {"to": "a"})]),
    ],
)
async def test_plain_client_when_it_checks_a_payload_then_in_the_callers_thread(
    submit: Callable[[SyncOsqueueClient], object],
) -> None:
    Watched.seen.clear()
    with SyncOsqueueClient("http://127.0.0.1:1", registry={"watched": Watched}) as client:
        hasty = client.with_settings(ClientSettings(retry_for_ms=0))
        with pytest.raises(TransportConnectionError):
            submit(hasty)
    assert set(Watched.seen) == {threading.current_thread()}
