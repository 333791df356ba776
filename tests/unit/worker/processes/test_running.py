"""Handlers in real processes: what they take, and what becomes of what they say."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec
import pytest
from tests.unit.worker.processes import handlers
from tests.unit.worker.processes.driver import (
    CONTEXT,
    HERE,
    run,
    told,
)

from osqueue.config import (
    ERROR_TEXT_CHARS_MAX,
    MIB,
    PROGRESS_NOTE_CHARS_MAX,
    RESULT_BYTES_MAX,
    TIME_MS_MAX,
)
from osqueue.errors import Discard, Retry
from osqueue.jobs import Schema
from osqueue.wire.messages import Progress
from osqueue.worker.processes import (
    ProcessContext,
    ProcessPool,
    RemoteFailure,
    types_of,
)


@pytest.mark.parametrize("name", ["echo", "aecho"])
async def test_run_when_the_handler_returns_then_its_result(name: str, pool: ProcessPool) -> None:
    assert await run(pool, name, {"a": [1, "ü", None]}) == {"a": [1, "ü", None]}


EMAIL = {"to": "ada", "copies": 1}


async def test_run_when_the_handler_is_of_jobs_then_its_payload_and_result_are_typed(
    pool: ProcessPool,
) -> None:
    assert await run(pool, "send_email", {"to": "ada"}) == EMAIL


async def test_run_when_the_payload_does_not_fit_then_failed_for_good(pool: ProcessPool) -> None:
    with pytest.raises(RemoteFailure, match=r"PayloadValidationError: .*to") as caught:
        await run(pool, "send_email", {"copies": 2})
    assert not caught.value.retry


async def test_run_when_the_result_does_not_fit_then_failed_for_good(pool: ProcessPool) -> None:
    with pytest.raises(RemoteFailure, match=r"PayloadValidationError: the result of") as caught:
        await run(pool, "count_emails", {"to": "ada"})
    assert not caught.value.retry


async def test_run_when_the_worker_knows_the_type_then_that_holds(pool: ProcessPool) -> None:
    types = types_of(Schema.of(handlers.Email), None)
    context = msgspec.structs.replace(CONTEXT, types=types)
    assert await run(pool, "untyped", EMAIL, context=context) == "Email"
    assert await run(pool, "untyped", EMAIL) == "dict"


async def test_run_when_only_the_handler_says_what_it_takes_then_that_holds(
    pool: ProcessPool,
) -> None:
    assert await run(pool, "typed", {"to": "ada"}) == 'ada, attempt 2 of {"to": "ada"}'


async def test_run_when_no_result_is_wanted_then_none(pool: ProcessPool) -> None:
    context = ProcessContext(job_id="j", type="t", attempt=1, max_attempts=1, created_at=0)
    assert await run(pool, "unencodable", context=context) is None


async def test_run_when_the_handler_takes_a_context_then_it_knows_its_job(
    pool: ProcessPool,
) -> None:
    assert await run(pool, "know") == {
        "job_id": "job-1",
        "type": "t",
        "attempt": 2,
        "max_attempts": 3,
        "created_at": 5,
        "priority": 0,
        "deadline": None,
        "cancelled": False,
    }


async def test_run_when_there_is_a_deadline_then_the_handler_knows_it(pool: ProcessPool) -> None:
    context = ProcessContext(
        job_id="j", type="t", attempt=1, max_attempts=1, created_at=0,
        deadline_ms=1_000, keep_result=True,
    )  # fmt: skip
    assert (await run(pool, "know", context=context))["deadline"] == "1970-01-01T00:00:01Z"


async def test_run_when_repeated_then_in_the_same_process(one: ProcessPool) -> None:
    assert await run(one, "pid") == await run(one, "pid") != os.getpid()


async def test_run_when_several_then_side_by_side_up_to_the_size(
    pool: ProcessPool, tmp_path: Path
) -> None:
    waiting = [
        asyncio.create_task(run(pool, "wait_until_told", str(tmp_path / name))) for name in "abc"
    ]
    first, second = await told(tmp_path / "a"), await told(tmp_path / "b")
    assert first != second
    assert not (tmp_path / "c").exists()
    for task in waiting[:2]:
        task.cancel()
    await asyncio.wait(waiting[:2])
    assert await told(tmp_path / "c") in {first, second}
    waiting[2].cancel()
    await asyncio.wait(waiting)


async def test_run_when_the_payload_is_large_then_it_arrives(pool: ProcessPool) -> None:
    assert await run(pool, "echo", "x" * 60_000) == "x" * 60_000
    context = ProcessContext(job_id="j", type="t", attempt=1, max_attempts=1, created_at=0)
    assert await run(pool, "echo", "x" * 20 * MIB, context=context) is None


async def test_run_when_the_handler_raises_then_type_message_and_traceback(
    pool: ProcessPool,
) -> None:
    with pytest.raises(RemoteFailure) as caught:
        await run(pool, "fail", "mine")
    error = caught.value.error
    assert (error.type, error.message, caught.value.retry) == ("ValueError", "not mine", True)
    assert error.traceback is not None
    assert error.traceback.startswith("Traceback (most recent call last):\n  File ")
    assert error.traceback.splitlines()[1].endswith("in fail")


async def test_run_when_what_is_raised_cannot_be_shown_then_its_type(pool: ProcessPool) -> None:
    with pytest.raises(RemoteFailure) as caught:
        await run(pool, "fail_unprintably")
    assert caught.value.error.type == f"{HERE}.UnprintableError"
    assert await run(pool, "echo", 1) == 1


async def test_run_when_the_handler_wants_another_try_then_retry(pool: ProcessPool) -> None:
    with pytest.raises(Retry) as caught:
        await run(pool, "retry")
    assert (caught.value.after, caught.value.reason) == (2.5, "the other side is busy")


async def test_run_when_the_handler_says_odd_things_of_another_try_then_what_can_be_said(
    pool: ProcessPool,
) -> None:
    with pytest.raises(Retry) as caught:
        await run(pool, "retry_oddly")
    assert (caught.value.after, caught.value.reason) == (None, "(its message cannot be shown)")
    with pytest.raises(Retry) as caught:
        await run(pool, "retry_very_late")
    assert (caught.value.after, caught.value.reason) == (
        TIME_MS_MAX / 1_000,
        "lone \\udcff surrogate",
    )
    with pytest.raises(Discard) as discarded:
        await run(pool, "discard_at_length")
    assert len(discarded.value.reason) == ERROR_TEXT_CHARS_MAX


async def test_run_when_the_payloads_type_fails_of_itself_then_that_may_pass(
    pool: ProcessPool,
) -> None:
    with pytest.raises(RemoteFailure, match="the address book is closed") as caught:
        await run(pool, "take_odd", {"to": "ada"})
    assert caught.value.retry


async def test_run_when_the_handler_gives_up_then_discard(pool: ProcessPool) -> None:
    with pytest.raises(Discard, match="no such address"):
        await run(pool, "discard")


async def test_run_when_the_handler_calls_sys_exit_then_it_failed_and_its_process_goes_on(
    one: ProcessPool,
) -> None:
    before = await run(one, "pid")
    with pytest.raises(RemoteFailure, match="SystemExit: 3"):
        await run(one, "leave")
    assert await run(one, "pid") == before


@pytest.mark.parametrize(
    ("name", "payload", "message"),
    [
        ("unencodable", None, "the result cannot be kept as JSON: "),
        ("large", RESULT_BYTES_MAX, f"the result takes {RESULT_BYTES_MAX + 2} bytes, at most"),
    ],
)
async def test_run_when_the_result_cannot_be_kept_then_failed_for_good(
    name: str, payload: object, message: str, pool: ProcessPool
) -> None:
    with pytest.raises(RemoteFailure, match=message) as caught:
        await run(pool, name, payload)
    assert not caught.value.retry


async def test_run_when_the_payload_is_not_json_then_failed_for_good(pool: ProcessPool) -> None:
    with pytest.raises(RemoteFailure, match="the payload is not JSON") as caught:
        await pool.run(f"{HERE}:echo", b"{", CONTEXT)
    assert not caught.value.retry


async def test_run_when_progress_is_reported_then_told_the_newest_in_the_end(
    one: ProcessPool, tmp_path: Path
) -> None:
    seen: list[Progress] = []

    def see(progress: Progress) -> None:
        seen.append(progress)
        if progress.done == 2:
            (tmp_path / "go").touch()

    await run(one, "report_once", str(tmp_path / "go"), on_progress=see)
    assert seen[-1] == Progress(done=2, total=2, note="all")


async def test_run_when_progress_floods_then_few_reports_of_bounded_size(one: ProcessPool) -> None:
    seen: list[Progress] = []
    await run(one, "report_often", 100_000, on_progress=seen.append)
    assert 1 <= len(seen) < 1_000
    assert {len(each.note) for each in seen} == {PROGRESS_NOTE_CHARS_MAX}


async def test_run_when_progress_is_nonsense_then_the_handler_is_told(one: ProcessPool) -> None:
    with pytest.raises(RemoteFailure, match="ValueError: progress is counted from 0"):
        await run(one, "report_nonsense")


async def test_process_when_its_handler_prints_and_logs_then_both_are_seen(
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("<%(levelname)s %(message)s>"))
    root.handlers.insert(0, handler)
    level = root.level
    root.setLevel(logging.INFO)
    try:
        async with ProcessPool(1) as pool:
            await run(pool, "say", "hello")
            seen = capfd.readouterr()
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    assert "hello\n" in seen.out
    assert "<INFO logged: hello>" in seen.err
    assert "not shown" not in seen.err
