"""Every way in which a handler can end its process."""

from __future__ import annotations

import asyncio
import json
import os
import random  # noqa: TID251 - of the seed of a test
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.worker.processes.driver import (
    CONTEXT,
    HERE,
    IMPATIENT,
    gone,
    is_running,
    run,
    told,
)

from osqueue.config import MIB, ProcessSettings
from osqueue.worker.processes import (
    ProcessDied,
    ProcessPool,
    RemoteFailure,
)

ROOT = Path(__file__).parents[4]


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
        # by itself, or by what sees that its worker cannot be heard any more: whoever is first
        ("close_pipe", None, "broke the process's connection to its worker|killed by SIGKILL"),
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


async def test_run_when_it_eats_memory_then_a_memory_error_and_a_new_process() -> None:
    settings = ProcessSettings(memory_bytes_max=128 * MIB)
    async with ProcessPool(1, settings) as pool:
        before = await run(pool, "pid")
        with pytest.raises(RemoteFailure, match="MemoryError: a process of handlers may take 128"):
            await run(pool, "eat")
        assert await run(pool, "pid") != before


async def test_run_when_a_process_out_of_memory_has_a_thread_left_then_it_ends_all_the_same(
    one: ProcessPool,
) -> None:
    before = await run(one, "pid")
    with pytest.raises(RemoteFailure, match="MemoryError"):
        await run(one, "run_out_beside_a_thread")
    await gone(before)
    assert await run(one, "pid") != before


async def test_run_when_no_memory_is_left_for_its_end_then_the_reason() -> None:
    settings = ProcessSettings(memory_bytes_max=128 * MIB)
    async with ProcessPool(1, settings) as pool:
        with pytest.raises((RemoteFailure, ProcessDied), match=r"MemoryError|out of memory"):
            await run(pool, "eat_for_good")
        assert await run(pool, "echo", 1) == 1


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


ENDS = {
    "echo": str,
    "fail": RemoteFailure,
    "leave_at_once": ProcessDied,
    "crash": ProcessDied,
    "hang": asyncio.CancelledError,
}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_pool_when_handlers_do_anything_then_each_job_ends_as_its_own_did(
    seed: int, tmp_path: Path
) -> None:
    """Whatever happens to its neighbours; and nothing is left in the end."""
    draw = random.Random(seed)
    opened = len([*Path("/proc/self/fd").iterdir()])
    async with ProcessPool(4, IMPATIENT) as pool:
        names = draw.choices(
            ["echo", "fail", "leave_at_once", "crash", "hang"], [8, 4, 1, 1, 1], k=60
        )
        tasks = [
            asyncio.create_task(run(pool, name, str(tmp_path / f"{number}"), timeout_s=20))
            for number, name in enumerate(names)
        ]
        for number, name in enumerate(names):
            if name == "hang":
                await told(tmp_path / f"{number}")
                tasks[number].cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        processes = [process.pid for process in pool._all]
    assert [type(end) for end in ends] == [ENDS[name] for name in names]
    assert len(processes) <= 4
    await gone(*processes)
    async with asyncio.timeout(30):
        while len([*Path("/proc/self/fd").iterdir()]) > opened:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)


PROGRAM = """
import asyncio, os, sys
from osqueue.worker.processes import ProcessContext, ProcessPool
CONTEXT = ProcessContext(job_id="j", type="t", attempt=1, max_attempts=1, created_at=0)

def mine(payload):
    from tests.unit.worker.processes import handlers
    getattr(handlers, payload[0])(payload[1])

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
        sys.executable,
        str(tmp_path / "program.py"),
        told_to,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
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
