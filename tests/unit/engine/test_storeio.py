from __future__ import annotations

import asyncio
import logging

import pytest

from osqueue.engine import storeio
from osqueue.engine.requests import (
    Conflicted,
    Failed,
    Found,
    Gone,
    Unapplied,
    Unchanged,
    Unclear,
    Write,
    Written,
)
from osqueue.engine.storeio import read_object, save_object, write_object
from osqueue.errors import StoreUnknownError
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Stored, Version
from osqueue.testing import Fault, ScriptedStore, Step

KEY = "queue.json"


def store(*script: Step) -> ScriptedStore:
    return ScriptedStore(MemoryBackend(), script)


class Strange(MemoryBackend):
    """A store that fails as no store should, or not at all."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error

    async def create(self, key: str, data: bytes) -> Version:
        await self._fail()
        return await super().create(key, data)

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        await self._fail()
        return await super().get(key, unless=unless)

    async def _fail(self) -> None:
        if self.error is None:
            await asyncio.Event().wait()
        else:
            raise self.error


async def test_write_when_there_is_no_precondition_then_it_creates() -> None:
    memory = store()
    written = await write_object(memory, KEY, Write(b"1", None))
    assert isinstance(written, Written)
    assert await memory.get(KEY) == Stored(b"1", written.version)
    assert await write_object(memory, KEY, Write(b"2", None)) == Conflicted()


async def test_write_when_the_version_matches_then_it_replaces() -> None:
    memory = store()
    first = await memory.create(KEY, b"1")
    assert isinstance(await write_object(memory, KEY, Write(b"2", first)), Written)
    assert await write_object(memory, KEY, Write(b"3", first)) == Conflicted()


async def test_write_when_the_object_is_not_there_then_it_is_gone() -> None:
    assert await write_object(store(), KEY, Write(b"2", Version("1"))) == Gone()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.LOST_REPLY, Unclear),
        (Fault.LOST_REQUEST, Unclear),
        (Fault.LATE_WRITE, Unclear),
        (Fault.CONFLICT, Conflicted),
        (Fault.FALSE_CONFLICT, Conflicted),
        (Fault.BUSY, Unapplied),
        (Fault.UNAVAILABLE, Unapplied),
        (Fault.DENIED, Unapplied),
    ],
)
async def test_write_when_the_store_fails_then_it_is_told_apart(fault: Fault, kind: type) -> None:
    result = await write_object(store(Step("create", fault)), KEY, Write(b"1", None))
    assert type(result) is kind
    if isinstance(result, Unapplied | Unclear):
        assert fault in result.why
    if isinstance(result, Unapplied):
        assert result.busy is (fault is Fault.BUSY), "only that is over by waiting"


@pytest.mark.parametrize("error", [ValueError("odd"), TimeoutError(), OSError(5, "io")])
async def test_write_when_the_store_fails_strangely_then_its_fate_is_unclear(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "osqueue.engine")
    assert isinstance(await write_object(Strange(error), KEY, Write(b"1", None)), Unclear)


async def test_write_when_the_store_hangs_then_its_fate_is_unclear_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storeio, "STORE_ANSWER_S_MAX", 0.01)
    result = await asyncio.wait_for(write_object(Strange(None), KEY, Write(b"1", None)), 5)
    assert result == Unclear("the store did not answer within 0.01 s")


async def test_write_when_it_is_cancelled_then_that_is_no_answer_of_the_store() -> None:
    task = asyncio.create_task(write_object(Strange(None), KEY, Write(b"1", None)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_failure_when_it_is_strange_then_it_is_logged_in_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await write_object(Strange(ValueError("odd")), KEY, Write(b"1", None))
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_failure_when_it_is_a_known_one_then_it_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await write_object(Strange(StoreUnknownError("reset")), KEY, Write(b"1", None))
    assert caplog.records == []


async def test_read_when_the_object_is_there_then_it_is_found() -> None:
    memory = store()
    version = await memory.create(KEY, b"1")
    assert await read_object(memory, KEY) == Found(Stored(b"1", version))
    assert await read_object(memory, KEY, unless=version) == Unchanged()
    assert await read_object(memory, KEY, unless=Version("x")) == Found(Stored(b"1", version))


async def test_read_when_there_is_none_then_it_is_gone() -> None:
    assert await read_object(store(), KEY) == Gone()


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.UNAVAILABLE, Fault.DENIED])
async def test_read_when_the_store_fails_then_nothing_was_read(fault: Fault) -> None:
    assert isinstance(await read_object(store(Step("get", fault)), KEY), Failed)


async def test_read_when_the_store_hangs_then_it_fails_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storeio, "STORE_ANSWER_S_MAX", 0.01)
    result = await asyncio.wait_for(read_object(Strange(None), KEY), 5)
    assert result == Failed("the store did not answer within 0.01 s")


async def test_save_when_the_key_is_free_then_the_bytes_are_kept_there() -> None:
    memory = store()
    assert await save_object(memory, "k", b"1") == "k"
    stored = await memory.get("k")
    assert stored is not None
    assert stored.data == b"1"


async def test_save_when_it_is_unclear_at_first_then_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storeio, "SAVE_PAUSE_S", 0)
    memory = store(Step("create", Fault.LOST_REPLY), Step("create", Fault.BUSY))
    assert await save_object(memory, "k", b"1") == "k"
    assert memory.unused == ()


async def test_save_when_the_store_will_not_then_it_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storeio, "SAVE_PAUSE_S", 0)
    memory = store(*[Step("create", Fault.DENIED)] * storeio.SAVE_ATTEMPTS_MAX)
    assert await save_object(memory, "k", b"1") is None
    assert memory.unused == ()
