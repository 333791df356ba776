"""The scripted store passes the contract without a script, and with one does what it says."""

from __future__ import annotations

import asyncio

import pytest

from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage import MemoryBackend, Store, Stored, Version
from osqueue.testing import Fault, Happened, ScriptedStore, Step, StoreContract
from osqueue.testing.store_expectations import keys_of

KEY = "queue.json"


class TestScriptedStoreWithoutAScript(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.truth = MemoryBackend()

    async def make_store(self) -> Store:
        return ScriptedStore(self.truth)


@pytest.fixture
def truth() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
async def version(truth: MemoryBackend) -> Version:
    return await truth.create(KEY, b"one")


async def content(truth: MemoryBackend) -> bytes:
    stored = await truth.get(KEY)
    assert stored is not None
    return stored.data


@pytest.mark.parametrize(
    ("fault", "error", "left"),
    [
        (Fault.LOST_REQUEST, StoreUnknownError, b"one"),
        (Fault.LOST_REPLY, StoreUnknownError, b"two"),
        (Fault.LATE_WRITE, StoreUnknownError, b"one"),
        (Fault.FALSE_CONFLICT, CASConflictError, b"two"),
        (Fault.CONFLICT, CASConflictError, b"one"),
        (Fault.BUSY, StoreBusyError, b"one"),
        (Fault.UNAVAILABLE, StoreUnavailableError, b"one"),
        (Fault.DENIED, StoreDeniedError, b"one"),
        (Fault.NOT_FOUND, StoreNotFoundError, b"one"),
    ],
)
async def test_put_with_each_fault_then_its_error_and_its_effect(
    fault: Fault, error: type[OsqueueError], left: bytes, truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", fault)])
    with pytest.raises(error):
        await store.put(KEY, b"two", if_version=version)
    assert await content(truth) == left
    assert store.log == [Happened("put", KEY, error.__name__, fault)]


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.UNAVAILABLE])
async def test_get_that_is_lost_then_unavailable_because_a_read_is_never_unknown(
    fault: Fault, truth: MemoryBackend, version: Version
) -> None:
    assert version
    store = ScriptedStore(truth, [Step("get", fault)])
    with pytest.raises(StoreUnavailableError):
        await store.get(KEY)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.LOST_REQUEST, StoreUnavailableError),
        (Fault.LOST_REPLY, StoreUnavailableError),
        (Fault.BUSY, StoreBusyError),
        (Fault.DENIED, StoreDeniedError),
        (Fault.NOT_FOUND, StoreNotFoundError),
    ],
)
async def test_head_with_each_fault_then_the_error_of_a_read_and_the_next_passes(
    fault: Fault, error: type[OsqueueError], truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("head", fault)])
    with pytest.raises(error):
        await store.head(KEY)
    assert await store.head(KEY) == version
    assert store.log == [Happened("head", KEY, error.__name__, fault), Happened("head", KEY, "ok")]


async def test_held_head_then_the_version_of_before_or_after_its_release(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("head", hold="reply"), Step("head", hold="request")])
    heads = [asyncio.create_task(store.head(KEY)) for _ in range(2)]
    await store.held()
    await asyncio.sleep(0)
    later = await truth.put(KEY, b"two", if_version=version)
    store.release()
    store.release()
    assert [await head for head in heads] == [version, later]


async def test_script_then_each_step_waits_for_its_call_and_others_pass(
    truth: MemoryBackend,
) -> None:
    store = ScriptedStore(truth, [Step("put", Fault.BUSY), Step("get", Fault.DENIED), Step("get")])
    version = await store.create(KEY, b"one")
    await store.get(KEY)
    with pytest.raises(StoreBusyError):
        await store.put(KEY, b"two", if_version=version)
    await store.put(KEY, b"two", if_version=version)
    assert list(store.unused) == [Step("get", Fault.DENIED), Step("get")]
    with pytest.raises(StoreDeniedError):
        await store.get(KEY)
    await store.get(KEY)
    assert list(store.unused) == []
    assert [(entry.call, entry.outcome) for entry in store.log] == [
        ("create", "ok"), ("get", "ok"), ("put", "StoreBusyError"), ("put", "ok"),
        ("get", "StoreDeniedError"), ("get", "ok"),
    ]  # fmt: skip


async def test_then_when_the_script_has_ended_then_it_goes_on(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth)
    await store.get(KEY)
    store.then(Step("delete", Fault.LOST_REPLY))
    with pytest.raises(StoreUnknownError):
        await store.delete(KEY)
    with pytest.raises(StoreNotFoundError):
        await store.put(KEY, b"two", if_version=version)


async def test_late_write_when_told_to_land_then_applied(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", Fault.LATE_WRITE)])
    with pytest.raises(StoreUnknownError):
        await store.put(KEY, b"two", if_version=version)
    await store.get(KEY)
    assert await content(truth) == b"one"
    assert await store.land() == 1
    assert await store.land() == 0
    assert await content(truth) == b"two"
    assert store.log[-1] == Happened("put", KEY, "ok", Fault.LATE_WRITE, late=True)


async def test_late_write_when_overtaken_then_lands_without_effect(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", Fault.LATE_WRITE)])
    with pytest.raises(StoreUnknownError):
        await store.put(KEY, b"late", if_version=version)
    await store.put(KEY, b"two", if_version=version)
    assert await store.land() == 0
    assert await content(truth) == b"two"
    assert store.log[-1] == Happened("put", KEY, "CASConflictError", Fault.LATE_WRITE, late=True)


async def test_late_write_after_two_calls_then_the_third_sees_it(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", Fault.LATE_WRITE, after=2)])
    with pytest.raises(StoreUnknownError):
        await store.put(KEY, b"two", if_version=version)
    assert await store.get(KEY, unless=version) is None
    assert await store.get(KEY, unless=version) is None
    assert await store.get(KEY, unless=version) is not None
    assert await store.land() == 0


@pytest.mark.parametrize(
    ("hold", "while_held"), [("request", b"one"), ("reply", b"two")]
)  # fmt: skip
async def test_held_put_then_waits_for_its_release_before_or_after_its_effect(
    hold: str, while_held: bytes, truth: MemoryBackend, version: Version
) -> None:
    step = Step("put", hold="request") if hold == "request" else Step("put", hold="reply")
    store = ScriptedStore(truth, [step])
    put = asyncio.create_task(store.put(KEY, b"two", if_version=version))
    await store.held()
    assert await content(truth) == while_held
    assert not put.done()
    store.release()
    await put
    assert await content(truth) == b"two"


async def test_held_calls_then_released_oldest_first(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("get", hold="reply")] * 2)
    first = asyncio.create_task(store.get(KEY))
    await store.held()
    second = asyncio.create_task(store.get(KEY, unless=version))
    await asyncio.sleep(0)
    store.release()
    assert await first is not None
    assert not second.done()
    await store.held()
    store.release()
    assert await second is None


async def test_held_put_with_a_lost_reply_then_applied_at_once_and_unknown_at_its_release(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", Fault.LOST_REPLY, hold="reply")])
    put = asyncio.create_task(store.put(KEY, b"two", if_version=version))
    await store.held()
    assert await content(truth) == b"two"
    store.release()
    with pytest.raises(StoreUnknownError):
        await put


async def test_held_put_when_cancelled_then_logged_and_no_longer_held(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", hold="request"), Step("get", hold="request")])
    put = asyncio.create_task(store.put(KEY, b"two", if_version=version))
    await store.held()
    put.cancel()
    await asyncio.gather(put, return_exceptions=True)
    assert store.log == [Happened("put", KEY, "cancelled")]
    get = asyncio.create_task(store.get(KEY))
    await store.held()
    store.release()
    assert await get is not None
    assert await content(truth) == b"one"


async def test_get_that_is_truncated_then_half_of_the_bytes_as_if_they_were_all(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("get", Fault.TRUNCATED)] * 2)
    assert await store.get(KEY) == Stored(b"o", version)
    assert await store.get(KEY, unless=version) is None
    assert await store.get(KEY) == Stored(b"one", version)


async def test_slow_put_then_applied_before_it_is_answered(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", Fault.SLOW, delay_s=0.02)])
    put = asyncio.create_task(store.put(KEY, b"two", if_version=version))
    await asyncio.sleep(0)
    assert await content(truth) == b"two"
    assert not put.done()
    assert await put == (await truth.get(KEY)).version  # type: ignore[union-attr]  # it is there


async def test_hanging_put_then_applied_and_never_answered(
    truth: MemoryBackend, version: Version
) -> None:
    store = ScriptedStore(truth, [Step("put", Fault.HANGING)])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.put(KEY, b"two", if_version=version), 0.02)
    assert await content(truth) == b"two"
    assert store.log == [Happened("put", KEY, "cancelled", Fault.HANGING)]


async def test_list_with_a_fault_then_unavailable_and_the_next_passes(
    truth: MemoryBackend, version: Version
) -> None:
    assert version
    store = ScriptedStore(truth, [Step("list", Fault.LOST_REPLY)])
    with pytest.raises(StoreUnavailableError):
        await keys_of(store)
    assert await keys_of(store) == [KEY]


@pytest.mark.parametrize(
    ("on", "fault", "after"),
    [
        ("get", Fault.LATE_WRITE, None),
        ("get", Fault.CONFLICT, None),
        ("head", Fault.LATE_WRITE, None),
        ("head", Fault.TRUNCATED, None),
        ("delete", Fault.FALSE_CONFLICT, None),
        ("create", Fault.NOT_FOUND, None),
        ("put", Fault.LOST_REPLY, 1),
        ("put", Fault.LATE_WRITE, 0),
        ("put", Fault.TRUNCATED, None),
        ("list", Fault.LATE_WRITE, None),
        ("list", Fault.NOT_FOUND, None),
        ("get", Fault.SLOW, None),
    ],
)
def test_step_without_sense_then_refused_when_it_is_written(
    on: str, fault: Fault, after: int | None
) -> None:
    with pytest.raises(ValueError, match=r"says nothing|after is for|needs a delay"):
        Step(on, fault, after=after)  # type: ignore[arg-type]  # as a test without types would


async def test_wrapped_store_then_its_url_and_keys_show(
    truth: MemoryBackend, version: Version
) -> None:
    assert version
    store = ScriptedStore(truth)
    assert store.url == truth.url
    assert await keys_of(store) == [KEY]
