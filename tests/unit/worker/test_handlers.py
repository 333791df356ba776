from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osqueue.errors import ConfigError, WorkerExecutionError
from osqueue.jobs import HandlerSpec
from osqueue.worker import JobContext
from osqueue.worker.failures import FatalError
from osqueue.worker.handlers import Handler, Handlers, Place


class Examples:
    def plain(self, payload: Any) -> None: ...

    def plain_with_context(self, payload: Any, ctx: JobContext) -> None: ...

    async def on_loop(self, payload: Any) -> None: ...

    async def on_loop_with_context(self, payload: Any, ctx: JobContext, /) -> None: ...

    def with_option(self, payload: Any, dry_run: bool = False) -> None: ...  # noqa: FBT002

    def with_many(self, *arguments: Any) -> None: ...

    def with_keywords(self, payload: Any, *, loud: bool = True, **more: Any) -> None: ...

    async def __call__(self, payload: Any) -> None: ...


def _handler(function: Callable[..., Any]) -> Handler:
    handler = Handlers({"t": function}).get("t")
    assert handler is not None
    return handler


@pytest.mark.parametrize(
    ("name", "takes_context"),
    [
        ("plain", False),
        ("plain_with_context", True),
        ("on_loop", False),
        ("on_loop_with_context", True),
        ("with_option", False),
        ("with_many", False),
        ("with_keywords", False),
    ],
)
def test_handler_takes_the_context_when_it_has_two_required_parameters(
    name: str, takes_context: bool
) -> None:
    assert _handler(getattr(Examples(), name)).takes_context is takes_context


@pytest.mark.parametrize(
    ("function", "on_loop"),
    [
        (Examples().plain, False),
        (Examples().on_loop, True),
        (functools.partial(Examples().on_loop), True),
        (Examples(), True),
        (min, False),
        ([].append, False),
    ],
    ids=["plain", "async", "partial", "object", "builtin without a signature", "builtin"],
)
def test_handler_runs_on_the_loop_when_it_is_async(
    function: Callable[..., Any], on_loop: bool
) -> None:
    assert _handler(function).place is (Place.LOOP if on_loop else Place.THREAD)


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda a, b, c: None,  # noqa: ARG005
        lambda payload, *, needed: None,  # noqa: ARG005
        lambda **only: None,  # noqa: ARG005
    ],
)
def test_handlers_with_a_function_that_takes_no_job_are_refused(
    function: Callable[..., Any],
) -> None:
    with pytest.raises(ConfigError, match=r"must take \(payload\) or \(payload, ctx\), not \("):
        Handlers({"t": function})


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ({}, "at least one handler"),
        ({"": print}, "job type"),
        ({"t": 5}, "is no function: 5"),
        ({"t": "print"}, "must be named as 'package.module:name'"),
        ({"t": "a b:print"}, "must be named as 'package.module:name'"),
        ({str(number): print for number in range(1_001)}, "at most 1000"),
    ],
    ids=["none", "untyped", "number", "text", "no name", "too many"],
)
def test_handlers_that_make_no_sense_are_refused(functions: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Handlers(functions)


def test_concurrency_of_a_type_is_what_was_said_and_in_processes_that_of_the_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    processes: dict[str, Any] = {"function": "json:dumps", "schema": None, "executor": "process"}
    handlers = Handlers(
        {
            "free": HandlerSpec(function="json:dumps", schema=None),
            "limited": HandlerSpec(function="json:dumps", schema=None, concurrency=7),
            "cpu": HandlerSpec(**processes),
            "said": HandlerSpec(**processes, concurrency=50),
        }
    )
    assert handlers.concurrency == {"limited": 7, "cpu": 3, "said": 50}


def test_load_of_a_name_imports_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lazily.py").write_text("class Mail:\n    @staticmethod\n    def send(p): ...\n")
    handlers = Handlers({"t": "lazily:Mail.send"})

    assert handlers.types == ["t"]
    assert handlers.get("t") is None
    assert "lazily" not in sys.modules
    loaded = handlers.load("t")
    assert loaded.function is sys.modules["lazily"].Mail.send
    assert handlers.get("t") is loaded is handlers.load("t")
    assert handlers.types == ["t"]


TYPED = """
from dataclasses import dataclass
from osqueue import Jobs
jobs = Jobs()
@dataclass
class Mail:
    to: str
@jobs.job("mail", timeout=7, executor={executor!r})
def send(mail: Mail) -> str: ...
"""


def test_load_of_the_name_of_a_typed_job_then_it_brings_its_payload_result_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "typed_for_handlers.py").write_text(TYPED.format(executor="auto"))
    loaded = Handlers({"t": "typed_for_handlers:send"}).load("t")
    assert (loaded.spec.schema is None, loaded.spec.result is None) == (False, False)
    assert loaded.spec.timeout_s == 7


def test_load_of_the_name_of_a_typed_job_for_processes_then_says_what_to_pass_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "typed_for_processes.py").write_text(TYPED.format(executor="process"))
    with pytest.raises(FatalError, match="pass the worker that job itself, not its name"):
        Handlers({"t": "typed_for_processes:send"}).load("t")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'broken'"),
        ("", "broken has no send"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def send(", "SyntaxError"),
        ("send = 5", "is no function: 5"),
        ("def send(a, b, c): ...", r"must take \(payload\)"),
    ],
)
def test_load_of_a_name_that_brings_no_handler_says_why_and_can_be_put_right(
    source: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    if source is not None:
        (tmp_path / "broken.py").write_text(source)
    handlers = Handlers({"t": "broken:send"})

    with pytest.raises(FatalError, match=reason) as caught:
        handlers.load("t")
    assert isinstance(caught.value.error, ConfigError)
    monkeypatch.delitem(sys.modules, "broken", raising=False)


def test_load_of_a_type_without_a_handler_says_so() -> None:
    with pytest.raises(FatalError, match="no handler for 'u'") as caught:
        Handlers({"t": print}).load("u")

    assert isinstance(caught.value.error, WorkerExecutionError)
