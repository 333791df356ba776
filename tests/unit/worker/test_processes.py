"""Handlers in real processes, and every way in which these can end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from tests.unit.worker import process_handlers

from osqueue.client.models import Job
from osqueue.config import MIB, PROGRESS_NOTE_CHARS_MAX, RESULT_BYTES_MAX, ProcessSettings
from osqueue.errors import ConfigError, Discard, EngineStateError, Retry
from osqueue.jobs import Schema
from osqueue.wire.messages import Progress
from osqueue.worker import process as process_module
from osqueue.worker.processes import (
    ProcessContext,
    ProcessDied,
    ProcessPool,
    RemoteFailure,
    target_of,
    types_of,
)

HERE = process_handlers.__name__
CONTEXT = ProcessContext(
    job_id="job-1", type="t", attempt=2, max_attempts=3, created_at=5, keep_result=True
)
PATIENT = ProcessSettings(cancel_ms=30_000)
IMPATIENT = ProcessSettings(cancel_ms=0)


async def run(pool: ProcessPool, name: str, payload: object = None, **options: Any) -> Any:
    """What the handler of that name returns."""
    context = options.pop("context", CONTEXT)
    result = await pool.run(f"{HERE}:{name}", json.dumps(payload).encode(), context, **options)
    return None if result is None else json.loads(result)


async def told(path: Path) -> str:
    """What a handler puts into a file."""
    async with asyncio.timeout(30):
        while not path.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.001)
    content = path.read_text()
    path.unlink()
    return content


async def gone(*pids: int) -> None:
    """Return when none of these processes runs any more."""
    async with asyncio.timeout(30):
        while any(is_running(pid) for pid in pids):  # noqa: ASYNC110 - not our children
            await asyncio.sleep(0.001)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    async with ProcessPool(2) as pool:
        yield pool


@pytest.fixture
async def one() -> AsyncIterator[ProcessPool]:
    """A pool of one process."""
    async with ProcessPool(1) as pool:
        yield pool


@pytest.fixture
async def impatient() -> AsyncIterator[ProcessPool]:
    async with ProcessPool(1, IMPATIENT) as pool:
        yield pool


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
    types = types_of(Schema.of(process_handlers.Email), None)
    context = msgspec.structs.replace(CONTEXT, types=types)
    assert await run(pool, "untyped", EMAIL, context=context) == "Email"
    assert await run(pool, "untyped", EMAIL) == "dict"


async def test_run_when_only_the_handler_says_what_it_takes_then_that_holds(
    pool: ProcessPool,
) -> None:
    assert await run(pool, "typed", {"to": "ada"}) == 'ada, attempt 2 of {"to": "ada"}'


def test_types_of_what_cannot_be_handed_over_then_the_handlers_own_hold() -> None:
    class Local: ...

    assert types_of(Schema.of(Local), None) == b""


def test_types_of_a_name_that_cannot_be_imported_then_said() -> None:
    with pytest.raises(ConfigError, match="cannot be imported"):
        types_of(Schema.of("no.such.module:Email"), None)


def test_context_of_a_job_then_the_same_job_again() -> None:
    job = Job(
        job_id="j", type="t", raw_payload=b"[1]", worker_id="w", lease="l", attempt=2,
        max_attempts=3, created_at=4, priority=5, traceparent="p", timeout_ms=6, keep_result=True,
    )  # fmt: skip
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    context = ProcessContext.of(job, deadline=moment, types=b"x")
    assert context.deadline_ms == moment.timestamp() * 1_000
    assert msgspec.structs.astuple(context.job(b"[1]")) == msgspec.structs.astuple(job)


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
    ("name", "payload", "reason"),
    [
        ("leave_at_once", None, "the handler ended its process with exit code 7"),
        ("fork_and_leave", None, "the handler ended its process with exit code 0"),
        ("kill_itself", 9, "killed by SIGKILL, by hand or because the system ran out of memory"),
        ("kill_itself", 6, "killed by SIGABRT"),
        ("kill_itself", 40, "killed by signal 40"),
        ("crash", None, "killed by SIGSEGV, a fault in native code"),
        ("write_into_pipe", "hello\n" * 10, "wrote into the process's connection"),
        ("write_into_pipe", "\0\0\0\5hello", "wrote into the process's connection"),
        ("write_into_pipe", "x", "wrote into the process's connection"),
        ("close_pipe", None, "the handler broke the process's connection to its worker"),
    ],
)
async def test_run_when_the_process_ends_then_the_reason_and_the_next_has_another(
    name: str, payload: object, reason: str, one: ProcessPool
) -> None:
    before = await run(one, "pid")
    with pytest.raises(ProcessDied, match=reason):
        await run(one, name, payload)
    await gone(before)
    assert await run(one, "pid") != before


async def test_run_when_one_process_dies_then_the_others_job_goes_on(
    pool: ProcessPool, tmp_path: Path
) -> None:
    other = asyncio.create_task(run(pool, "report_once", str(tmp_path / "go")))
    with pytest.raises(ProcessDied):
        await run(pool, "crash")
    (tmp_path / "go").touch()
    await other


async def test_run_when_an_idle_process_was_killed_then_another_does_the_job(
    one: ProcessPool,
) -> None:
    before = await run(one, "pid")
    os.kill(before, signal.SIGKILL)
    assert await run(one, "pid") != before
    await gone(before)


async def test_pool_when_an_idle_process_is_killed_then_it_is_logged(
    one: ProcessPool, caplog: pytest.LogCaptureFixture
) -> None:
    os.kill(await run(one, "pid"), signal.SIGKILL)
    async with asyncio.timeout(30):
        while not caplog.messages:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.001)
    assert "the process was killed by SIGKILL" in caplog.messages[0]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{HERE}:nothing", f"the handler {HERE}:nothing cannot be imported: AttributeError"),
        ("no.such.module:x", "cannot be imported: ModuleNotFoundError: No module named 'no'"),
        (f"{HERE}:FOREVER_S", "is no function: 600"),
    ],
)
async def test_run_when_there_is_no_such_handler_then_failed_for_good(
    target: str, message: str, one: ProcessPool
) -> None:
    with pytest.raises(RemoteFailure, match=message) as caught:
        await one.run(target, b"1", CONTEXT)
    assert not caught.value.retry
    assert await run(one, "echo", 1) == 1


@pytest.mark.parametrize(
    "content", ["import os; os._exit(9)", "raise SystemExit(3)", "def f(:", "1 / 0"]
)
async def test_run_when_its_module_does_not_import_then_only_its_jobs_fail(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_handlers.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    async with ProcessPool(1, targets=["broken_handlers:f", f"{HERE}:echo"]) as pool:
        assert await run(pool, "echo", 1) == 1
        with pytest.raises((RemoteFailure, ProcessDied), match=r"broken_handlers|exit code 9"):
            await pool.run("broken_handlers:f", b"1", CONTEXT)
        assert await run(pool, "echo", 1) == 1


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


@pytest.mark.parametrize("name", ["hang", "hang_natively"])
async def test_run_when_it_takes_too_long_then_timed_out_and_all_it_started_is_killed(
    name: str, impatient: ProcessPool, tmp_path: Path
) -> None:
    running = asyncio.create_task(run(impatient, name, str(tmp_path / "pids"), timeout_s=1))
    pids = [int(each) for each in (await told(tmp_path / "pids")).split()]
    with pytest.raises(TimeoutError, match="the handler ran longer than 1 s"):
        await running
    await gone(*pids)


async def test_run_when_it_is_deaf_to_signals_then_killed(
    impatient: ProcessPool, tmp_path: Path
) -> None:
    running = asyncio.create_task(run(impatient, "be_deaf", str(tmp_path / "pid")))
    pid = int(await told(tmp_path / "pid"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await gone(pid)


@pytest.mark.parametrize("name", ["wait_until_told", "await_until_told"])
async def test_run_when_cancelled_then_the_handler_is_told_and_its_process_kept(
    name: str, tmp_path: Path
) -> None:
    async with ProcessPool(1, PATIENT) as pool:
        running = asyncio.create_task(run(pool, name, str(tmp_path / "said")))
        pid = int(await told(tmp_path / "said"))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await told(tmp_path / "said") == "told to end"
        assert await run(pool, "pid") == pid


async def test_run_when_cancelled_again_then_killed_at_once(tmp_path: Path) -> None:
    async with ProcessPool(1, PATIENT) as pool:
        running = asyncio.create_task(run(pool, "hang", str(tmp_path / "pids")))
        pids = [int(each) for each in (await told(tmp_path / "pids")).split()]
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await gone(*pids)


async def test_run_when_cancelled_while_its_process_starts_then_none_is_left() -> None:
    async with ProcessPool(1, ProcessSettings(warm=0)) as pool:
        for turns in range(8):
            running = asyncio.create_task(run(pool, "echo", 1))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running})
        assert await run(pool, "echo", 1) == 1
    assert not pool._all


async def test_run_when_cancelled_while_it_waits_for_a_process_then_nothing_is_lost(
    one: ProcessPool, tmp_path: Path
) -> None:
    first = asyncio.create_task(run(one, "report_once", str(tmp_path / "go")))
    second = asyncio.create_task(run(one, "echo", 1))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    (tmp_path / "go").touch()
    await first
    assert await run(one, "echo", 2) == 2


async def test_run_when_it_eats_memory_then_a_memory_error_and_a_new_process() -> None:
    settings = ProcessSettings(memory_bytes_max=128 * MIB)
    async with ProcessPool(1, settings) as pool:
        before = await run(pool, "pid")
        with pytest.raises(RemoteFailure, match="MemoryError: a process of handlers may take 128"):
            await run(pool, "eat")
        assert await run(pool, "pid") != before


async def test_run_when_no_memory_is_left_for_its_end_then_the_reason() -> None:
    settings = ProcessSettings(memory_bytes_max=128 * MIB)
    async with ProcessPool(1, settings) as pool:
        with pytest.raises((RemoteFailure, ProcessDied), match=r"MemoryError|out of memory"):
            await run(pool, "eat_for_good")
        assert await run(pool, "echo", 1) == 1


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


async def test_run_when_the_handler_forks_and_both_return_then_one_is_heard(
    one: ProcessPool,
) -> None:
    assert await run(one, "fork", "child") == "parent"
    assert await run(one, "echo", 1) == 1


async def test_process_when_signalled_to_stop_then_it_stays(one: ProcessPool) -> None:
    assert await run(one, "be_signalled") == "still here"


async def test_process_when_its_handler_terminates_a_program_then_that_ends(
    one: ProcessPool,
) -> None:
    assert await run(one, "terminate_a_child") == -signal.SIGTERM


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


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Leave no more than those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def leave_none() -> None:
        opened = len([*Path("/proc/self/fd").iterdir()])
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened, hard))

    yield leave_none
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_run_when_no_process_can_be_started_then_the_reason(
    no_descriptors: Callable[[], None],
) -> None:
    async with ProcessPool(1, ProcessSettings(warm=0)) as pool:
        no_descriptors()
        with pytest.raises(ProcessDied, match=r"could be started: .*Too many open files"):
            await run(pool, "echo", 1)


async def test_run_when_processes_do_not_begin_then_said_after_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "_BOOT", "raise SystemExit(5)")
    async with ProcessPool(1) as pool:
        with pytest.raises(ProcessDied, match=r"no process could begin with it: .*exit code 5"):
            await run(pool, "echo", 1)


async def test_run_when_a_process_does_not_come_to_its_first_job_then_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "_BOOT", "import time; time.sleep(600)")
    async with ProcessPool(1, ProcessSettings(start_ms_max=1, starts_max=2)) as pool:
        with pytest.raises(ProcessDied, match="did not come to its first job in time"):
            await run(pool, "echo", 1)


async def test_pool_when_closed_then_no_process_is_left_and_none_is_started(
    tmp_path: Path,
) -> None:
    pool = ProcessPool(2)
    await pool.start()
    idle = await run(pool, "pid")
    hanging = asyncio.create_task(run(pool, "hang", str(tmp_path / "pids")))
    pids = [int(each) for each in (await told(tmp_path / "pids")).split()]
    await pool.close()
    await pool.close()
    await gone(idle, *pids)
    with pytest.raises(ProcessDied):
        await hanging
    with pytest.raises(EngineStateError, match="were stopped"):
        await run(pool, "echo", 1)


PROGRAM = """
import asyncio, os, sys
from osqueue.worker.processes import ProcessContext, ProcessPool
CONTEXT = ProcessContext(job_id="j", type="t", attempt=1, max_attempts=1, created_at=0)

def mine(payload):
    from tests.unit.worker import process_handlers
    getattr(process_handlers, payload[0])(payload[1])

async def main():
    pool = ProcessPool(2)
    await pool.start()
    await pool.run("__main__:mine", sys.argv[1].encode(), CONTEXT)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["hang", "hang_natively"])
async def test_process_when_its_worker_is_killed_then_it_ends_with_all_it_started(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    pids = str(tmp_path / "pids")
    told_to = json.dumps([name, pids])
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(tmp_path / "program.py"), told_to
    )
    try:
        handler, child = (int(each) for each in (await told(Path(pids))).split())
    finally:
        program.kill()
        await program.wait()
    await gone(handler, child)


def test_pool_when_its_loop_ends_without_it_then_its_processes_end() -> None:
    code = (
        "import asyncio, os, sys\n"
        "from osqueue.worker.processes import ProcessContext, ProcessPool\n"
        "context = ProcessContext(job_id='j', type='t', attempt=1, max_attempts=1, created_at=0,"
        " keep_result=True)\n"
        "async def main():\n"
        "    pool = ProcessPool(1)\n"
        f"    print((await pool.run('{HERE}:pid', b'1', context)).decode())\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True
    )
    pid = int(done.stdout)
    while is_running(pid):
        os.sched_yield()


@pytest.mark.parametrize("function", [process_handlers.echo, process_handlers.UnprintableError])
def test_target_of_a_function_of_a_module_then_its_name(function: Callable[..., Any]) -> None:
    assert target_of(function) == f"{HERE}:{function.__name__}"


def test_target_of_what_cannot_be_imported_then_refused() -> None:
    def inner(_payload: Any) -> None: ...

    for function in (inner, lambda _: None):
        with pytest.raises(ConfigError, match="must be a function at the top of its module"):
            target_of(function)


@pytest.mark.parametrize(
    "settings",
    [{"warm": -1}, {"starts_max": 0}, {"memory_bytes_max": MIB}],
)
def test_settings_when_they_make_no_sense_then_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        ProcessSettings(**settings).validate()
