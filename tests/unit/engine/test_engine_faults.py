"""A store that hangs or fails strangely, and faults of our own: nobody waits for ever."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from osqueue.config import LeadershipSettings
from osqueue.engine import storeio
from osqueue.engine.callers import Caller
from osqueue.engine.committer import Committer
from osqueue.engine.election import Ask, Election, ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.engine.requests import EndReason
from osqueue.errors import OsqueueError
from osqueue.model.ops import Claim, GetStats
from osqueue.model.outcomes import Counts, Submitted
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Stored, Version
from osqueue.testing import ScriptedStore, Step

from .conftest import Brokers, soon, submit


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "osqueue.engine")


class Odd(MemoryBackend):
    """Fails some calls as no store should; a failure of ``None`` is to hang."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: list[Exception | None] = []
        self.gets: list[Exception | None] = []
        self.heads: list[Exception | None] = []

    async def head(self, key: str) -> Version:
        await _fail(self.heads)
        return await super().head(key)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        await _fail(self.puts)
        return await super().put(key, data, if_version=if_version)

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        await _fail(self.gets)
        return await super().get(key, unless=unless)


async def _fail(failures: list[Exception | None]) -> None:
    if not failures:
        return
    failure = failures.pop(0)
    if failure is None:
        await asyncio.Event().wait()
    else:
        raise failure


@pytest.mark.parametrize("failure", [ValueError("odd"), TimeoutError(), RecursionError(), None])
async def test_store_when_it_fails_strangely_then_the_write_is_tried_on(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    monkeypatch.setattr(storeio, "STORE_ANSWER_S_MAX", 0.02)
    store = Odd()
    engine = await brokers.start(store)
    store.puts = [failure] * 3
    assert (await soon(engine.ask(submit("a")))).outcome == Submitted(1)


@pytest.mark.parametrize("failure", [ValueError("odd"), None])
async def test_store_when_a_check_fails_strangely_then_it_is_tried_again(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    monkeypatch.setattr(storeio, "STORE_ANSWER_S_MAX", 0.02)
    store = Odd()
    engine = await brokers.start(store)
    store.gets = [failure]
    held = await soon(engine.ask(GetStats(), consistent=True))
    assert isinstance(held.outcome, Counts)


# Faults of our own


def breaks(monkeypatch: pytest.MonkeyPatch, method: str, times: int = 1_000) -> None:
    """Let a method of the committer fail that many times."""
    sound = getattr(Committer, method)
    left = times

    def failing(self: Committer, *args: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise RuntimeError("a bug of ours")
        return sound(self, *args)

    monkeypatch.setattr(Committer, method, failing)


async def told(engine: Engine) -> None:
    """Whoever asks is answered with an error, and the engine has ended."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - it is about being told at all
        await soon(engine.ask(submit("a")))
    await soon(engine.ended.wait())
    assert engine.end is not None
    assert not engine.status().ready
    with pytest.raises(OsqueueError):
        await soon(engine.ask(GetStats()))


@pytest.mark.parametrize("method", ["begin", "tick", "arrive", "written", "next_wake"])
async def test_fault_when_the_committer_fails_inside_then_callers_are_told_and_it_ends(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    engine = await brokers.start(MemoryBackend())
    breaks(monkeypatch, method)
    await told(engine)


async def test_fault_when_reading_back_fails_inside_then_callers_are_told_and_it_ends(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryBackend()
    engine = await brokers.start(store)
    found = await store.get("queue.json")
    assert found is not None
    await store.put("queue.json", found.data + b" ", if_version=found.version)
    breaks(monkeypatch, "read_back")
    await told(engine)


async def test_fault_when_a_check_fails_inside_then_callers_are_told_and_it_ends(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await brokers.start(MemoryBackend())
    breaks(monkeypatch, "checked")
    with pytest.raises(OsqueueError):
        await soon(engine.ask(GetStats(), consistent=True))
    await soon(engine.ended.wait())


async def test_fault_when_the_end_of_a_wait_fails_inside_then_the_claim_is_told(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await brokers.start(MemoryBackend())
    breaks(monkeypatch, "wait_over")
    with pytest.raises(OsqueueError):
        await soon(engine.claim(Claim("w", "s"), wait_ms=5, caller=Caller()))
    await soon(engine.ended.wait())


async def test_fault_when_it_ends_so_then_other_callers_are_told_nothing_was_applied(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    store.then(Step("put", hold="request"))
    in_flight = asyncio.create_task(engine.ask(submit("a")))
    await soon(store.held())
    pending = asyncio.create_task(engine.ask(submit("b")))
    await asyncio.sleep(0)
    breaks(monkeypatch, "begin")
    store.release()
    assert (await soon(in_flight)).outcome == Submitted(1)
    with pytest.raises(OsqueueError) as raised:
        await soon(pending)
    assert raised.value.applied == "no"
    await soon(engine.ended.wait())
    assert engine.end is not None
    assert engine.end.reason is not EndReason.RELEASED


async def test_fault_when_it_happens_while_starting_then_start_says_so(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, "written")
    with pytest.raises(OsqueueError):
        await soon(brokers.make(MemoryBackend()).start())


async def test_duty_when_it_fails_inside_then_that_is_told_and_the_rest_goes_on(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "osqueue.engine")
    failed = asyncio.Event()

    async def failing() -> None:
        failed.set()
        raise RuntimeError("a bug in a duty")

    engine = brokers.make(MemoryBackend())
    engine.duties = (failing,)
    await soon(engine.start())
    await soon(failed.wait())
    assert (await soon(engine.ask(submit("a")))).outcome == Submitted(1)
    assert "a bug in a duty" in caplog.text


# Faults while nobody leads here

QUICK = LeadershipSettings(heartbeat_interval_ms=10, heartbeat_timeout_ms=50)


async def test_standby_when_its_store_fails_strangely_then_it_ends_and_says_so(
    brokers: Brokers,
) -> None:
    store = Odd()
    await brokers.start(store, address="them:1")
    engine = await brokers.start(store, probe=ProbeAnswer.LEADER, leadership=QUICK)
    assert engine.status().role == "standby"
    store.heads = [ValueError("odd")]
    await soon(engine.ended.wait())
    assert engine.end is not None
    assert engine.end.reason is EndReason.FAILED
    assert "odd" in engine.end.message
    assert engine.status().role == "stopped"


async def test_standby_when_asking_fails_strangely_then_start_says_so(brokers: Brokers) -> None:
    async def broken(_ask: Ask) -> ProbeAnswer:
        raise ValueError("odd")

    store = MemoryBackend()
    await brokers.start(store, address="them:1")
    engine = brokers.make(store, probe=broken)
    with pytest.raises(OsqueueError, match="odd"):
        await soon(engine.start())
    await soon(engine.ended.wait())


async def test_leader_when_its_life_fails_inside_then_whoever_waits_is_told(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = brokers.make(store)
    store.then(Step("create", hold="reply"))
    starting = asyncio.create_task(engine.start())
    await soon(store.held())
    waiting = asyncio.create_task(engine.claim(Claim("w", "s"), wait_ms=60_000, caller=Caller()))
    await asyncio.sleep(0)

    def failing(_self: Election) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Election, "won", failing)
    store.release()
    for each in (starting, waiting):
        with pytest.raises(OsqueueError):
            await soon(each)
    await soon(engine.ended.wait())
