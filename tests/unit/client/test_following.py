"""A client among several brokers, over real sockets on loopback; its pauses pass at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.client.conftest import CountingEntropy, ManualTime
from tests.unit.client.scripted_broker import (
    STATS,
    ScriptedBroker,
    answers,
    hangs,
    redirects,
    refuses,
    running,
)

from osqueue.client import OsqueueClient, Runtime, health
from osqueue.client.brokers import LEARNT_MAX
from osqueue.client.following import HOPS_MAX
from osqueue.client.watching import CHECK_EVERY_S
from osqueue.config import ClientSettings
from osqueue.errors import (
    BrokerLeadershipError,
    DiscoveryError,
    JobNotFoundError,
    OverloadedError,
    StoreDeniedError,
    TransportConfigError,
    TransportConnectionError,
)
from osqueue.storage import MemoryBackend

ONCE = ClientSettings(retry_for_ms=0)
SUBMITTED = {"jobId": "a"}


class WatchedTime(ManualTime):
    """Pauses pass at once; a watch looks when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.look = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds != CHECK_EVERY_S:
            await super().sleep(seconds)
            return
        await self.look.wait()
        self.look.clear()


@pytest.fixture
def time() -> WatchedTime:
    return WatchedTime()


@pytest.fixture
async def brokers() -> AsyncIterator[list[ScriptedBroker]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(ScriptedBroker())) for _ in range(3)]


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
async def clients(time: WatchedTime) -> AsyncIterator[Any]:
    runtime = Runtime(clock=time, entropy=CountingEntropy(), sleep=time.sleep)
    async with AsyncExitStack() as stack:

        async def make(*urls: str, **options: Any) -> OsqueueClient:
            client = OsqueueClient(list(urls) or None, transport="rest", runtime=runtime, **options)
            return await stack.enter_async_context(client)

        yield make


async def _store(address: str | None, epoch: int = 5) -> MemoryBackend:
    store = MemoryBackend()
    await _name(store, address, epoch)
    return store


async def _name(store: MemoryBackend, address: str | None, epoch: int) -> None:
    named = "null" if address is None else f'"{address}"'
    data = f'{{"format":1,"epoch":{epoch},"broker":{named},"brokerHeartbeat":1,"jobs":[]}}'
    await store.delete("queue.json")
    await store.create("queue.json", data.encode())


@pytest.mark.parametrize("status", [307, 503])
async def test_call_when_redirected_then_follows_at_once_and_remembers(
    brokers: list[ScriptedBroker], clients: Any, time: WatchedTime, status: int
) -> None:
    standby, leader, _ = brokers
    standby.otherwise = redirects(leader.address, status=status)
    leader.otherwise = answers(STATS, epoch=5)
    client = await clients(standby.url)

    await client.get_stats()
    await client.get_stats()

    assert standby.paths == ["/v1/stats"]
    assert leader.paths == ["/v1/stats"] * 2
    assert time.slept_ms == []


async def test_call_when_redirected_then_the_same_request_arrives(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    standby, leader, _ = brokers
    standby.otherwise = redirects(leader.address)
    leader.otherwise = answers(SUBMITTED, epoch=5)

    await (await clients(standby.url)).submit_job("t", {"x": 1})

    assert standby.asked == leader.asked
    assert leader.asked[0].body["jobId"]


@pytest.mark.parametrize("call", ["retry_job", "cancel_job"])
async def test_call_without_ids_when_redirected_follows_since_nothing_was_applied(
    brokers: list[ScriptedBroker], clients: Any, call: str
) -> None:
    standby, leader, _ = brokers
    standby.otherwise = redirects(leader.address)

    await getattr(await clients(standby.url, settings=ONCE), call)("a")

    assert len(leader.asked) == 1


async def test_retry_of_a_job_when_redirected_in_doubt_is_not_sent_again(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    standby, leader, _ = brokers
    standby.otherwise = redirects(leader.address, applied="unknown")

    with pytest.raises(BrokerLeadershipError):
        await (await clients(standby.url)).retry_job("a")
    assert leader.asked == []


async def test_call_when_sent_in_a_circle_ends_after_some_hops(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    one, two, _ = brokers
    one.otherwise, two.otherwise = redirects(two.address), redirects(one.address)

    with pytest.raises(BrokerLeadershipError):
        await (await clients(one.url, settings=ONCE)).get_stats()
    assert len(one.asked) + len(two.asked) == HOPS_MAX + 1


async def test_call_when_the_leader_is_not_known_asks_the_other_one_after_a_pause(
    brokers: list[ScriptedBroker], clients: Any, time: WatchedTime
) -> None:
    one, two, _ = brokers
    one.otherwise, two.otherwise = redirects(None), answers(STATS, epoch=5)

    await (await clients(one.url, two.url)).get_stats()

    assert len(one.asked) == 1
    assert len(time.slept_ms) == 1


async def test_call_without_retries_when_a_broker_is_gone_then_the_next_call_asks_another(
    brokers: list[ScriptedBroker], clients: Any, nobody: str
) -> None:
    brokers[0].otherwise = answers(STATS, epoch=5)
    client = await clients(f"http://{nobody}", brokers[0].url, settings=ONCE)

    with pytest.raises(TransportConnectionError, match=f"http://{nobody}: connection refused"):
        await client.get_stats()
    await client.get_stats()


async def test_call_when_a_broker_says_that_it_is_stopping_then_asks_another(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    one, two, _ = brokers
    one.otherwise, two.otherwise = refuses("EngineStateError", status=503), answers(STATS, epoch=5)

    await (await clients(one.url, two.url)).get_stats()

    assert len(one.asked) == 1


@pytest.mark.parametrize(
    ("tag", "status", "error"),
    [("OverloadedError", 429, OverloadedError), ("JobNotFoundError", 404, JobNotFoundError)],
)
async def test_call_when_the_leader_refuses_then_it_stays_the_leader(
    brokers: list[ScriptedBroker], clients: Any, tag: str, status: int, error: type[Exception]
) -> None:
    one, two, _ = brokers
    one.otherwise = refuses(tag, status=status)
    client = await clients(one.url, two.url, settings=ONCE)

    for _ in range(2):
        with pytest.raises(error):
            await client.get_job("a")
    assert two.asked == []


async def test_call_when_nobody_answers_then_the_error_names_all_that_were_tried(
    clients: Any, nobody: str
) -> None:
    client = await clients(f"http://{nobody}", "http://localhost:1")

    with pytest.raises(TransportConnectionError) as caught:
        await client.get_stats()

    assert nobody in caught.value.message
    assert "http://localhost:1" in caught.value.message
    assert "also tried" in caught.value.message


@pytest.mark.parametrize("transport", ["ws", "grpc"])
async def test_calls_that_wait_for_one_connection_when_there_is_none_then_each_has_its_own_error(
    nobody: str, transport: str
) -> None:
    urls = [f"http://{nobody}", "http://localhost:1"]
    async with OsqueueClient(urls, transport=transport, settings=ONCE) as client:
        with pytest.raises(TransportConnectionError):
            await client.get_stats()
        calls = [client.get_stats() for _ in range(5)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
    assert len({id(error) for error in errors}) == 5
    for error in errors:
        assert isinstance(error, TransportConnectionError)
        assert (error.message.count("also tried"), error.applied) == (1, "no")


async def test_call_when_given_up_by_its_caller_then_the_next_one_asks_another(
    brokers: list[ScriptedBroker], clients: Any, time: WatchedTime
) -> None:
    one, two, _ = brokers
    one.otherwise, two.otherwise = hangs(), answers(STATS, epoch=5)
    client = await clients(one.url, two.url, settings=ONCE)
    call = asyncio.create_task(client.get_stats())
    await one.until(lambda: one.asked)

    time.now_ms += 500
    call.cancel()
    await asyncio.wait({call})

    assert call.cancelled()
    await client.get_stats()
    assert len(two.asked) == 1


async def test_call_when_given_up_early_then_the_broker_is_not_to_blame(
    brokers: list[ScriptedBroker], clients: Any, time: WatchedTime
) -> None:
    one, two, _ = brokers
    one.says["/v1/jobs/claim"] = hangs()
    one.otherwise = answers(STATS, epoch=5)
    client = await clients(one.url, two.url, settings=ONCE)
    call = asyncio.create_task(client.claim_jobs("w", max_jobs=1, wait_ms=20_000))
    await one.until(lambda: one.asked)

    time.now_ms += 20_499
    call.cancel()
    await asyncio.wait({call})

    await client.get_stats()
    assert two.asked == []


async def test_refusal_when_it_rests_on_an_older_epoch_then_asks_another_broker(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    old, new, _ = brokers
    gone = {"_tag": "JobNotFoundError", "message": "no job a"}
    old.says["/v1/jobs"] = redirects(new.address)
    old.otherwise = answers(gone, epoch=5, status=404)
    new.says["/v1/jobs"] = answers(SUBMITTED, epoch=6)
    new.says["/v1/jobs/a"] = redirects(old.address)
    client = await clients(old.url, settings=ONCE)
    await client.submit_job("t")

    with pytest.raises(DiscoveryError, match="no job a"):
        await client.cancel_job("a")
    new.says["/v1/jobs/a"] = answers(gone, epoch=6, status=404)

    with pytest.raises(JobNotFoundError):
        await client.cancel_job("a")
    assert new.paths[-1] == "/v1/jobs/a"


async def test_read_when_answered_from_an_older_epoch_then_asks_another_broker(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    old, new, _ = brokers
    old.says["/v1/jobs"] = redirects(new.address)
    old.otherwise = answers(STATS, epoch=5)
    new.says["/v1/jobs"] = answers(SUBMITTED, epoch=6)
    new.says["/v1/stats"] = redirects(old.address)
    client = await clients(old.url, settings=ONCE)
    await client.submit_job("t")

    with pytest.raises(DiscoveryError, match="epoch 5"):
        await client.get_stats()
    new.says["/v1/stats"] = answers({**STATS, "total": 7}, epoch=6)

    assert (await client.get_stats()).total == 7


@pytest.mark.parametrize("retry_for_ms", [0, 30_000])
async def test_claim_under_way_when_another_leads_then_goes_there_with_its_id(
    brokers: list[ScriptedBroker], clients: Any, time: WatchedTime, retry_for_ms: int
) -> None:
    old, new, _ = brokers
    old.otherwise = redirects(new.address)
    old.says["/v1/jobs/claim"] = hangs()
    new.says["/v1/jobs/claim"] = answers({"jobs": []}, epoch=6)
    new.otherwise = answers(STATS, epoch=6)
    client = await clients(old.url, settings=ClientSettings(retry_for_ms=retry_for_ms))
    claim = asyncio.create_task(
        client.claim_jobs("w", max_jobs=1, wait_ms=20_000, claim_id="the-claim")
    )
    await old.until(lambda: old.asked)
    time.now_ms += 5_000

    await client.get_stats()

    assert await asyncio.wait_for(claim, 10) == []
    await old.until(lambda: "/v1/jobs/claim" in old.gone)
    (sent,) = [each.body for each in new.asked if each.path == "/v1/jobs/claim"]
    assert sent["claimId"] == "the-claim"
    assert sent["waitMs"] == 15_000
    assert time.slept_ms == []


async def test_submit_under_way_when_an_answer_has_a_later_epoch_then_goes_there(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    old, new, _ = brokers
    old.otherwise = hangs()
    old.says["/v1/stats"] = answers(STATS, epoch=5)
    client = await clients(old.url, new.url)
    await client.get_stats()
    submit = asyncio.create_task(client.submit_job("t", job_id="a"))
    await old.until(lambda: "/v1/jobs" in old.paths)
    old.says["/v1/stats"] = refuses("EngineStateError", status=503)
    new.says["/v1/stats"] = answers(STATS, epoch=6)
    new.says["/v1/jobs"] = answers(SUBMITTED, epoch=6)

    await client.get_stats()

    assert await asyncio.wait_for(submit, 10) == "a"
    sent = {each.body["jobId"] for each in old.asked + new.asked if each.body}
    assert sent == {"a"}


async def test_retry_of_a_job_under_way_when_another_leads_keeps_waiting_for_its_answer(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    old, new, _ = brokers
    come = asyncio.Event()

    async def late(request: Any) -> Any:
        await come.wait()
        return await answers({}, epoch=5)(request)

    old.otherwise = redirects(new.address)
    old.says["/v1/jobs/a/retry"] = late
    new.otherwise = answers(STATS, epoch=6)
    client = await clients(old.url)
    retry = asyncio.create_task(client.retry_job("a"))
    await old.until(lambda: old.asked)

    await client.get_stats()
    come.set()
    await retry

    assert new.paths == ["/v1/stats"]


async def test_claim_under_way_when_its_broker_is_silent_then_goes_to_another(
    brokers: list[ScriptedBroker],
    clients: Any,
    time: WatchedTime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "HEALTH_S_MAX", 0.05)
    stopped, other, _ = brokers
    stopped.otherwise, stopped.healthy = hangs(), False
    other.otherwise = answers({"jobs": []}, epoch=6)
    client = await clients(stopped.url, other.url, settings=ONCE)
    claim = asyncio.create_task(client.claim_jobs("w", max_jobs=1, wait_ms=20_000, claim_id="c"))
    await stopped.until(lambda: stopped.asked)

    time.look.set()

    assert await asyncio.wait_for(claim, 10) == []
    assert [each.body["claimId"] for each in other.asked] == ["c"]
    assert stopped.paths == ["/v1/jobs/claim", "/healthz"]


async def test_claim_under_way_when_its_broker_is_there_then_waits_on(
    brokers: list[ScriptedBroker], clients: Any, time: WatchedTime
) -> None:
    one, two, _ = brokers
    come = asyncio.Event()

    async def late(request: Any) -> Any:
        await come.wait()
        return await answers({"jobs": []}, epoch=5)(request)

    one.says["/v1/jobs/claim"] = late
    client = await clients(one.url, two.url, settings=ONCE)
    claim = asyncio.create_task(client.claim_jobs("w", max_jobs=1, wait_ms=20_000))
    await one.until(lambda: one.asked)
    time.look.set()
    await one.until(lambda: one.checks)
    come.set()

    await claim
    assert one.paths == ["/v1/jobs/claim"]
    assert two.asked == []


async def test_call_when_the_leader_that_is_named_is_silent_then_nothing_is_sent_to_it(
    brokers: list[ScriptedBroker], clients: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "HEALTH_S_MAX", 0.05)
    standby, stopped, _ = brokers
    stopped.otherwise, stopped.healthy = hangs(), False
    standby.otherwise = redirects(stopped.address)
    settings = ClientSettings(retry_for_ms=0, timeout_ms=50)
    client = await clients(standby.url, settings=settings)
    with pytest.raises(TransportConnectionError) as silent:
        await client.submit_job("t")
    with pytest.raises(TransportConnectionError) as unsent:
        await client.submit_job("t")

    assert stopped.paths == ["/v1/jobs", "/healthz"]
    assert (silent.value.applied, unsent.value.applied) == (None, "no")


async def test_calls_when_the_leader_is_silent_then_all_share_one_question(
    brokers: list[ScriptedBroker], clients: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "HEALTH_S_MAX", 0.05)
    standby, stopped, _ = brokers
    stopped.otherwise, stopped.healthy = hangs(), False
    standby.otherwise = redirects(stopped.address)
    client = await clients(standby.url, settings=ClientSettings(retry_for_ms=0, timeout_ms=50))
    with pytest.raises(TransportConnectionError):
        await client.submit_job("t")
    calls = [client.submit_job("t") for _ in range(50)]
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(result) for result in results} == {TransportConnectionError}
    assert stopped.paths.count("/healthz") < 10


async def test_call_in_doubt_when_it_cannot_be_sent_on_then_says_so(
    brokers: list[ScriptedBroker], clients: Any, nobody: str
) -> None:
    old, new, _ = brokers
    old.says["/v1/jobs"] = hangs()
    old.otherwise = redirects(new.address)
    new.otherwise = answers(STATS, epoch=6)
    new.says["/v1/jobs"] = redirects(nobody)
    client = await clients(old.url, settings=ONCE)
    submit = asyncio.create_task(client.submit_job("t"))
    await old.until(lambda: old.asked)
    await client.get_stats()

    with pytest.raises(TransportConnectionError, match="refused") as caught:
        await submit
    assert caught.value.applied == "unknown"


async def test_client_with_a_storage_only_finds_the_leader_and_its_follower(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    one, two, _ = brokers
    one.otherwise, two.otherwise = answers(STATS, epoch=5), answers(STATS, epoch=6)
    store = await _store(one.address, 5)
    client = await clients(storage=store)

    await client.get_stats()
    await _name(store, two.address, 6)
    await client.get_stats()
    assert two.asked == []
    one.otherwise = redirects(None)
    await client.get_stats()

    assert len(two.asked) == 1


async def test_claim_under_way_when_the_object_has_a_later_epoch_then_goes_there(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    old, new, _ = brokers
    old.says["/v1/jobs/claim"] = hangs()
    old.otherwise = answers(STATS, epoch=5)
    new.otherwise = hangs()
    new.says["/v1/jobs/claim"] = answers({"jobs": []}, epoch=6)
    store = await _store(old.address, 5)
    client = await clients(storage=store)
    await client.get_stats()
    claim = asyncio.create_task(client.claim_jobs("w", max_jobs=1, wait_ms=20_000))
    await old.until(lambda: "/v1/jobs/claim" in old.paths)
    await _name(store, new.address, 6)
    old.otherwise = redirects(None)

    stats = asyncio.create_task(client.get_stats())

    assert await asyncio.wait_for(claim, 10) == []
    stats.cancel()
    await asyncio.wait({stats})


@pytest.mark.parametrize("address", [None, "127.0.0.1:1"])
async def test_call_when_the_storage_names_nobody_who_answers_then_a_discovery_error_in_time(
    clients: Any, time: WatchedTime, address: str | None
) -> None:
    client = await clients(storage=await _store(address))
    started_ms = time.now_ms

    with pytest.raises(DiscoveryError) as caught:
        await client.get_stats()

    assert 28_000 <= time.now_ms - started_ms <= 30_000
    named = "names no leader" if address is None else "names 127.0.0.1:1 as the leader; no broker"
    assert named in caught.value.message
    assert caught.value.message.startswith("no leader found: memory:// ")


async def test_client_with_both_asks_the_storage_only_when_no_broker_helps(
    brokers: list[ScriptedBroker], clients: Any, nobody: str
) -> None:
    brokers[0].otherwise = answers(STATS, epoch=5)
    store = await _store(brokers[0].address)

    await (await clients(brokers[0].url, storage=await _store(nobody, 9))).get_stats()
    await (await clients(f"http://{nobody}", storage=store)).get_stats()

    assert len(brokers[0].asked) == 2


class Denying(MemoryBackend):
    """A store that nobody may read."""

    async def get(self, *_: Any, **__: Any) -> Any:
        raise StoreDeniedError("not yours")


async def test_call_when_the_storage_is_denied_then_raised_at_once(
    clients: Any, time: WatchedTime
) -> None:
    with pytest.raises(StoreDeniedError):
        await (await clients(storage=Denying())).get_stats()
    assert time.slept_ms == []


async def test_call_when_the_storage_is_denied_but_a_broker_comes_back_then_it_is_asked(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    one = brokers[0]

    async def stopping(request: Any) -> Any:
        one.otherwise = answers(STATS, epoch=5)
        return await refuses("EngineStateError", status=503)(request)

    one.otherwise = stopping
    await (await clients(one.url, storage=Denying())).get_stats()

    assert len(one.asked) == 2


async def test_close_drops_all_connections_and_refuses_further_calls(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    standby, leader, _ = brokers
    standby.otherwise = redirects(leader.address)
    leader.otherwise = answers(STATS, epoch=5)
    leader.says["/v1/jobs/claim"] = hangs()
    client = await clients(standby.url, settings=ONCE)
    await client.get_stats()
    claim = asyncio.create_task(client.claim_jobs("w", max_jobs=1, wait_ms=20_000))
    await leader.until(lambda: "/v1/jobs/claim" in leader.paths)

    await client.close()
    await client.close()

    with pytest.raises(TransportConnectionError, match="broke"):
        await claim
    with pytest.raises(TransportConfigError, match="closed"):
        await client.get_stats()


async def test_reconnect_breaks_what_is_under_way_everywhere(
    brokers: list[ScriptedBroker], clients: Any
) -> None:
    standby, leader, _ = brokers
    standby.otherwise = redirects(leader.address)
    leader.otherwise = hangs()
    client = await clients(standby.url, settings=ONCE)
    call = asyncio.create_task(client.get_stats())
    await leader.until(lambda: leader.asked)

    await client.reconnect()

    with pytest.raises(TransportConnectionError, match="broke"):
        await call
    leader.otherwise = answers(STATS, epoch=1)
    await client.get_stats()


async def test_brokers_that_are_forgotten_are_let_go(clients: Any) -> None:
    count = 2 * LEARNT_MAX
    async with AsyncExitStack() as stack:
        chain = [await stack.enter_async_context(running(ScriptedBroker())) for _ in range(count)]
        client = await clients(chain[0].url, settings=ONCE)
        for broker, leader in pairwise(chain):
            broker.otherwise = redirects(leader.address)
            leader.otherwise = answers(STATS, epoch=5)
            await client.get_stats()
        transports = client._caller.transport._connections._transports
        assert len(transports) <= 1 + LEARNT_MAX
        assert {chain[0].url, chain[-1].url} <= set(transports)
