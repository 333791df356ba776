"""Payload objects: written, read and deleted against a store that fails."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.flaky_payloads import FlakyPayloads

from osqueue.clock import SystemEntropy
from osqueue.config import MIB, PayloadSettings
from osqueue.engine.payloads import PayloadLostError, PayloadObjects
from osqueue.errors import (
    CASConflictError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.model.job import LargePayload, checksum

from .conftest import soon

TEXT = b'"' + b"x" * 100 + b'"'
QUICK = PayloadSettings(backoff_ms=1, tries_max=3)


class World:
    def __init__(self, settings: PayloadSettings = QUICK) -> None:
        self.store = FlakyPayloads()
        self.payloads = PayloadObjects(self.store, settings, entropy=SystemEntropy())

    async def write(self, text: bytes = TEXT, epoch: int = 7) -> LargePayload:
        return await soon(self.payloads.write(epoch, "t", text))


async def test_write_when_it_goes_well_then_named_by_epoch_size_and_content() -> None:
    world = World()
    large = await world.write()
    assert world.store.payloads == {large.key: TEXT}
    assert large.key.startswith("payloads/7/")
    assert (large.size, large.content) == (len(TEXT), checksum("t", TEXT))
    assert await soon(world.payloads.fetch(large, "t")) == TEXT


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize(
    "error", [StoreUnknownError, StoreUnavailableError, StoreBusyError, CASConflictError]
)
async def test_write_when_its_fate_is_unclear_then_under_another_key(
    error: type[Exception], applied: bool
) -> None:
    world = World()
    world.store.applied = applied
    world.store.fails["create"] = [error("m"), error("m")]
    large = await world.write()
    assert len(world.store.payloads) == (3 if applied else 1)
    stray = world.payloads.take_stray()
    assert len(stray) == 2
    assert set(world.store.payloads) - {large.key} <= set(stray)
    assert large.key not in stray
    assert world.payloads.take_stray() == []


async def test_write_when_the_store_hangs_then_given_up_in_time() -> None:
    world = World(PayloadSettings(backoff_ms=1, tries_max=2, answer_ms_max=10))

    async def hangs(_key: str, _data: bytes) -> None:
        await asyncio.Event().wait()

    world.store.create = hangs  # type: ignore[method-assign,assignment] # a store that hangs
    with pytest.raises(StoreUnavailableError) as caught:
        await world.write()
    assert caught.value.applied == "no"
    assert len(world.payloads.take_stray()) == 2


async def test_write_when_denied_then_told_at_once() -> None:
    world = World()
    world.store.fails["create"] = [StoreDeniedError("m")]
    with pytest.raises(StoreDeniedError) as caught:
        await world.write()
    assert caught.value.applied == "no"
    assert world.store.calls == ["create"]


async def test_fetch_when_the_store_is_away_then_that_is_no_loss() -> None:
    world = World()
    large = await world.write()
    for error in (StoreUnavailableError("m"), StoreBusyError("m"), StoreDeniedError("m")):
        world.store.fails["get"] = [error]
        with pytest.raises(StoreUnavailableError):
            await soon(world.payloads.fetch(large, "t"))


async def test_fetch_when_missing_twice_then_lost() -> None:
    world = World()
    large = await world.write()
    world.store.fails["get"] = [StoreNotFoundError("m")]
    assert await soon(world.payloads.fetch(large, "t")) == TEXT
    world.store.fails["get"] = [StoreNotFoundError("m")] * 2
    with pytest.raises(PayloadLostError, match="gone"):
        await soon(world.payloads.fetch(large, "t"))


@pytest.mark.parametrize("data", [b"", TEXT[:-1], TEXT + b" ", TEXT.replace(b"x", b"y", 1)])
async def test_fetch_when_it_is_not_what_was_written_then_lost(data: bytes) -> None:
    world = World()
    large = await world.write()
    world.store.damage(large.key, data)
    with pytest.raises(PayloadLostError, match="not what was written"):
        await soon(world.payloads.fetch(large, "t"))


@pytest.mark.parametrize("key", ["queue.json", "payloads/../queue.json", "payloads/", ""])
async def test_object_when_its_key_was_edited_by_hand_then_nothing_else_is_touched(
    key: str,
) -> None:
    world = World()
    await world.store.create("queue.json", b"{}")
    with pytest.raises(PayloadLostError):
        await soon(world.payloads.fetch(LargePayload(key, 2, 1), "t"))
    await soon(world.payloads.discard([key]))
    assert await world.store.get("queue.json") is not None
    assert world.store.calls == []


async def test_discard_when_the_store_fails_then_tried_some_times_and_left() -> None:
    world = World()
    first, second = await world.write(), await world.write()
    world.store.fails["delete"] = [StoreUnavailableError("m")] * 2
    await soon(world.payloads.discard([first.key]))
    assert set(world.store.payloads) == {second.key}
    world.store.fails["delete"] = [StoreUnknownError("m")] * 3
    await soon(world.payloads.discard([second.key]))
    assert set(world.store.payloads) == {second.key}


async def test_discard_when_the_store_fails_in_an_unexpected_way_then_others_go_on() -> None:
    world = World()
    first, second = await world.write(), await world.write()
    world.store.fails["delete"] = [RuntimeError("m")]
    await soon(world.payloads.discard([first.key, second.key]))
    assert len(world.store.payloads) == 1


async def test_discard_when_the_store_goes_on_failing_then_the_sweeper_is_told() -> None:
    world = World()
    lost, odd = await world.write(), await world.write()
    world.store.fails["delete"] = [StoreUnknownError("m")] * 3
    await soon(world.payloads.discard([lost.key]))
    world.store.fails["delete"] = [RuntimeError("m")]
    await soon(world.payloads.discard([odd.key]))
    assert world.payloads.strays == 2
    assert world.payloads.take_stray() == [lost.key, odd.key]


async def test_discard_when_too_many_wait_for_a_slow_store_then_the_rest_is_the_sweepers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("osqueue.engine.payloads.DISCARDS_MAX", 2)
    world = World()
    keys = [(await world.write()).key for _ in range(5)]
    first = asyncio.ensure_future(world.payloads.discard(keys[:1]))
    await asyncio.sleep(0)
    await soon(world.payloads.discard(keys[1:]))
    await soon(first)
    assert set(world.store.payloads) == set(keys[2:])
    assert world.payloads.take_stray() == keys[2:]
    await soon(world.payloads.discard(keys[2:4]))
    assert set(world.store.payloads) == {keys[4]}


@pytest.mark.parametrize("size", [100, 2 * MIB])
async def test_fault_when_judged_then_alike_whatever_the_size(size: int) -> None:
    world = World()
    text = b'["' + b"x" * size + b'"]'
    assert await soon(world.payloads.fault(text)) is None
    assert await soon(world.payloads.fault(text[:-1])) is not None


async def test_large_payload_when_written_and_read_then_checked_off_the_loop() -> None:
    world = World()
    text = b'"' + b"x" * (2 * MIB) + b'"'
    large = await world.write(text)
    assert large.content == checksum("t", text)
    assert await soon(world.payloads.fetch(large, "t")) == text
