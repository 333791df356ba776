"""Sweeping: what crashes and lost answers leave behind goes, and nothing else ever does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from tests.integration.flaky_payloads import FlakyPayloads

from osqueue.clock import SystemEntropy
from osqueue.config import LeadershipSettings, PayloadSettings
from osqueue.engine.election import ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.engine.sweeper import Sweeper, named_payloads
from osqueue.errors import (
    BrokerLeadershipError,
    CommitUnknownError,
    OsqueueError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.model.job import LargePayload
from osqueue.model.ops import Cancel, NewJob, Submit
from osqueue.model.outcomes import Submitted

from .conftest import KEY, Brokers, soon

TEXT = b'"text"'
NEVER = PayloadSettings(sweep_first_ms=10**9, backoff_ms=1)
OFTEN = PayloadSettings(sweep_first_ms=1, sweep_every_ms=1, backoff_ms=1)


COPY = f"{KEY}.before-1795300007-1841-5f1c"


def sweeper_of(engine: Engine, store: FlakyPayloads, settings: PayloadSettings = NEVER) -> Sweeper:
    return Sweeper(
        store,
        engine.payloads,
        settings,
        entropy=SystemEntropy(),
        named=partial(named_payloads, engine),
        key=KEY,
    )


async def sweep(engine: Engine, store: FlakyPayloads) -> int:
    return await soon(sweeper_of(engine, store).sweep(engine.epoch))


async def submit(engine: Engine, job_id: str) -> str:
    """A job with an object; answers its key."""
    large = await soon(engine.payloads.write(engine.epoch, "", TEXT))
    held = await soon(engine.ask(Submit((NewJob(job_id, large=large),))))
    assert held.outcome == Submitted(1)
    return large.key


async def restart(brokers: Brokers, store: FlakyPayloads, engine: Engine) -> Engine:
    await soon(engine.stop())
    return await brokers.start(store, payloads=NEVER)


async def test_sweep_when_a_leader_died_between_object_and_commit_then_the_object_goes(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    first = await brokers.start(store, payloads=NEVER)
    named = await submit(first, "a")
    await soon(first.payloads.write(first.epoch, "", TEXT))
    second = await restart(brokers, store, first)
    assert await sweep(second, store) == 1
    assert set(store.payloads) == {named}


async def test_sweep_when_a_leader_died_between_end_and_delete_then_the_object_goes(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    first = await brokers.start(store, payloads=NEVER)
    await submit(first, "a")
    store.fails["delete"] = [StoreUnknownError("m")] * 9
    await soon(first.ask(Cancel("a")))
    second = await restart(brokers, store, first)
    store.fails["delete"] = []
    assert await sweep(second, store) == 1
    assert store.payloads == {}


async def test_sweep_when_objects_are_of_the_own_epoch_then_they_stay(brokers: Brokers) -> None:
    store = FlakyPayloads()
    engine = await brokers.start(store, payloads=NEVER)
    large = await soon(engine.payloads.write(engine.epoch, "", TEXT))
    later = await soon(engine.payloads.write(engine.epoch + 1, "", TEXT))
    assert await sweep(engine, store) == 0
    assert set(store.payloads) == {large.key, later.key}


async def test_sweep_when_a_write_was_repeated_then_its_first_key_goes(brokers: Brokers) -> None:
    store = FlakyPayloads()
    store.applied = True
    engine = await brokers.start(store, payloads=NEVER)
    store.fails["create"] = [StoreUnknownError("m")]
    named = await submit(engine, "a")
    assert len(store.payloads) == 2
    assert await sweep(engine, store) == 1
    assert set(store.payloads) == {named}


@pytest.mark.parametrize(
    "key",
    ["payloads/x/a", "payloads/-1/a", "payloads/1", "payloads/²/a", "payloads/" + "1" * 19 + "/a"],
)
async def test_sweep_when_a_key_is_none_of_ours_then_it_stays(brokers: Brokers, key: str) -> None:
    store = FlakyPayloads()
    engine = await brokers.start(store, payloads=NEVER)
    await store.create(key, b"theirs")
    await store.create("payloads/1/orphan", TEXT)
    assert await sweep(engine, store) == 1
    assert set(store.payloads) == {key}


async def test_sweep_when_there_are_many_then_bounded_and_the_next_goes_on(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    engine = await brokers.start(store, payloads=NEVER)
    for n in range(2_500):
        await store.create(f"payloads/1/{n}", TEXT)
    sweeper = sweeper_of(engine, store, PayloadSettings(sweep_keys_max=1_500))
    assert await soon(sweeper.sweep(engine.epoch)) == 2_000
    assert await soon(sweeper.sweep(engine.epoch)) == 500


async def test_sweep_when_a_rival_has_taken_over_then_it_deletes_nothing(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    old = await brokers.start(store, payloads=NEVER)
    await store.create("payloads/1/orphan", TEXT)
    await brokers.start(store, address="you:1", probe=ProbeAnswer.REFUSED, payloads=NEVER)
    with pytest.raises(OsqueueError):
        await soon(sweeper_of(old, store).sweep(old.epoch))
    assert len(store.payloads) == 1


async def test_paused_leader_when_it_wakes_then_its_upload_is_in_no_commit_and_is_swept_next(
    brokers: Brokers,
) -> None:
    """It uploads after the new leader's sweep, and asks for its commit: that is refused."""
    store = FlakyPayloads()
    old = await brokers.start(store, payloads=NEVER)
    named = await submit(old, "a")
    epoch = old.epoch
    new = await brokers.start(store, address="you:1", probe=ProbeAnswer.REFUSED, payloads=NEVER)
    assert await sweep(new, store) == 0
    late = await soon(old.payloads.write(epoch, "", TEXT))
    with pytest.raises((BrokerLeadershipError, CommitUnknownError)):
        await soon(old.ask(Submit((NewJob("b", large=late),))))
    assert set(store.payloads) == {named, late.key}
    assert await sweep(new, store) == 1
    assert set(store.payloads) == {named}


async def test_epoch_when_it_does_not_lead_then_nothing_can_be_uploaded_under_it(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    engine = brokers.make(store)
    with pytest.raises(OsqueueError):
        _ = engine.epoch
    await soon(engine.start())
    assert engine.epoch == engine.status().epoch
    await soon(engine.stop())
    with pytest.raises(OsqueueError):
        _ = engine.epoch


async def test_sweep_when_a_job_comes_with_an_object_of_an_old_epoch_then_refused(
    brokers: Brokers,
) -> None:
    """The law that makes sweeping safe: such an object may be gone any moment."""
    engine = await brokers.start(FlakyPayloads(), payloads=NEVER)
    old = LargePayload(f"payloads/{engine.epoch - 1}/a", len(TEXT), 1)
    held = await soon(engine.ask(Submit((NewJob("a", large=old),))))
    assert not isinstance(held.outcome, Submitted)


async def test_leader_when_started_then_it_sweeps_by_itself_again_and_again(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    await brokers.start(store, payloads=OFTEN)
    for key in ("payloads/1/a", "payloads/2/b"):
        await store.create(key, TEXT)
        async with asyncio.timeout(10):
            while store.payloads:  # noqa: ASYNC110 - the sweeper tells nobody
                await asyncio.sleep(0)


async def test_leader_when_a_sweep_fails_then_it_leads_on_and_sweeps_again(
    brokers: Brokers,
) -> None:
    class Fails(FlakyPayloads):
        lists = 0

        async def list(self, prefix: str = "") -> AsyncIterator[str]:
            if prefix == "payloads/" and self.lists < 3:
                self.lists += 1
                raise StoreUnknownError("m") if self.lists < 2 else RuntimeError("m")
            async for key in super().list(prefix):
                yield key

    store = Fails()
    store.lists = 3
    engine = await brokers.start(store, payloads=OFTEN)
    store.lists = 0
    await store.create("payloads/1/a", TEXT)
    async with asyncio.timeout(10):
        while store.payloads:  # noqa: ASYNC110 - the sweeper tells nobody
            await asyncio.sleep(0)
    assert engine.end is None


async def test_sweeper_when_leadership_is_lost_then_it_ends(brokers: Brokers) -> None:
    store = FlakyPayloads()
    old = await brokers.start(store, payloads=OFTEN)
    assert duties() == 1
    await brokers.start(store, address="you:1", probe=ProbeAnswer.REFUSED, payloads=NEVER)
    assert duties() == 2
    with pytest.raises(OsqueueError):
        await soon(old.ask(Submit((NewJob("a"),))))
    async with asyncio.timeout(10):
        while duties() > 1:  # noqa: ASYNC110 - tasks that end tell nobody
            await asyncio.sleep(0)


def duties() -> int:
    """What leaders do beside committing."""
    return sum(task.get_name() == "osqueue duty" for task in asyncio.all_tasks())


# Copies of a state that an older implementation has overwritten


async def test_sweep_when_a_copy_is_kept_then_nothing_goes_until_it_is_deleted_and_told_once(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    store = FlakyPayloads()
    engine = await brokers.start(store, payloads=NEVER)
    await store.create("payloads/1/orphan", TEXT)
    await store.create(COPY, b"{}")
    sweeper = sweeper_of(engine, store)
    assert [await soon(sweeper.sweep(engine.epoch)) for _ in range(2)] == [0, 0]
    assert set(store.payloads) == {"payloads/1/orphan"}
    (told,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert f"not swept while {COPY} exists" in told.getMessage()
    assert "delete it" in told.getMessage()
    await store.delete(COPY)
    assert await soon(sweeper.sweep(engine.epoch)) == 1
    assert store.payloads == {}


async def test_sweep_when_a_second_copy_is_kept_then_it_is_told_when_the_first_is_gone(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    store = FlakyPayloads()
    engine = await brokers.start(store, payloads=NEVER)
    sweeper = sweeper_of(engine, store)
    for key in (COPY, f"{COPY}0"):
        await store.create(key, b"{}")
    for key in (COPY, f"{COPY}0"):
        await soon(sweeper.sweep(engine.epoch))
        await store.delete(key)
    first, second = (each.getMessage() for each in caplog.records if each.levelname == "WARNING")
    assert f"while {COPY} exists" in first
    assert f"while {COPY}0 exists" in second


@pytest.mark.parametrize("key", [f"{KEY}.before", f"{KEY}.bak", f"old/{COPY}"])
async def test_sweep_when_an_object_is_no_copy_of_this_state_then_it_does_not_mind(
    brokers: Brokers, key: str
) -> None:
    store = FlakyPayloads()
    engine = await brokers.start(store, payloads=NEVER)
    await store.create(key, b"{}")
    await store.create("payloads/1/orphan", TEXT)
    assert await sweep(engine, store) == 1


async def test_sweep_when_a_copy_appears_after_the_listing_then_nothing_goes(
    brokers: Brokers,
) -> None:
    class Overwritten(FlakyPayloads):
        async def list(self, prefix: str = "") -> AsyncIterator[str]:
            async for key in super().list(prefix):
                yield key
            if prefix == "payloads/":
                await self.create(COPY, b"{}")

    store = Overwritten()
    engine = await brokers.start(store, payloads=NEVER)
    await store.create("payloads/1/orphan", TEXT)
    assert await sweep(engine, store) == 0
    assert COPY in [key async for key in store.list(KEY)]
    assert set(store.payloads) == {"payloads/1/orphan"}


async def test_sweep_when_a_copy_appears_while_the_state_is_asked_then_nothing_goes(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    engine = await brokers.start(store, payloads=NEVER)
    await store.create("payloads/1/orphan", TEXT)
    sweeper = sweeper_of(engine, store)

    async def named() -> frozenset[str]:
        await store.create(COPY, b"{}")
        return await named_payloads(engine)

    sweeper._named = named
    assert await soon(sweeper.sweep(engine.epoch)) == 0
    assert set(store.payloads) == {"payloads/1/orphan"}


async def test_sweep_when_a_copy_is_kept_then_a_stray_key_of_the_own_epoch_is_not_forgotten(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    store.applied = True
    engine = await brokers.start(store, payloads=NEVER)
    store.fails["create"] = [StoreUnknownError("m")]
    named = await submit(engine, "a")
    await store.create(COPY, b"{}")
    assert await sweep(engine, store) == 0
    assert len(store.payloads) == 2
    await store.delete(COPY)
    assert await sweep(engine, store) == 1
    assert set(store.payloads) == {named}


async def test_sweep_when_it_cannot_be_asked_who_is_named_then_stray_keys_are_not_forgotten(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    store.applied = True
    engine = await brokers.start(store, payloads=NEVER)
    store.fails["create"] = [StoreUnknownError("m")]
    named = await submit(engine, "a")
    sweeper = sweeper_of(engine, store)

    async def unanswered() -> frozenset[str]:
        raise StoreUnavailableError("m")

    sweeper._named = unanswered
    with pytest.raises(StoreUnavailableError):
        await soon(sweeper.sweep(engine.epoch))
    assert await sweep(engine, store) == 1
    assert set(store.payloads) == {named}


async def test_sweep_when_a_copy_appears_meanwhile_then_stray_keys_are_not_forgotten(
    brokers: Brokers,
) -> None:
    store = FlakyPayloads()
    store.applied = True
    engine = await brokers.start(store, payloads=NEVER)
    store.fails["create"] = [StoreUnknownError("m")]
    named = await submit(engine, "a")
    sweeper = sweeper_of(engine, store)

    async def overwritten() -> frozenset[str]:
        await store.create(COPY, b"{}")
        return await named_payloads(engine)

    sweeper._named = overwritten
    assert await soon(sweeper.sweep(engine.epoch)) == 0
    await store.delete(COPY)
    assert await sweep(engine, store) == 1
    assert set(store.payloads) == {named}


async def test_sweep_when_the_copies_cannot_be_listed_then_nothing_goes(brokers: Brokers) -> None:
    class Unlisted(FlakyPayloads):
        async def list(self, prefix: str = "") -> AsyncIterator[str]:
            if prefix.startswith(KEY):
                raise StoreUnavailableError("m")
            async for key in super().list(prefix):
                yield key

    store = Unlisted()
    engine = await brokers.start(store, payloads=NEVER)
    await store.create("payloads/1/orphan", TEXT)
    with pytest.raises(StoreUnavailableError):
        await sweep(engine, store)
    assert len(store.payloads) == 1


async def test_leader_when_its_predecessor_kept_a_copy_then_it_says_so_and_sweeps_after_it(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    store = FlakyPayloads()
    first = await brokers.start(store, payloads=NEVER)
    ours = await store.get(KEY)
    assert ours is not None
    await store.put(KEY, b'{"jobs":[],"broker":null}', if_version=ours.version)
    with pytest.raises(OsqueueError):
        await soon(first.ask(Submit((NewJob("a"),))))
    (copy,) = [key async for key in store.list(f"{KEY}.")]
    await store.create("payloads/1/orphan", TEXT)
    await soon(first.stop())
    adopting = LeadershipSettings(adopt=True)
    await brokers.start(store, address="you:1", leadership=adopting, payloads=OFTEN)
    async with asyncio.timeout(10):
        while f"not swept while {copy} exists" not in caplog.text:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        assert store.payloads
        await store.delete(copy)
        while store.payloads:  # noqa: ASYNC110 - the sweeper tells nobody
            await asyncio.sleep(0)
