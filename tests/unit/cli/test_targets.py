"""From MODULE:NAME to a worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osqueue.cli.failures import CliError
from osqueue.cli.options import Broker
from osqueue.cli.targets import load_target, make_worker
from osqueue.cli.workers.plan import WorkerPlan
from osqueue.client import OsqueueClient
from osqueue.config import MIB
from osqueue.worker import Worker

MODULE = """
from typing import Any
import osqueue
from osqueue import OsqueueClient, Worker

def run(payload): ...
async def arun(payload): ...
def typed(payload: dict[str, Any]) -> None: ...

handlers = {"a": run}
empty = {}
broken = {"a": 3}
number = 3
bound = Worker(OsqueueClient("http://localhost:1"), {"a": run})

def factory(client):
    return Worker(client, {"a": run}, 7)

def typed_factory(client: OsqueueClient) -> Worker:
    return factory(client)

def wrong(client): ...

def failing(client):
    raise RuntimeError("boom")

class Holder:
    handlers = handlers

jobs = osqueue.Jobs()
no_jobs = osqueue.Jobs()
no_registry = osqueue.Registry({"a": dict})

@jobs.job("a")
def job(payload: dict[str, Any]) -> None: ...

registry = osqueue.Registry({"a": osqueue.JobType(dict, handler=run)})
"""


def plan(**said: Any) -> WorkerPlan:
    return WorkerPlan(target="spec", broker=Broker((), None, ""), **said)


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the current directory, which nothing else has on its path."""
    name = f"targets_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield name
    for loaded in [each for each in sys.modules if each.startswith("targets_")]:
        del sys.modules[loaded]


@pytest.fixture
async def client() -> OsqueueClient:
    return OsqueueClient("http://localhost:1")


@pytest.mark.parametrize("name", ["handlers", "Holder.handlers"])
async def test_target_when_handlers_then_a_worker_of_them(
    name: str, module: str, client: OsqueueClient
) -> None:
    target = load_target(f"{module}:{name}")
    worker = make_worker(target, client, plan(concurrency=4))
    assert isinstance(worker, Worker)
    assert worker._concurrency == 4


@pytest.mark.parametrize("name", ["factory", "typed_factory"])
async def test_target_when_a_factory_then_its_worker(
    name: str, module: str, client: OsqueueClient
) -> None:
    target = load_target(f"{module}:{name}")
    assert make_worker(target, client, plan())._concurrency == 7


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{module}", "'{module}' is not MODULE:NAME, such as {module}:jobs"),
        (":x", "':x' is not MODULE:NAME, such as myapp.jobs:x"),
        ("{module}.py:handlers", "'{module}.py' is a file; did you mean {module}:handlers?"),
        ("./a/{module}.py:x", "'./a/{module}.py' is a file; did you mean a.{module}:x?"),
        (
            "{module}:handler",
            "{module}:handler: {module} has no 'handler'; did you mean 'handlers'?",
        ),
        (
            "{module}:zzz",
            "{module}:zzz: {module} has no 'zzz'; there are broken, empty, handlers, jobs, ",
        ),
        ("{module}:Holder.zzz", "{module}:Holder.zzz: {module} has no 'Holder.zzz'; there is hand"),
        ("nowhere.to.be:found", "there is no module 'nowhere' (looked in "),
        ("{module}s:found", "there is no module '{module}s' (looked in "),
        ("osqueue.clent:x", "there is no module 'osqueue.clent' (looked in "),
        ("osqueue:client", "osqueue:client is a module: name an osqueue.Jobs"),
        ("{module}:Holder", "{module}:Holder is a type: name an osqueue.Jobs"),
        ("{module}:job", "{module}:job looks like a handler: name an osqueue.Jobs"),
        ("{module}:number", "{module}:number is int: name an osqueue.Jobs, a Registry, a"),
        ("{module}:arun", "{module}:arun looks like a handler: name an osqueue.Jobs"),
        ("{module}:typed", "{module}:typed looks like a handler: name an osqueue.Jobs"),
        ("{module}:bound", "{module}:bound is a Worker, which has a client of its own"),
    ],
)
def test_target_when_named_wrongly_then_said_how(spec: str, message: str, module: str) -> None:
    with pytest.raises(CliError) as caught:
        load_target(spec.format(module=module))
    assert caught.value.message.startswith(message.format(module=module))
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("spec", "hint"),
    [("{module}s:x", "did you mean '{module}'?"), ("osqueue.clent:x", "did you mean 'client'?")],
)
def test_target_when_its_module_is_mistyped_then_what_may_be_meant(
    spec: str, hint: str, module: str
) -> None:
    with pytest.raises(CliError) as caught:
        load_target(spec.format(module=module))
    assert caught.value.message.endswith(hint.format(module=module))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "spec: a worker needs at least one handler"),
        ("broken", "spec: the handler of 'a' is no function: 3"),
        ("wrong", "spec returned NoneType instead of a Worker"),
    ],
)
async def test_worker_when_none_can_be_made_then_said_why(
    name: str, message: str, module: str, client: OsqueueClient
) -> None:
    target = load_target(f"{module}:{name}")
    with pytest.raises(CliError) as caught:
        make_worker(target, client, plan())
    assert caught.value.message.startswith(message)
    assert caught.value.code == 2


async def test_worker_when_the_factory_fails_then_its_error(
    module: str, client: OsqueueClient
) -> None:
    with pytest.raises(CliError, match="spec, called with a client, failed: RuntimeError: boom"):
        make_worker(load_target(f"{module}:failing"), client, plan())


@pytest.mark.parametrize(
    ("option", "value"), [("concurrency", 2), ("prefetch", 2), ("type_concurrency", {"a": 1})]
)
async def test_worker_when_a_factory_is_given_what_it_says_itself_then_refused(
    option: str, value: object, module: str, client: OsqueueClient
) -> None:
    flag = f"--{option.replace('_', '-')}"
    with pytest.raises(CliError, match=f"{flag} is for handlers; spec says its own"):
        make_worker(load_target(f"{module}:factory"), client, plan(**{option: value}))


@pytest.mark.parametrize("name", ["jobs", "registry"])
async def test_worker_when_jobs_or_a_registry_then_of_their_handlers(
    name: str, module: str, client: OsqueueClient
) -> None:
    worker = make_worker(load_target(f"{module}:{name}"), client, plan())
    assert worker._handlers.types == ["a"]


async def test_worker_when_its_plan_says_more_then_told(module: str, client: OsqueueClient) -> None:
    target = load_target(f"{module}:handlers")
    wanted = plan(prefetch=3, type_concurrency={"a": 2}, memory_bytes_max=256 * MIB)
    worker = make_worker(target, client, wanted)
    limits = worker._context.book._limits
    assert (limits.ahead, limits.by_type) == (3, {"a": 2})
    assert worker._processes.memory_bytes_max == 256 * MIB


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_jobs", "spec has no handlers: its module defines none, and imports no module that"),
        ("no_registry", "spec has no handlers: its types say none (handler='module:name')"),
    ],
)
async def test_worker_when_there_are_no_handlers_then_said_why(
    name: str, message: str, module: str, client: OsqueueClient
) -> None:
    with pytest.raises(CliError) as caught:
        make_worker(load_target(f"{module}:{name}"), client, plan())
    assert caught.value.message.startswith(message)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_target_when_its_import_fails_then_the_reason_and_1(content: str, message: str) -> None:
    Path("targets_broken.py").write_text(content)
    with pytest.raises(CliError) as caught:
        load_target("targets_broken:x")
    assert caught.value.message.startswith(f"importing targets_broken failed: {message}")
    assert caught.value.code == 1
