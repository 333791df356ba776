"""Callers that wait, repeat themselves and go away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.engine.engine import Engine
from osqueue.engine.requests import Held
from osqueue.errors import EngineStateError
from osqueue.model.ops import Claim, Complete, GetStats, LeaseRef
from osqueue.model.outcomes import Claimed, Counts, Done, Grant, Results
from osqueue.storage.memory import MemoryBackend
from osqueue.testing import ScriptedStore, Step

from .conftest import Brokers, claimed, soon, submit

LONG_MS = 60_000


class Claims:
    """Claims as tasks of their own, by name."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.callers: list[Caller] = []

    def ask(
        self, seed: str, *, wait_ms: int = LONG_MS, caller: Caller | None = None, **fields: Any
    ) -> asyncio.Task[Held]:
        self.callers.append(caller or Caller())
        op = Claim("w", seed, **fields)
        asking = self.engine.claim(op, wait_ms=wait_ms, caller=self.callers[-1])
        return asyncio.create_task(asking)

    async def waiting(self, seed: str, **fields: Any) -> asyncio.Task[Held]:
        """A claim that stands in the line."""
        task = self.ask(seed, **fields)
        await asyncio.sleep(0)
        assert not task.done()
        return task


def grants(held: Held) -> tuple[Grant, ...]:
    assert isinstance(held.outcome, Claimed)
    return held.outcome.grants


async def counts(engine: Engine) -> tuple[int, int]:
    """How many jobs are ready, and how many run."""
    held = await soon(engine.ask(GetStats(), consistent=True))
    assert isinstance(held.outcome, Counts)
    return held.outcome.unclaimed, held.outcome.in_progress


async def test_claim_when_a_job_comes_then_it_is_handed_over(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    claim = await Claims(engine).waiting("s")
    await soon(engine.ask(submit("a")))
    assert [grant.id for grant in grants(await soon(claim))] == ["a"]


async def test_claim_when_its_wait_is_over_then_it_comes_back_empty(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    assert grants(await soon(Claims(engine).ask("s", wait_ms=10))) == ()
    await soon(engine.ask(submit("a")))
    assert await counts(engine) == (1, 0)


async def test_claim_when_nothing_is_there_and_it_does_not_wait_then_it_is_empty(
    brokers: Brokers,
) -> None:
    engine = await brokers.start(MemoryBackend())
    assert grants(await soon(Claims(engine).ask("s", wait_ms=0))) == ()


async def test_cancelled_when_a_claim_waits_then_its_job_goes_to_another(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    claim = await Claims(engine).waiting("s")
    claim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(claim)
    await soon(engine.ask(submit("a")))
    assert await claimed(engine) == ("a",)


async def test_cancelled_when_its_grant_is_in_flight_then_the_job_is_released(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    await soon(engine.ask(submit("a")))
    store.then(Step("put", hold="request"))
    claim = Claims(engine).ask("s", wait_ms=0)
    await soon(store.held())
    claim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(claim)
    store.release()
    assert await counts(engine) == (1, 0)
    assert await claimed(engine) == ("a",)


async def test_gone_when_a_claim_waits_then_it_ends_and_gets_nothing(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    claims = Claims(engine)
    claim = await claims.waiting("s")
    claims.callers[0].leave()
    with pytest.raises(CallerGoneError):
        await soon(claim)
    await soon(engine.ask(submit("a")))
    assert await counts(engine) == (1, 0)


class Busy:
    """Has no room for answers until it is told to have some."""

    def __init__(self) -> None:
        self.full = True
        self.waiting: list[asyncio.Future[None]] = []
        self.asked = asyncio.Event()

    def room(self) -> asyncio.Future[None] | None:
        if not self.full:
            return None
        self.waiting.append(asyncio.get_running_loop().create_future())
        self.asked.set()
        return self.waiting[-1]


async def test_claim_when_its_caller_has_no_room_then_it_has_not_got_the_job_until_it_has(
    brokers: Brokers,
) -> None:
    engine = await brokers.start(MemoryBackend())
    busy = Busy()
    claim = Claims(engine).ask("s", caller=Caller(busy.room))
    await soon(engine.ask(submit("a")))
    await soon(busy.asked.wait())
    assert not claim.done()
    busy.waiting[0].set_result(None)  # for nothing: it is full again
    while len(busy.waiting) < 2:  # noqa: ASYNC110 - it asks in its own turn
        await asyncio.sleep(0)
    busy.full = False
    busy.waiting[1].set_result(None)
    assert [grant.id for grant in grants(await soon(claim))] == ["a"]


async def test_gone_when_it_had_no_room_for_its_answer_then_the_job_is_released(
    brokers: Brokers,
) -> None:
    engine = await brokers.start(MemoryBackend())
    busy = Busy()
    claims = Claims(engine)
    claim = claims.ask("s", caller=Caller(busy.room), claim_id="c")
    await soon(engine.ask(submit("a")))
    await soon(busy.asked.wait())
    claims.callers[0].leave()
    with pytest.raises(CallerGoneError):
        await soon(claim)
    assert await counts(engine) == (1, 0)


async def test_gone_when_it_had_no_room_and_another_request_brought_the_job_then_it_stays(
    brokers: Brokers,
) -> None:
    engine = await brokers.start(MemoryBackend())
    busy = Busy()
    claims = Claims(engine)
    claim = claims.ask("s", caller=Caller(busy.room), claim_id="c")
    await soon(engine.ask(submit("a")))
    await soon(busy.asked.wait())
    again = claims.ask("t", wait_ms=0, claim_id="c")
    assert [grant.id for grant in grants(await soon(again))] == ["a"]
    claims.callers[0].leave()
    with pytest.raises(CallerGoneError):
        await soon(claim)
    assert await counts(engine) == (0, 1)


async def test_claim_when_it_got_nothing_then_it_needs_no_room(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    busy = Busy()
    claim = Claims(engine).ask("s", wait_ms=0, caller=Caller(busy.room))
    assert grants(await soon(claim)) == ()
    assert busy.waiting == []


class LeavesWhenAnswered(Caller):
    """Goes away after its answer was given, and before it hears it."""

    @property
    def ticket(self) -> asyncio.Future[None] | None:
        return self.__dict__.get("ticket")

    @ticket.setter
    def ticket(self, ticket: asyncio.Future[None] | None) -> None:
        self.__dict__["ticket"] = ticket
        if ticket is not None:
            ticket.add_done_callback(lambda _: self.leave())


async def test_gone_when_it_was_answered_just_before_then_the_job_is_released(
    brokers: Brokers,
) -> None:
    engine = await brokers.start(MemoryBackend())
    await soon(engine.ask(submit("a")))
    claim = Claims(engine).ask("s", wait_ms=0, caller=LeavesWhenAnswered())
    with pytest.raises(CallerGoneError):
        await soon(claim)
    assert await counts(engine) == (1, 0)


async def test_gone_when_it_leaves_before_it_asks_then_it_takes_no_job(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    await soon(engine.ask(submit("a")))
    caller = Caller()
    caller.leave()
    with pytest.raises(CallerGoneError):
        await soon(engine.claim(Claim("w", "s"), wait_ms=0, caller=caller))
    assert await counts(engine) == (1, 0)


async def test_gone_when_a_submit_was_asked_then_it_takes_effect_all_the_same(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    store.then(Step("put", hold="request"))
    asked = asyncio.create_task(engine.ask(submit("a")))
    await soon(store.held())
    asked.cancel()
    store.release()
    assert await counts(engine) == (1, 0)
    with pytest.raises(asyncio.CancelledError):
        await asked


# The same claim again


async def test_repeated_when_the_first_still_waits_then_the_second_takes_its_place(
    brokers: Brokers,
) -> None:
    engine = await brokers.start(MemoryBackend())
    claims = Claims(engine)
    first = await claims.waiting("s1", claim_id="c")
    second = await claims.waiting("s2", claim_id="c")
    assert grants(await soon(first)) == ()
    await soon(engine.ask(submit("a")))
    assert [grant.id for grant in grants(await soon(second))] == ["a"]


async def test_repeated_when_the_first_then_goes_away_then_the_second_keeps_its_lease(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    await soon(engine.ask(submit("a")))
    claims = Claims(engine)
    store.then(Step("put", hold="request"))
    first = claims.ask("s1", claim_id="c")
    await soon(store.held())
    second = await claims.waiting("s2", claim_id="c")
    claims.callers[0].leave()
    with pytest.raises(CallerGoneError):
        await soon(first)
    store.release()
    (grant,) = grants(await soon(second))
    done = await soon(engine.ask(Complete("w", (LeaseRef(grant.id, grant.lease),))))
    assert done.outcome == Results((Done(),))


async def test_repeated_when_the_second_goes_away_then_the_first_keeps_its_lease(
    brokers: Brokers,
) -> None:
    """Which of them was sent first is not known: a network delivers in any order."""
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    await soon(engine.ask(submit("a")))
    claims = Claims(engine)
    store.then(Step("put", hold="request"))
    first = claims.ask("s1", claim_id="c")
    await soon(store.held())
    second = await claims.waiting("s2", claim_id="c")
    claims.callers[1].leave()
    with pytest.raises(CallerGoneError):
        await soon(second)
    store.release()
    (grant,) = grants(await soon(first))
    done = await soon(engine.ask(Complete("w", (LeaseRef(grant.id, grant.lease),))))
    assert done.outcome == Results((Done(),))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_repeated_when_both_go_away_then_the_job_is_released(
    brokers: Brokers, order: tuple[int, int]
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    await soon(engine.ask(submit("a")))
    claims = Claims(engine)
    store.then(Step("put", hold="request"))
    asked = [claims.ask("s1", claim_id="c")]
    await soon(store.held())
    asked.append(await claims.waiting("s2", claim_id="c"))
    for number in order:
        claims.callers[number].leave()
        with pytest.raises(CallerGoneError):
            await soon(asked[number])
    store.release()
    assert await counts(engine) == (1, 0)


async def test_repeated_when_an_earlier_request_comes_late_and_goes_then_the_lease_stays(
    brokers: Brokers,
) -> None:
    """Its connection was given up long ago; what it brings back is somebody's work."""
    engine = await brokers.start(MemoryBackend())
    await soon(engine.ask(submit("a")))
    claims = Claims(engine)
    (grant,) = grants(await soon(claims.ask("s2", claim_id="c")))
    late = claims.ask("s1", claim_id="c")
    claims.callers[1].leave()
    with suppress(CallerGoneError):
        await soon(late)
    done = await soon(engine.ask(Complete("w", (LeaseRef(grant.id, grant.lease),))))
    assert done.outcome == Results((Done(),))


async def test_repeated_when_one_was_answered_meanwhile_then_the_other_gives_nothing_back(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    await soon(engine.ask(submit("a")))
    claims = Claims(engine)
    store.then(Step("put", hold="request"))
    live = claims.ask("s2", claim_id="c")
    await soon(store.held())
    late = await claims.waiting("s1", claim_id="c")
    store.release()
    (grant,) = grants(await soon(live))
    claims.callers[1].leave()
    with suppress(CallerGoneError):
        await soon(late)
    done = await soon(engine.ask(Complete("w", (LeaseRef(grant.id, grant.lease),))))
    assert done.outcome == Results((Done(),))


async def test_repeated_when_the_first_was_answered_then_the_second_gets_the_same(
    brokers: Brokers,
) -> None:
    engine = await brokers.start(MemoryBackend())
    await soon(engine.ask(submit("a", "b")))
    claims = Claims(engine)
    first = await soon(claims.ask("s1", claim_id="c"))
    second = await soon(claims.ask("s2", claim_id="c"))
    assert grants(first) == grants(second)


async def test_stop_when_claims_wait_then_each_is_told(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    claims = Claims(engine)
    waiting = [await claims.waiting(f"s{number}") for number in range(3)]
    await soon(engine.stop())
    for claim in waiting:
        with pytest.raises(EngineStateError):
            await soon(claim)


async def test_claim_when_the_engine_has_not_started_then_it_is_refused(brokers: Brokers) -> None:
    engine = brokers.make(MemoryBackend())
    claims = Claims(engine)
    for claim in (claims.ask("s", claim_id="c"), claims.ask("s", claim_id="c")):
        with pytest.raises(EngineStateError):
            await soon(claim)
