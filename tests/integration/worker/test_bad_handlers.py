"""Handlers that do what they should not. Each of their jobs ends in a defined state, with the
reason; the worker runs the next one as if nothing had been.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
from tests.integration.rest import eventually
from tests.integration.worker.conftest import BRISK, ended

from osqueue import Discard, Retry
from osqueue.client import Job, JobInfo, OsqueueClient
from osqueue.config import TIME_MS_MAX
from osqueue.jobs import HandlerSpec, Jobs, Schema
from osqueue.worker import JobContext, Worker


async def _fine(_: Any) -> None:
    pass


async def _run(client: OsqueueClient, handler: Any, **options: Any) -> JobInfo:
    """What becomes of a job of this handler; the worker lives on."""
    job_id = await client.submit_job("bad", {"name": "ada"}, **{"max_attempts": 2, **options})
    async with Worker(client, {"bad": handler, "fine": _fine}, settings=BRISK):
        info = await ended(client, job_id)
        fine = await client.submit_job("fine")
        assert (await ended(client, fine)).status == "completed"
    return info


class Mute(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Deadly(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise SystemExit("nor that")


class Odd(BaseException):
    """No `Exception`."""


class Sticky(Exception):  # noqa: N818
    """Cannot be pickled, copied or made again."""

    def __init__(self, lock: Any) -> None:
        super().__init__(lock)

    def __reduce__(self) -> NoReturn:
        raise TypeError("no")


def _raise(error: BaseException) -> NoReturn:
    raise error


def _deep(number: int) -> int:
    return _deep(number + 1) + 1


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "plain": (lambda: _raise(ValueError("no such address")), "ValueError"),
    "without a message": (lambda: _raise(ValueError()), "ValueError"),
    "mute": (lambda: _raise(Mute()), "Mute"),
    "deadly": (lambda: _raise(Deadly()), "Deadly"),
    "odd": (lambda: _raise(Odd()), "Odd"),
    "sticky": (lambda: _raise(Sticky(threading.Lock())), "Sticky"),
    "exit": (lambda: sys.exit(3), "SystemExit"),
    "cancelled by itself": (lambda: _raise(asyncio.CancelledError()), "CancelledError"),
    "group": (lambda: _raise(ExceptionGroup("two", [ValueError(), OSError()])), "ExceptionGroup"),
    "surrogates": (lambda: _raise(ValueError("\ud800")), "ValueError"),
    "long": (lambda: _raise(ValueError("x" * 10**6)), "ValueError"),
    "recursion": (lambda: _deep(0), "RecursionError"),
    "generator's end": (lambda: next(iter(())), "RuntimeError"),
}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_job_whose_handler_raises_then_is_tried_again_and_dead_with_the_reason(
    client: OsqueueClient, kind: str, in_thread: bool
) -> None:
    act, name = ERRORS[kind]

    async def on_loop(_: Any) -> None:
        act()

    info = await _run(client, (lambda _: act()) if in_thread else on_loop)

    assert (info.status, info.attempts, len(info.errors)) == ("dead", 2, 2)
    assert info.last_error is not None
    assert info.last_error.type.rpartition(".")[2] == name


async def test_job_whose_handler_is_interrupted_in_a_thread_then_fails_like_any(
    client: OsqueueClient,
) -> None:
    info = await _run(client, lambda _: _raise(KeyboardInterrupt()))

    assert info.status == "dead"
    assert info.last_error is not None
    assert info.last_error.type == "KeyboardInterrupt"


# Handlers whose time is up


async def test_job_whose_handler_hangs_then_is_dead_and_says_where_it_was(
    client: OsqueueClient,
) -> None:
    async def waits_for_ever(_: Any) -> None:
        await asyncio.get_running_loop().create_future()

    info = await _run(client, waits_for_ever, timeout_ms=10)

    assert (info.status, info.attempts) == ("dead", 2)
    assert info.last_error is not None
    assert info.last_error.type == "TimeoutError"
    assert info.last_error.message == "the handler did not end within 0.01 s"
    assert "in waits_for_ever" in (info.last_error.traceback or "")


async def test_job_that_brings_no_time_out_then_has_that_of_its_type(
    client: OsqueueClient,
) -> None:
    deadlines: list[object] = []

    async def hang(_: Any, ctx: JobContext) -> None:
        deadlines.append(ctx.deadline)
        await asyncio.get_running_loop().create_future()

    info = await _run(client, HandlerSpec(function=hang, timeout_s=0.01), max_attempts=1)

    assert info.status == "dead"
    assert deadlines[0] is not None


@pytest.mark.parametrize("then", ["returns", "raises"])
async def test_job_whose_handler_answers_its_cancellation_otherwise_then_has_failed_all_the_same(
    client: OsqueueClient, then: str
) -> None:
    async def hide(_: Any) -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if then == "raises":
                raise ValueError("while cleaning up") from None
        return "done"

    info = await _run(client, HandlerSpec(function=hide, timeout_s=0.01), max_attempts=1)

    assert info.status == "dead"
    assert info.last_error is not None
    assert info.last_error.type == "TimeoutError"
    assert ("while cleaning up" in (info.last_error.traceback or "")) is (then == "raises")


async def test_job_whose_handler_ignores_cancellation_then_is_reported_and_its_slot_kept(
    client: OsqueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    release, runs = asyncio.Event(), []

    async def stubborn(_: Any) -> None:
        runs.append(1)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    spec = HandlerSpec(function=stubborn, timeout_s=0.01)
    job_id = await client.submit_job("bad", max_attempts=1)
    async with Worker(client, {"bad": spec, "fine": _fine}, settings=BRISK) as worker:
        info = await ended(client, job_id)
        fine = await client.submit_job("fine")
        assert worker.running == 1
        assert (await client.get_job(fine)).status == "unclaimed"
        release.set()
        assert (await ended(client, fine)).status == "completed"

    assert (info.status, len(runs)) == ("dead", 1)
    told = [each for each in caplog.messages if "its slot stays taken" in each]
    assert len(told) == 1


async def test_job_whose_thread_hangs_then_fails_at_once_and_its_slot_is_kept(
    client: OsqueueClient,
) -> None:
    end, told = threading.Event(), threading.Event()

    def hang(_: Any, ctx: JobContext) -> None:
        if ctx.cancelled.wait(20):
            told.set()
        end.wait(20)

    spec = HandlerSpec(function=hang, timeout_s=0.01)
    job_id = await client.submit_job("bad", max_attempts=1)
    async with Worker(client, {"bad": spec, "fine": _fine}, settings=BRISK) as worker:
        info = await ended(client, job_id)
        fine = await client.submit_job("fine")
        await eventually(told.is_set)
        assert worker.running == 1
        assert (await client.get_job(fine)).status == "unclaimed"
        end.set()
        assert (await ended(client, fine)).status == "completed"

    assert info.status == "dead"
    assert info.last_error is not None
    assert info.last_error.type == "TimeoutError"


# What handlers say of their jobs


async def test_job_whose_handler_raises_retry_then_runs_again_after_that_time(
    client: OsqueueClient,
) -> None:
    runs: list[JobContext] = []

    async def later(_: Any, ctx: JobContext) -> str:
        runs.append(ctx)
        if len(runs) == 1:
            raise Retry(after=3_600, reason="the address is being moved")
        return "done"

    job_id = await client.submit_job("bad", max_attempts=3)
    async with Worker(client, {"bad": later}, settings=BRISK):
        while not (info := await client.get_job(job_id)).errors:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)

    assert info.run_at is not None
    assert info.created_at is not None
    assert info.run_at - info.created_at >= 3_600_000
    assert info.errors[0].message == "the address is being moved"
    assert len(runs) == 1


@pytest.mark.parametrize("after", [None, 0, -5, 0.0])
async def test_job_whose_handler_raises_retry_at_once_then_runs_again(
    client: OsqueueClient, after: float | None
) -> None:
    info = await _run(client, lambda _: _raise(Retry(after=after)))

    assert (info.status, info.attempts) == ("dead", 2)


@pytest.mark.parametrize("after", [float("nan"), "soon", object()], ids=["nan", "soon", "object"])
async def test_job_whose_handler_raises_a_retry_of_no_sense_then_runs_again_by_its_policy(
    client: OsqueueClient, after: Any
) -> None:
    info = await _run(client, lambda _: _raise(Retry(after=after)))

    assert (info.status, info.attempts) == ("dead", 2)


class Careless(Retry):
    def __init__(self) -> None:
        """Says nothing of when."""


async def test_job_whose_handler_raises_a_retry_of_its_own_then_runs_again_by_its_policy(
    client: OsqueueClient,
) -> None:
    info = await _run(client, lambda _: _raise(Careless()))

    assert (info.status, info.attempts) == ("dead", 2)


async def test_job_at_which_the_worker_itself_is_at_fault_then_is_dead_after_its_attempts(
    client: OsqueueClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given back instead, it would come again at once, for ever."""

    def faulty(_: BaseException) -> NoReturn:
        raise ZeroDivisionError("a fault of our own")

    monkeypatch.setattr("osqueue.worker.execution.failure_of", faulty)
    info = await _run(client, lambda _: _raise(ValueError("of the handler")))

    assert (info.status, info.attempts) == ("dead", 2)
    assert info.last_error is not None
    assert info.last_error.message == "a fault of our own"


async def test_job_whose_handler_raises_retry_after_an_age_then_waits_as_long_as_can_be_said(
    client: OsqueueClient,
) -> None:
    job_id = await client.submit_job("bad", max_attempts=2)
    async with Worker(client, {"bad": lambda _: _raise(Retry(after=10**400))}, settings=BRISK):
        while not (info := await client.get_job(job_id)).errors:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)

    assert info.status == "unclaimed"
    assert (info.run_at or 0) > TIME_MS_MAX // 2


async def test_job_whose_handler_raises_discard_then_is_dead_at_once(
    client: OsqueueClient,
) -> None:
    info = await _run(client, lambda _: _raise(Discard("the customer is gone")))

    assert (info.status, info.attempts) == ("dead", 1)
    assert info.last_error is not None
    assert info.last_error.message == "the customer is gone"


# Results


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (object(), "cannot be kept as JSON"),
        (float("nan"), "cannot be kept as JSON"),
        ({"a": {1, object}}, "cannot be kept as JSON"),
        ("x" * 70_000, "at most 65536 are kept"),
    ],
    ids=["object", "nan", "inside", "large"],
)
async def test_job_whose_result_cannot_be_kept_then_is_dead_at_once_and_only_if_it_was_asked_for(
    client: OsqueueClient, result: Any, reason: str
) -> None:
    asked = await _run(client, lambda _: result, keep_result=True)
    unasked = await _run(client, lambda _: result)

    assert (asked.status, asked.attempts) == ("dead", 1)
    assert asked.last_error is not None
    assert reason in asked.last_error.message
    assert unasked.status == "completed"


class Report(msgspec.Struct, rename="camel"):
    page_count: int


async def test_job_whose_result_is_not_what_its_annotation_says_then_is_dead_at_once(
    client: OsqueueClient,
) -> None:
    spec = HandlerSpec(function=lambda _: "five", result=Schema.of(Report, part="result"))

    info = await _run(client, spec, keep_result=True)

    assert (info.status, info.attempts) == ("dead", 1)


async def test_result_when_it_is_asked_for_then_is_encoded_as_its_annotation_says(
    client: OsqueueClient,
) -> None:
    spec = HandlerSpec(function=lambda _: Report(5), result=Schema.of(Report, part="result"))
    job_id = await client.submit_job("bad", keep_result=True)
    async with Worker(client, {"bad": spec}, settings=BRISK):
        assert (await ended(client, job_id)).result == {"pageCount": 5}


# Payloads and handlers that are not there


class Mail(msgspec.Struct):
    to: str
    tries: int


async def test_job_with_a_payload_of_an_older_schema_then_is_dead_at_once_and_names_the_field(
    client: OsqueueClient,
) -> None:
    jobs, sent = Jobs(), []

    @jobs.job("mail")
    async def send(mail: Mail) -> None:
        sent.append(mail)

    old = await client.submit_job("mail", {"to": "ada"})
    new = await client.submit_job("mail", {"to": "ada", "tries": 1, "unknown": 5})
    async with Worker(client, jobs, settings=BRISK):
        info = await ended(client, old)
        assert (await ended(client, new)).status == "completed"

    assert (info.status, info.attempts) == ("dead", 1)
    assert info.last_error is not None
    assert info.last_error.type.endswith("PayloadValidationError")
    assert "tries" in info.last_error.message
    assert sent == [Mail("ada", 1)]


@pytest.mark.parametrize(
    "source", [None, "", "1 / 0", "raise SystemExit", "def send(a, b, c): ..."]
)
async def test_job_whose_handler_cannot_be_imported_then_is_dead_at_once_with_the_reason(
    client: OsqueueClient, source: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if source is not None:
        (tmp_path / "broken.py").write_text(source)

    info = await _run(client, "broken:send")
    sys.modules.pop("broken", None)

    assert (info.status, info.attempts) == ("dead", 1)
    assert info.last_error is not None
    assert "'bad'" in info.last_error.message


async def test_job_of_a_handler_that_is_named_then_runs_it(
    client: OsqueueClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "named.py").write_text("async def send(mail, ctx): return [mail, ctx.attempt]")
    job_id = await client.submit_job("mail", "ada", keep_result=True)

    async with Worker(client, {"mail": "named:send"}, settings=BRISK):
        assert (await ended(client, job_id)).result == ["ada", 1]
    sys.modules.pop("named", None)


# Jobs that are taken away


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_job_that_is_cancelled_while_it_runs_then_its_handler_is_told_and_nothing_reported(
    client: OsqueueClient, in_thread: bool
) -> None:
    begun, told = asyncio.Event(), threading.Event()
    reported: list[Job] = []
    loop = asyncio.get_running_loop()

    def plain(_: Any, ctx: JobContext) -> None:
        loop.call_soon_threadsafe(begun.set)
        if ctx.cancelled.wait(20):
            told.set()

    async def on_loop(_: Any, ctx: JobContext) -> None:
        begun.set()
        try:
            await loop.create_future()
        finally:
            if ctx.cancelled.is_set():
                told.set()

    job_id = await client.submit_job("bad")
    async with Worker(
        client,
        {"bad": plain if in_thread else on_loop, "fine": _fine},
        settings=BRISK,
        on_job_completed=reported.append,
        on_job_failed=lambda job, _: reported.append(job),
    ):
        await begun.wait()
        await client.cancel_job(job_id)
        await eventually(told.is_set)
        fine = await client.submit_job("fine")
        await ended(client, fine)

    assert (await client.get_job(job_id)).status == "cancelled"
    assert [job.job_id for job in reported] == [fine]


async def test_progress_when_a_handler_tells_it_then_is_seen_until_the_job_ends(
    client: OsqueueClient,
) -> None:
    finish = asyncio.Event()

    async def work(_: Any, ctx: JobContext) -> None:
        ctx.progress(1, 3, "first")
        ctx.progress(2, 3, "ä" * 1_000)
        with pytest.raises(ValueError, match="nan"):
            ctx.progress(float("nan"))
        await finish.wait()

    job_id = await client.submit_job("bad")
    async with Worker(client, {"bad": work}, settings=BRISK):
        while (progress := (await client.get_job(job_id)).progress) is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        finish.set()
        info = await ended(client, job_id)

    assert (progress.done, progress.total, progress.note) == (2, 3, "ä" * 200)
    assert (info.status, info.progress) == ("completed", None)
