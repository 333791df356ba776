from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from osqueue.clock import Clock, SystemClock
from osqueue.config import LeadershipSettings, QueueLimits
from osqueue.engine import leadership as module
from osqueue.engine.election import Ask, Election, ProbeAnswer
from osqueue.engine.leadership import Leadership, Place
from osqueue.errors import (
    BrokerLeadershipError,
    CorruptStateError,
    OsqueueError,
    StoreDeniedError,
    StoreUnavailableError,
)
from osqueue.model.job import Moment
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Stored, Version
from osqueue.testing import Fault, ScriptedStore, Step

KEY = "queue.json"
WALL_MS = 1_800_000_000_123


class FixedWall(SystemClock):
    def wall_ms(self) -> int:
        return WALL_MS


class Moving(MemoryBackend):
    """Something writes the object whenever it is looked at."""

    async def head(self, key: str) -> Version:
        stored = await self.get(key)
        assert stored is not None
        return stored.version

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self.change = change

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        stored = await super().get(key, unless=unless)
        assert stored is not None
        await self.put(key, self.change(stored.data), if_version=stored.version)
        return stored


class Hanging(MemoryBackend):
    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        await asyncio.Event().wait()
        return await super().get(key, unless=unless)


def state(**fields: object) -> bytes:
    whole = {"format": 1, "epoch": 7, "commit": "7-3-x", "broker": None, "jobs": []}
    return json.dumps({**whole, **fields}).encode()


def acquiring(
    store: MemoryBackend | ScriptedStore,
    *,
    probe: ProbeAnswer = ProbeAnswer.SILENT,
    asked: list[Ask] | None = None,
    clock: Clock | None = None,
    adopt: bool = False,
) -> Leadership:
    async def ask(ask: Ask) -> ProbeAnswer:
        if asked is not None:
            asked.append(ask)
        return probe

    quick = LeadershipSettings(heartbeat_interval_ms=10, heartbeat_timeout_ms=50, adopt=adopt)
    election = Election("me:1", "me", settings=quick)
    return Leadership(election, store, KEY, clock=clock or FixedWall(), probe=ask)


async def taken(leadership: Leadership) -> Place:
    place = await asyncio.wait_for(leadership.chance(), 10)
    assert place is not None, leadership.halted
    return place


async def acquire(store: MemoryBackend | ScriptedStore, probe: ProbeAnswer) -> Place:
    return await taken(acquiring(store, probe=probe))


async def acquired(data: bytes, probe: ProbeAnswer = ProbeAnswer.SILENT) -> Place:
    store = MemoryBackend()
    await store.create(KEY, data)
    return await acquire(store, probe)


async def test_chance_when_nothing_is_stored_then_it_begins_at_the_unix_second() -> None:
    place = await acquire(MemoryBackend(), ProbeAnswer.SILENT)
    assert (place.base, place.epoch) == (None, 1_800_000_000)
    assert place.open(QueueLimits(), Moment(0, 0)).jobs == {}


@pytest.mark.parametrize("other", ["archive/2026-01-01T00/1.jsonl", "payloads/7/x"])
async def test_chance_when_only_the_state_is_missing_then_it_is_corrupt(other: str) -> None:
    store = MemoryBackend()
    await store.create(other, b"")
    with pytest.raises(CorruptStateError, match=other):
        await acquire(store, ProbeAnswer.SILENT)
    assert [key async for key in store.list()] == [other]


async def test_chance_when_other_keys_lie_beside_it_then_they_do_not_matter() -> None:
    store = MemoryBackend()
    await store.create("queue.json.before-x", b"")
    assert (await acquire(store, ProbeAnswer.SILENT)).base is None


async def test_chance_when_leadership_was_released_then_the_epoch_counts_up() -> None:
    place = await acquired(state())
    assert place.base is not None
    assert (place.epoch, place.base.commit, place.base.data) == (8, "7-3-x", state())


async def test_chance_when_an_older_implementation_wrote_then_it_begins_at_the_second() -> None:
    place = await acquired(b'{"broker":null,"brokerHeartbeat":5,"jobs":[],"completedTotal":2}')
    assert place.base is not None
    assert (place.epoch, place.base.commit) == (1_800_000_000, None)
    assert place.open(QueueLimits(), Moment(0, 0)).completed_total == 2


async def test_chance_when_the_address_is_its_own_then_nobody_is_asked() -> None:
    store, asked = MemoryBackend(), list[Ask]()
    await store.create(KEY, state(broker="me:1", brokerId="before"))
    assert (await taken(acquiring(store, asked=asked))).epoch == 8
    assert asked == []


@pytest.mark.parametrize("probe", [ProbeAnswer.REFUSED, ProbeAnswer.OTHER])
async def test_chance_when_the_leader_is_not_there_then_it_takes_at_once(
    probe: ProbeAnswer,
) -> None:
    assert (await acquired(state(broker="them:1"), probe)).epoch == 8


async def standing_by(store: MemoryBackend | ScriptedStore, probe: ProbeAnswer) -> Leadership:
    """Watches until it is known that somebody else leads, and for a while after."""
    asked = list[Ask]()
    leadership = acquiring(store, probe=probe, asked=asked)
    chance = asyncio.ensure_future(leadership.chance())
    await asyncio.wait_for(leadership.waiting.wait(), 10)
    while len(asked) < 20:  # noqa: ASYNC110 - the world does not tell when it was looked at
        await asyncio.sleep(0.001)
    assert not chance.done()
    chance.cancel()
    return leadership


async def test_chance_when_the_leader_answers_then_it_stands_by() -> None:
    store = MemoryBackend()
    await store.create(KEY, state(broker="them:1", brokerId="t"))
    await standing_by(store, ProbeAnswer.LEADER)


async def test_chance_when_the_store_fails_while_it_stands_by_then_it_goes_on() -> None:
    store = ScriptedStore(MemoryBackend(), [Step("head", Fault.UNAVAILABLE)])
    await store.create(KEY, state(broker="them:1", brokerId="t"))
    await standing_by(store, ProbeAnswer.LEADER)
    assert sum(call.call == "head" for call in store.log) > 1


async def test_chance_when_the_store_fails_once_its_time_has_come_then_it_tries_again() -> None:
    store = MemoryBackend()
    await store.create(KEY, b'{"broker":"old:1","brokerHeartbeat":5,"jobs":[]}')
    at_first = Step("list")
    script = ScriptedStore(store, [at_first, Step("list", Fault.UNAVAILABLE)])
    place = await acquire(script, ProbeAnswer.SILENT)
    assert place.epoch == 1_800_000_000
    assert place.base is not None
    assert script.unused == ()


async def test_chance_when_a_silent_leader_stands_still_then_it_takes_in_the_end() -> None:
    store = ScriptedStore(MemoryBackend())
    await store.create(KEY, state(broker="them:1", brokerId="t", heartbeatEvery=10))
    assert (await acquire(store, ProbeAnswer.SILENT)).epoch == 8
    assert len(store.log) > 3, "it was watched for a while"


async def test_chance_when_a_silent_leader_goes_on_writing_then_it_stands_by() -> None:
    def beat(data: bytes) -> bytes:
        whole = json.loads(data)
        return json.dumps({**whole, "commit": whole["commit"] + "x"}).encode()

    store = Moving(beat)
    await store.create(KEY, state(broker="them:1", brokerId="t"))
    await standing_by(store, ProbeAnswer.SILENT)


OVERWRITTEN = b'{"broker":"old:1","brokerHeartbeat":5,"jobs":[],"completedTotal":2}'


async def overwritten() -> MemoryBackend:
    store = MemoryBackend()
    await store.create(KEY, OVERWRITTEN)
    await store.create(f"{KEY}.before-1900000000-3-x", state())
    return store


async def test_chance_when_an_older_implementation_has_overwritten_ours_then_it_is_refused() -> (
    None
):
    with pytest.raises(BrokerLeadershipError, match=r"before-1900000000-3-x.*--adopt"):
        await acquire(await overwritten(), ProbeAnswer.REFUSED)


async def test_chance_when_told_to_adopt_then_it_goes_on_under_an_epoch_never_used() -> None:
    place = await taken(acquiring(await overwritten(), probe=ProbeAnswer.SILENT, adopt=True))
    assert place.base is not None
    assert (place.base.data, place.epoch) == (OVERWRITTEN, 1_900_000_001)


async def test_chance_when_payloads_tell_of_a_higher_epoch_then_it_is_not_used_again() -> None:
    store = MemoryBackend()
    await store.create(KEY, OVERWRITTEN)
    await store.create("payloads/1900000000/x", b"1")
    place = await acquire(store, ProbeAnswer.REFUSED)
    assert place.epoch == 1_900_000_001


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (b"", "empty"),
        (b'{"jobs":[', "not a state object"),
        (state(format=2), "format 2"),
        (b"\xff\xfe", "not a state object"),
    ],
)
async def test_chance_when_the_object_cannot_be_read_then_it_is_left_untouched(
    damage: bytes, named: str
) -> None:
    store = MemoryBackend()
    version = await store.create(KEY, damage)
    with pytest.raises(CorruptStateError, match=named) as raised:
        await acquire(store, ProbeAnswer.REFUSED)
    assert f"memory:// {KEY}" in raised.value.message
    assert await store.get(KEY) == Stored(damage, version)


async def test_open_when_a_job_cannot_be_read_then_the_object_is_named() -> None:
    place = await acquired(state(jobs=[{"id": 5}]))
    with pytest.raises(CorruptStateError, match=KEY):
        place.open(QueueLimits(), Moment(0, 0))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.DENIED, StoreDeniedError), (Fault.UNAVAILABLE, StoreUnavailableError)],
)
async def test_chance_when_the_store_cannot_be_read_then_its_error_comes_through(
    fault: Fault, kind: type[OsqueueError]
) -> None:
    with pytest.raises(kind):
        await acquire(ScriptedStore(MemoryBackend(), [Step("get", fault)]), ProbeAnswer.SILENT)


async def test_chance_when_the_store_hangs_then_it_gives_up_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STORE_ANSWER_S_MAX", 0.01)
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        await acquire(Hanging(), ProbeAnswer.SILENT)
