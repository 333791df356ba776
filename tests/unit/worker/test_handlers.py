from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from osqueue.client import Job
from osqueue.errors import ConfigError
from osqueue.worker.handlers import Handler, inspect_handlers

JOB = Job(
    job_id="a",
    type="t",
    raw_payload=b"1",
    worker_id="w",
    lease="l",
    attempt=1,
    max_attempts=3,
    created_at=0,
)


class Recorder:
    def __init__(self) -> None:
        self.seen: tuple[Any, ...] = ()
        self.thread = ""

    def plain(self, payload: Any) -> None:
        self.seen, self.thread = (payload,), threading.current_thread().name

    def plain_with_job(self, payload: Any, job: Job) -> None:
        self.seen = (payload, job)

    async def on_loop(self, payload: Any) -> None:
        self.seen, self.thread = (payload,), threading.current_thread().name

    async def on_loop_with_job(self, payload: Any, job: Job, /) -> None:
        self.seen = (payload, job)

    def with_option(self, payload: Any, dry_run: bool = False) -> None:  # noqa: FBT002
        self.seen = (payload, dry_run)

    def with_many(self, *arguments: Any) -> None:
        self.seen = arguments

    def with_keywords(self, payload: Any, *, loud: bool = True, **more: Any) -> None:
        self.seen = (payload, loud, more)

    def lazily(self, payload: Any) -> Any:
        return self.on_loop(payload)


class AsyncCallable(Recorder):
    async def __call__(self, payload: Any) -> None:
        await self.on_loop(payload)


def _handler(function: Callable[..., Any]) -> Handler:
    return inspect_handlers({"t": function})["t"]


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="pool") as executor:
        yield executor


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("plain", ("p",)),
        ("plain_with_job", ("p", JOB)),
        ("on_loop", ("p",)),
        ("on_loop_with_job", ("p", JOB)),
        ("with_option", ("p", False)),
        ("with_many", ("p",)),
        ("with_keywords", ("p", True, {})),
        ("lazily", ("p",)),
    ],
)
async def test_run_gives_the_handler_what_its_parameters_ask_for(
    executor: ThreadPoolExecutor, name: str, seen: tuple[Any, ...]
) -> None:
    recorder = Recorder()

    await _handler(getattr(recorder, name)).run("p", JOB, executor)

    assert recorder.seen == seen


async def test_run_of_a_plain_function_is_in_a_thread(executor: ThreadPoolExecutor) -> None:
    recorder = Recorder()

    await _handler(recorder.plain).run("p", JOB, executor)

    assert recorder.thread.startswith("pool")


@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial], ids=["itself", "partial"])
async def test_run_of_an_async_function_is_on_the_loop(wrap: Callable[..., Any]) -> None:
    recorder = Recorder()

    await _handler(wrap(recorder.on_loop)).run("p", JOB, None)

    assert recorder.thread == threading.current_thread().name


async def test_run_of_an_object_with_async_call_is_on_the_loop() -> None:
    recorder = AsyncCallable()

    await _handler(recorder).run("p", JOB, None)

    assert recorder.seen == ("p",)


async def test_run_in_a_thread_sees_the_context_variables(executor: ThreadPoolExecutor) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("set")
    seen: list[str] = []

    await _handler(lambda _: seen.append(variable.get())).run("p", JOB, executor)

    assert seen == ["set"]


async def test_run_of_a_builtin_without_a_signature_gives_it_the_payload(
    executor: ThreadPoolExecutor,
) -> None:
    handler = _handler(min)

    with pytest.raises(ValueError, match="empty"):
        await handler.run([], JOB, executor)


async def test_run_of_a_builtin_gives_it_the_payload(executor: ThreadPoolExecutor) -> None:
    seen: list[Any] = []

    await _handler(seen.append).run("p", JOB, executor)

    assert seen == ["p"]


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda a, b, c: None,  # noqa: ARG005
        lambda payload, *, needed: None,  # noqa: ARG005
        lambda **only: None,  # noqa: ARG005
    ],
)
def test_inspect_handlers_with_a_function_that_takes_no_job_is_refused(
    function: Callable[..., Any],
) -> None:
    with pytest.raises(ConfigError, match=r"'t' must take \(payload\) or \(payload, job\), not \("):
        inspect_handlers({"t": function})


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ({}, "at least one handler"),
        ({"": print}, "job type"),
        ({"t": "print"}, "not callable"),
        ({str(number): print for number in range(1_001)}, "at most 1000"),
    ],
    ids=["none", "untyped", "text", "too many"],
)
def test_inspect_handlers_with_senseless_handlers_is_refused(
    functions: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        inspect_handlers(functions)
