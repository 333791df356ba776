"""A queue without a broker, on a real directory: processes' halves side by side on one loop."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.integration.rest import eventually

from osqueue.app import BrokerServer
from osqueue.brokerless import BrokerlessQueue, open_brokerless
from osqueue.client import OsqueueClient
from osqueue.config import ArchiveSettings, BrokerSettings, LeadershipSettings, PayloadSettings
from osqueue.engine.requests import EndReason
from osqueue.engine.tenure import Sharing
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    CorruptStateError,
    JobNotFoundError,
    LeaseLostError,
    OsqueueError,
    StoreNotFoundError,
    TransportConfigError,
    TransportConnectionError,
)
from osqueue.storage import MemoryBackend
from osqueue.testing import ScriptedStore, Step
from osqueue.wire import operations
from osqueue.wire.messages import SubmitRequest
from osqueue.worker import Worker

SETTINGS = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400)
)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/queue"


def stored(url: str) -> Any:
    return json.loads((Path(url.removeprefix("file://")) / "queue.json").read_bytes())


async def opened(stack: AsyncExitStack, url: str, **options: Any) -> BrokerlessQueue:
    options.setdefault("settings", SETTINGS)
    return await stack.enter_async_context(open_brokerless(url, **options))


def broker(url: str) -> BrokerServer:
    return BrokerServer(url, host="127.0.0.1", port=0, settings=SETTINGS)


async def test_job_when_submitted_claimed_and_completed_then_it_is_done(
    stack: AsyncExitStack, url: str
) -> None:
    client = (await opened(stack, url)).client
    job_id = await client.submit_job("email:send", {"to": "ada"})
    job = await client.claim_job("me")
    assert job is not None
    assert (job.job_id, job.payload) == (job_id, {"to": "ada"})
    await client.complete_job(job)
    assert (await client.get_job(job_id)).status == "completed"
    assert (await client.get_stats()).completed_total == 1
    assert (stored(url)["broker"], stored(url)["completedTotal"]) == (None, 1)


async def test_waiting_claim_when_another_process_submits_then_it_gets_the_job(
    stack: AsyncExitStack, url: str
) -> None:
    one, other = await opened(stack, url), await opened(stack, url)
    claim = asyncio.ensure_future(one.client.claim_job("me", wait_ms=20_000))
    await asyncio.sleep(0)
    job_id = await other.client.submit_job("a")
    job = await claim
    assert job is not None
    assert job.job_id == job_id


async def test_consistent_reads_when_another_process_has_just_written_then_they_show_it(
    stack: AsyncExitStack, url: str
) -> None:
    one, other = await opened(stack, url), await opened(stack, url)
    for number in range(1, 6):
        job_id = await other.client.submit_job("a", number)
        assert (await one.client.get_stats(consistent=True)).unclaimed == number
        assert (await one.client.get_job(job_id, consistent=True)).payload == number
        found = [job.job_id async for job in one.client.iter_jobs(consistent=True)]
        assert found[-1] == job_id


async def test_result_when_another_process_brings_it_then_it_is_seen(
    stack: AsyncExitStack, url: str
) -> None:
    one, other = await opened(stack, url), await opened(stack, url)
    job_id = await one.client.submit_job("a")
    result = asyncio.ensure_future(one.client.result(job_id, timeout=60))
    await asyncio.sleep(0)
    job = await other.client.claim_job("me")
    assert job is not None
    await other.client.complete_job(job, [1])
    assert await result == [1]


async def test_result_when_this_process_brings_it_then_its_end_is_told_and_not_waited_out(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await opened(stack, url)
    job_id = await queue.client.submit_job("sum", [1, 2], keep_result=True)
    async with asyncio.timeout(10):  # one waiting look takes twice as long
        result = asyncio.create_task(queue.client.result(job_id))
        job = await queue.client.claim_job("w", wait_ms=5_000)
        assert job is not None
        await queue.client.complete_job(job, 3)
        assert await result == 3


async def test_waiting_claim_when_cancelled_then_nothing_is_held(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await opened(stack, url)
    claim = asyncio.ensure_future(queue.client.claim_job("me", wait_ms=20_000))
    await queue.client.get_stats()
    claim.cancel()
    await asyncio.gather(claim, return_exceptions=True)
    await queue.client.submit_job("a")
    assert (await queue.client.get_stats()).in_progress == 0


async def test_many_writers_when_at_work_at_once_then_each_job_is_done_once(
    stack: AsyncExitStack, url: str
) -> None:
    queues = [await opened(stack, url) for _ in range(4)]
    done: list[int] = []
    reported = asyncio.Semaphore(0)
    for queue in queues:
        worker = Worker(
            queue.client, {"count": done.append}, 2, on_job_completed=lambda _: reported.release()
        )
        await stack.enter_async_context(worker)
    submits = [
        queue.client.submit_job("count", 10 * number + at)
        for number, queue in enumerate(queues)
        for at in range(10)
    ]
    await asyncio.gather(*submits)
    for _ in submits:
        await reported.acquire()
    assert stored(url)["completedTotal"] == 40
    assert sorted(done) == list(range(40))


async def test_subscribe_when_there_is_no_broker_then_it_says_what_to_do(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await opened(stack, url)
    with pytest.raises(BrokerProtocolError, match="without a broker nobody sees every change"):
        await anext(aiter(queue.client.subscribe()))


async def test_stream_when_there_is_no_broker_then_jobs_come_from_this_process_all_the_same(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await opened(stack, url)
    jobs = aiter(queue.client.stream_jobs("w", credit=2))
    waiting = asyncio.ensure_future(anext(jobs))
    job_id = await queue.client.submit_job("mail", 1)
    async with asyncio.timeout(10):
        job = await waiting
    assert job.job_id == job_id
    await queue.client.complete_job(job)


async def test_large_payload_when_submitted_then_it_is_claimed_whole(
    stack: AsyncExitStack, url: str
) -> None:
    one, other = await opened(stack, url), await opened(stack, url)
    text = "x" * 1_000_000
    job_id = await one.client.submit_job("big", text)
    assert await other.client.get_payload(job_id) == b'"' + text.encode() + b'"'
    job = await other.client.claim_job("me")
    assert job is not None
    assert job.payload == text
    (key,) = [each["payloadKey"] for each in stored(url)["jobs"]]
    assert key.split("/")[1] == str(stored(url)["epoch"])
    await other.client.complete_job(job)


@pytest.mark.parametrize("job_type", ["x" * 300, "a\ud800"])
async def test_request_when_beyond_its_limits_then_it_is_refused_as_by_a_broker(
    stack: AsyncExitStack, url: str, job_type: str
) -> None:
    client = (await opened(stack, url)).client
    with pytest.raises(BrokerProtocolError):
        await client.submit_job(job_type)


async def test_objects_when_left_of_lower_epochs_then_a_process_sweeps_them(
    stack: AsyncExitStack, url: str
) -> None:
    soon = PayloadSettings(sweep_first_ms=1, sweep_every_ms=1)
    queue = await opened(stack, url, settings=replace(SETTINGS, payloads=soon))
    job_id = await queue.client.submit_job("t", "x" * 200_000)
    (named,) = [each["payloadKey"] for each in stored(url)["jobs"]]
    root = Path(url.removeprefix("file://"))
    left = root / "payloads/1/x"
    left.parent.mkdir(parents=True)
    left.write_text("null")
    await eventually(lambda: not left.exists())
    assert (root / named).exists()
    assert (await queue.client.get_job(job_id)).status == "unclaimed"


async def test_objects_when_the_own_epoch_is_not_durable_yet_then_only_lower_ones_are_swept(
    stack: AsyncExitStack, url: str
) -> None:
    """Who joins may know of a higher epoch than stands there: others write by that one still."""
    one = await opened(stack, url)
    await one.client.submit_job("t", 1)
    engine = one._engine
    assert engine._term is not None
    committer = engine._term.committer
    assert isinstance(committer._identity, Sharing)
    committer._identity = committer._identity.following(committer.position[0] + 5)
    assert engine._durable_epoch() == stored(url)["epoch"] == engine.epoch - 5


async def test_large_request_when_beyond_its_limits_then_it_is_refused_as_by_a_broker(
    stack: AsyncExitStack, url: str
) -> None:
    server = replace(SETTINGS.server, payload_bytes_max=600_000)
    client = (await opened(stack, url, settings=replace(SETTINGS, server=server))).client
    with pytest.raises(BrokerProtocolError):
        await client.submit_job("x" * 300, "x" * 550_000)
    with pytest.raises(BrokerProtocolError, match="larger than 600000"):
        await client.submit_job("a", "x" * 700_000)
    with pytest.raises(BrokerProtocolError):
        await client.submit_job("a", "x" * 550_000, job_id="no id")


async def test_job_when_unknown_or_unnamed_then_that_is_said(
    stack: AsyncExitStack, url: str
) -> None:
    client = (await opened(stack, url)).client
    for job_id in ("none", "x" * 200):
        with pytest.raises(JobNotFoundError):
            await client.cancel_job(job_id)
    with pytest.raises(BrokerProtocolError):
        await client.cancel_job("")


async def test_transport_when_closed_then_it_says_so(stack: AsyncExitStack, url: str) -> None:
    queue = await opened(stack, url)
    await queue.client.reconnect()
    await queue.client.close()
    with pytest.raises(TransportConfigError, match="closed"):
        await queue.client.get_stats()


async def test_operation_when_only_a_broker_has_it_then_that_is_said(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await opened(stack, url)
    transport = queue.client._caller.transport
    with pytest.raises(TransportConfigError, match="no broker"):
        await transport.call(operations.FAIL_OVER, timeout_s=1)


async def test_request_when_it_takes_too_long_then_no_answer_came(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await opened(stack, url)
    transport = queue.client._caller.transport
    with pytest.raises(TransportConnectionError, match="no answer"):
        await transport.call(operations.SUBMIT, SubmitRequest(), timeout_s=0)


async def test_lease_when_another_process_holds_it_then_it_cannot_be_taken(
    stack: AsyncExitStack, url: str
) -> None:
    one, other = await opened(stack, url), await opened(stack, url)
    await one.client.submit_job("a")
    job = await one.client.claim_job("me")
    assert job is not None
    assert await other.client.claim_job("you") is None
    with pytest.raises(LeaseLostError):
        await other.client.complete_job(replace(job, lease="stale"))
    await one.client.complete_job(job)
    with pytest.raises(LeaseLostError):
        await other.client.heartbeat(job)


async def test_status_when_joined_then_it_says_so(stack: AsyncExitStack, url: str) -> None:
    engine = (await opened(stack, url))._engine
    status = await engine.watched("", "", wait_ms=0)
    assert (status.role, status.ready, status.leader) == ("sharing", True, None)
    assert (status.epoch, status.commits) == (stored(url)["epoch"], 1)
    with pytest.raises(OsqueueError, match="no broker leads"):
        await engine.hand_over()


# Beside a broker


async def test_start_when_a_broker_leads_then_its_address_is_told(
    stack: AsyncExitStack, url: str
) -> None:
    leader = await stack.enter_async_context(broker(url))
    with pytest.raises(BrokerLeadershipError) as caught:
        await opened(stack, url)
    assert caught.value.leader == leader.address
    assert leader.address in caught.value.message
    assert leader.status().standbys == (), "whoever asked stands by for nobody"


async def test_start_when_the_broker_has_stopped_then_its_version_is_built_upon(
    stack: AsyncExitStack, url: str
) -> None:
    async with broker(url) as led, OsqueueClient(led.url) as client:
        await client.submit_job("a")
    epoch, commit = stored(url)["epoch"], stored(url)["commit"]
    queue = await opened(stack, url)
    assert stored(url)["commit"] == commit, "to join takes no write"
    await queue.client.submit_job("b")
    assert (stored(url)["epoch"], len(stored(url)["jobs"])) == (epoch, 2)
    assert stored(url)["lineage"][str(epoch)] == commit


async def test_start_when_the_broker_is_dead_then_the_place_is_taken(
    stack: AsyncExitStack, url: str
) -> None:
    async with broker(url):
        dead = stored(url)
    path = Path(url.removeprefix("file://")) / "queue.json"
    path.write_text(json.dumps(dead | {"broker": "127.0.0.1:1"}))
    queue = await opened(stack, url)
    assert (stored(url)["epoch"], stored(url)["broker"]) == (dead["epoch"] + 1, None)
    await queue.client.submit_job("a")


@pytest.fixture
async def silent(stack: AsyncExitStack) -> str:
    """An address that takes connections and never answers."""

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    await stack.enter_async_context(server)
    return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def led_from(url: str, address: str) -> tuple[Path, Any]:
    """The object of a broker that is at this address."""
    async with broker(url):
        whole = stored(url) | {"broker": address}
    path = Path(url.removeprefix("file://")) / "queue.json"
    path.write_text(json.dumps(whole))
    return path, whole


async def test_start_when_the_broker_is_silent_and_still_then_the_place_is_taken(
    stack: AsyncExitStack, url: str, silent: str
) -> None:
    _, whole = await led_from(url, silent)
    await opened(stack, url)
    assert (stored(url)["epoch"], stored(url)["broker"]) == (whole["epoch"] + 1, None)


async def test_start_when_the_broker_is_silent_but_writes_then_it_leads(
    stack: AsyncExitStack, url: str, silent: str
) -> None:
    path, whole = await led_from(url, silent)
    opening = asyncio.ensure_future(opened(stack, url))
    for number in range(200):
        commit = f"{whole['epoch']}-{1_000 + number}-broker"
        path.with_suffix(".new").write_text(json.dumps(whole | {"commit": commit}))
        path.with_suffix(".new").replace(path)
        if (await asyncio.wait({opening}, timeout=0.05))[0]:
            break
    with pytest.raises(BrokerLeadershipError) as caught:
        await opening
    assert caught.value.leader == silent


@pytest.mark.parametrize(("probe", "tried"), [(None, 1), (True, 2), (False, 0)])
async def test_store_when_a_queue_begins_or_is_joined_then_it_is_tried_where_needed(
    url: str, probe: bool | None, tried: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "osqueue.broker")
    for _ in range(2):
        async with open_brokerless(url, settings=SETTINGS, probe=probe):
            pass
    assert caplog.text.count("can carry a queue") == tried


async def test_broker_when_it_starts_meanwhile_then_everybody_is_told_its_address(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await opened(stack, url)
    await queue.client.submit_job("a")
    claim = asyncio.ensure_future(queue.client.claim_job("me", ["b"], wait_ms=20_000))
    leader = await stack.enter_async_context(broker(url))
    with pytest.raises(BrokerLeadershipError) as caught:
        await claim
    assert caught.value.leader == leader.address
    end = await queue.wait_ended()
    assert queue.end == end
    assert (end.reason, end.leader) == (EndReason.FENCED, leader.address)
    for request in (queue.client.submit_job("c"), queue.client.submit_job("d", "x" * 600_000)):
        with pytest.raises(BrokerLeadershipError) as caught:
            await request
        assert (caught.value.applied, caught.value.leader) == ("no", leader.address)
    async with OsqueueClient(leader.url) as client:
        assert [job.type for job in (await client.list_jobs()).jobs] == ["a"]


# Where there is no queue yet


async def test_start_when_nothing_is_there_and_nothing_wanted_then_nothing_is_made(
    stack: AsyncExitStack, url: str
) -> None:
    with pytest.raises(StoreNotFoundError, match="no queue"):
        await opened(stack, url, create=False)
    assert not (Path(url.removeprefix("file://")) / "queue.json").exists()


async def test_start_when_the_object_is_missing_from_a_queue_then_it_is_refused(
    stack: AsyncExitStack, url: str
) -> None:
    left = Path(url.removeprefix("file://")) / "payloads/1/x"
    left.parent.mkdir(parents=True)
    left.write_text("null")
    with pytest.raises(CorruptStateError, match="payloads/1/x"):
        await opened(stack, url)


# The archive


async def test_archive_when_scripts_are_short_then_the_last_one_out_fills_it(
    stack: AsyncExitStack, url: str
) -> None:
    settings = replace(SETTINGS, archive=ArchiveSettings(linger_ms=0, look_ms=60_000))
    ids = []
    for _ in range(3):
        async with open_brokerless(url, settings=settings) as queue:
            ids.append(await queue.client.submit_job("a"))
            job = await queue.client.claim_job("me")
            assert job is not None
            await queue.client.complete_job(job)
    assert stored(url)["finished"] == []
    queue = await opened(stack, url)
    for job_id in ids:
        assert (await queue.client.get_job(job_id)).status == "completed"


async def archived(url: str, count: int) -> None:
    """Wait until the archivers have taken so many jobs out of the state."""
    whole = stored(url)
    if whole["finished"] or whole["completedTotal"] < count:
        await asyncio.sleep(0.05)
        await archived(url, count)


async def test_archive_when_several_run_at_once_then_each_job_stands_in_it_once(
    stack: AsyncExitStack, url: str
) -> None:
    archive = ArchiveSettings(linger_ms=0, look_ms=10, batch_jobs_max=3)
    queues = [
        await opened(stack, url, settings=replace(SETTINGS, archive=archive)) for _ in range(3)
    ]
    for queue in queues:
        await stack.enter_async_context(Worker(queue.client, {"a": lambda _: None}, 4))
    ids = [await queues[n % 3].client.submit_job("a") for n in range(20)]
    async with asyncio.timeout(20):
        await archived(url, 20)
    lines = [
        json.loads(line)
        for path in Path(url.removeprefix("file://")).glob("archive/*/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert sorted(line["id"] for line in lines) == sorted(ids)


async def test_opening_when_left_at_once_then_nothing_is_left_unawaited(
    url: str, recwarn: pytest.WarningsRecorder
) -> None:
    async with open_brokerless(url, settings=SETTINGS):
        pass
    gc.collect()
    assert [str(each.message) for each in recwarn] == []


async def test_opening_when_cancelled_while_the_place_is_taken_then_nothing_of_it_runs_on() -> None:
    store = ScriptedStore(MemoryBackend(), [Step("create", hold="request")])
    settings = replace(SETTINGS, drain_ms=50)

    async def join() -> None:
        async with open_brokerless(store, probe=False, settings=settings):
            raise AssertionError("the store does not answer")

    joining = asyncio.ensure_future(join())
    await store.held()
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    assert joining.cancelled()
    left = [task.get_name() for task in asyncio.all_tasks()]
    assert [name for name in left if name.startswith("osqueue")] == []


async def test_looks_when_others_write_and_archive_as_well_then_what_all_have_done(
    url: str,
) -> None:
    settings = replace(SETTINGS, archive=ArchiveSettings(linger_ms=0))
    ids = [f"job-{number}" for number in range(3)]
    for job_id in ids:
        async with open_brokerless(url, settings=settings) as one:
            await one.client.submit_job("t", job_id, job_id=job_id)
            await one.client.act_on_jobs("cancel", text=job_id.upper())
    async with (
        open_brokerless(url, settings=SETTINGS) as one,
        open_brokerless(url, settings=SETTINGS) as other,
    ):
        await other.client.submit_job("t", 1, job_id="dead")
        job = await other.client.claim_job("w")
        assert job is not None
        await other.client.fail_job(job, ValueError("no 7"), retry=False)
        await one.client.submit_job("u")
        assert (await one.client.count_jobs(job_type="t", text="DEAD")).count == 1
        assert [each.message for each in (await one.client.list_dead_groups()).groups] == ["no #"]
        found = [job.job_id async for job in one.client.iter_ended(status="cancelled")]
        assert found == ids[::-1]
