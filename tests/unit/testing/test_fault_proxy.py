"""Every fault of the proxy, as a client sees it and as the upstream does."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from tests.unit.testing.conftest import Bucket, Start, eventually

from osqueue.testing import Exchange, FaultProxy, HttpFault, HttpScript, HttpStep, RandomHttpFaults

PATH = "/bucket/queue.json"
GIVES_UP = aiohttp.ClientTimeout(total=0.05)


async def put(session: aiohttp.ClientSession, proxy: FaultProxy, **options: object) -> int:
    url = proxy.url + PATH
    async with session.put(url, data=b"one", **options) as answer:  # type: ignore[arg-type]
        return answer.status


async def get(session: aiohttp.ClientSession, proxy: FaultProxy) -> bytes:
    async with session.get(proxy.url + PATH) as answer:
        return await answer.read()


async def test_proxy_without_faults_then_answers_pass_and_stand_in_the_log(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start()
    assert await put(session, proxy, headers={"if-none-match": "*"}) == 200
    assert await put(session, proxy, headers={"if-none-match": "*"}) == 412
    assert await get(session, proxy) == b"one"
    async with session.head(proxy.url + PATH) as answer:
        assert answer.headers["content-length"] == "3"
    async with session.delete(proxy.url + PATH) as answer:
        assert answer.status == 204
    assert [(entry.method, entry.upstream) for entry in proxy.log] == [
        ("PUT", 200), ("PUT", 412), ("GET", 200), ("HEAD", 200), ("DELETE", 204),
    ]  # fmt: skip
    assert proxy.log[0] == Exchange("PUT", PATH, upstream=200, answered=200)
    assert proxy.counts == {HttpFault.NONE: 5}
    assert bucket.requests == 5


@pytest.mark.parametrize(
    ("fault", "error", "applied"),
    [
        (HttpFault.LOST_REQUEST, aiohttp.ServerDisconnectedError, False),
        (HttpFault.LOST_REPLY, aiohttp.ServerDisconnectedError, True),
        (HttpFault.RESET, OSError, False),
        (HttpFault.RESET_REPLY, OSError, True),
    ],
)
async def test_put_whose_connection_ends_then_applied_or_not_as_the_fault_says(
    fault: HttpFault,
    error: type[Exception],
    applied: bool,
    bucket: Bucket,
    start: Start,
    session: aiohttp.ClientSession,
) -> None:
    proxy = await start(HttpStep(fault=fault))
    with pytest.raises(error):
        await put(session, proxy)
    assert (PATH in bucket.objects) is applied
    assert await put(session, proxy) == 200
    assert proxy.log[0] == Exchange("PUT", PATH, fault, upstream=200 if applied else None)


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
@pytest.mark.parametrize("fault", [HttpFault.REFUSED, HttpFault.FALSE_STATUS])
async def test_put_answered_by_the_proxy_then_applied_or_not_as_the_fault_says(
    fault: HttpFault, status: int, bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start(HttpStep(fault=fault, status=status))
    assert await put(session, proxy) == status
    assert (PATH in bucket.objects) is (fault is HttpFault.FALSE_STATUS)
    assert await put(session, proxy) == 200
    assert proxy.log[0].answered == status


async def test_late_write_when_the_client_gave_up_then_lands_when_told(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start(HttpStep(fault=HttpFault.LATE_WRITE))
    with pytest.raises(TimeoutError):
        await put(session, proxy, timeout=GIVES_UP)
    assert proxy.late == 1
    assert bucket.requests == 0
    assert await proxy.land() == 1
    assert bucket.objects == {PATH: b"one"}
    await proxy.settled()
    assert proxy.late == 0
    assert Exchange("PUT", PATH, HttpFault.LATE_WRITE, upstream=200, late=True) in proxy.log


async def test_late_write_when_overtaken_then_lands_without_effect(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start(HttpStep(fault=HttpFault.LATE_WRITE, hang_up=True))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await put(session, proxy, headers={"if-none-match": "*"})
    bucket.objects[PATH] = b"another"
    assert await proxy.land() == 0
    assert bucket.objects == {PATH: b"another"}
    assert proxy.log[-1].upstream == 412


async def test_late_write_with_a_delay_then_settled_waits_for_it(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start(HttpStep(fault=HttpFault.LATE_WRITE, delay_s=0.02, hang_up=True))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await put(session, proxy)
    await proxy.settled()
    assert bucket.objects == {PATH: b"one"}


async def test_late_write_when_the_client_still_waits_then_its_connection_is_closed(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start(HttpStep(fault=HttpFault.LATE_WRITE, delay_s=0.02))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await put(session, proxy)
    assert bucket.objects == {PATH: b"one"}


async def test_late_write_when_the_upstream_is_gone_then_settled_all_the_same(
    session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    script = HttpScript([HttpStep(fault=HttpFault.LATE_WRITE, hang_up=True)])
    async with FaultProxy(f"http://127.0.0.1:{unused_tcp_port}", script) as proxy:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await put(session, proxy)
        assert await proxy.land() == 0
        assert proxy.log[-1].error.startswith("upstream: ")


async def test_truncated_get_then_the_client_finds_its_body_too_short(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    bucket.objects[PATH] = b"0123456789"
    proxy = await start(HttpStep(fault=HttpFault.TRUNCATED))
    async with session.get(proxy.url + PATH) as answer:
        assert answer.headers["content-length"] == "10"
        assert await answer.content.read(10) == b"01234"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_truncated_answer_without_a_body_then_its_head_is_cut(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start(HttpStep(fault=HttpFault.TRUNCATED))
    with pytest.raises(aiohttp.ClientError):
        await put(session, proxy)
    assert bucket.objects == {PATH: b"one"}


async def test_slow_answer_when_the_client_is_patient_then_whole(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    bucket.objects[PATH] = b"one"
    proxy = await start(HttpStep(fault=HttpFault.SLOW, delay_s=0.02))
    assert await get(session, proxy) == b"one"
    assert proxy.counts[HttpFault.SLOW] == 1


@pytest.mark.parametrize(
    "step", [HttpStep(fault=HttpFault.HANGING), HttpStep(fault=HttpFault.SLOW, delay_s=600)]
)
async def test_answer_that_does_not_come_when_the_client_gives_up_then_applied(
    step: HttpStep, bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start(step)
    with pytest.raises(TimeoutError):
        await put(session, proxy, timeout=aiohttp.ClientTimeout(total=1))
    assert bucket.objects == {PATH: b"one"}


async def test_steps_then_each_waits_for_the_requests_that_it_means(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    bucket.objects[PATH] = b"one"
    script = [
        HttpStep(fault=HttpFault.REFUSED, method="PUT", path="queue", status=500, times=2),
        HttpStep(fault=HttpFault.REFUSED, when=lambda request: "range" in request.headers),
        HttpStep(fault=HttpFault.REFUSED, times=None),
    ]
    proxy = await start(*script)
    assert await get(session, proxy) == b"one"
    assert [await put(session, proxy) for _ in range(3)] == [500, 500, 200]
    async with session.get(proxy.url + PATH, headers={"range": "bytes=0-1"}) as answer:
        assert answer.status == 503
    assert [await put(session, proxy) for _ in range(2)] == [503, 503]
    assert isinstance(proxy.faults, HttpScript)
    assert proxy.faults.unused == tuple(script[2:])
    proxy.faults = HttpScript()
    assert await put(session, proxy) == 200


async def test_seeded_faults_then_the_same_seed_gives_the_same_log(
    start: Start, session: aiohttp.ClientSession
) -> None:
    rates = {HttpFault.LOST_REPLY: 0.3, HttpFault.REFUSED: 0.2}

    async def faults(seed: int) -> list[HttpFault]:
        proxy = await start()
        proxy.faults = RandomHttpFaults(seed, rates, like=HttpStep(method="PUT"))
        for _ in range(30):
            await get(session, proxy)
            with contextlib.suppress(aiohttp.ServerDisconnectedError):
                await put(session, proxy)
        assert {entry.fault for entry in proxy.log if entry.method == "GET"} == {HttpFault.NONE}
        return [entry.fault for entry in proxy.log]

    assert await faults(7) == await faults(7)
    assert await faults(7) != await faults(8)
    assert set(await faults(7)) == {HttpFault.NONE, *rates}


async def test_proxy_that_is_down_then_refuses_until_it_is_up_at_the_same_place(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start()
    await put(session, proxy)
    url = proxy.url
    proxy.down()
    with pytest.raises(OSError, match=r"reset|refused|connect"):  # on the connection kept open
        await put(session, proxy)
    with pytest.raises(aiohttp.ClientConnectorError):
        await put(session, proxy)
    await proxy.up()
    assert proxy.url == url
    assert await put(session, proxy) == 200
    assert bucket.requests == 2


async def test_proxy_that_hangs_then_silent_and_what_it_took_is_lost(
    bucket: Bucket, start: Start, session: aiohttp.ClientSession
) -> None:
    proxy = await start()
    await put(session, proxy)
    proxy.down(hang=True)
    with pytest.raises(TimeoutError):
        await put(session, proxy, timeout=GIVES_UP)
    waiting = asyncio.create_task(put(session, proxy))
    await eventually(lambda: proxy.counts[HttpFault.LOST_REQUEST] == 2)
    assert not waiting.done()
    await proxy.up()
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert bucket.requests == 1
    assert list(proxy.log)[1:] == [Exchange("PUT", PATH, HttpFault.LOST_REQUEST)] * 2
    assert await put(session, proxy) == 200


async def test_request_when_the_upstream_refuses_then_reset_and_told_in_the_log(
    session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    async with FaultProxy(f"http://127.0.0.1:{unused_tcp_port}") as proxy:
        with pytest.raises(OSError, match="reset"):
            await put(session, proxy)
        assert proxy.log[0].upstream is None
        assert proxy.log[0].error


async def test_proxy_when_left_then_open_connections_break_and_late_writes_never_land(
    bucket: Bucket, session: aiohttp.ClientSession
) -> None:
    script = HttpScript([HttpStep(fault=HttpFault.LATE_WRITE), HttpStep(fault=HttpFault.HANGING)])
    async with FaultProxy(bucket.url, script) as proxy:
        with pytest.raises(TimeoutError):
            await put(session, proxy, timeout=GIVES_UP)
        waiting = asyncio.create_task(get(session, proxy))
        await eventually(lambda: bucket.requests)
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert proxy.late == 0
    assert bucket.objects == {}


@pytest.mark.parametrize(
    "upstream", ["https://127.0.0.1", "127.0.0.1:80", "http://u:p@host", "http://h/?q=1"]
)
def test_upstream_that_is_no_plain_http_then_refused(upstream: str) -> None:
    with pytest.raises(ValueError, match="http:// URL"):
        FaultProxy(upstream)


def test_url_then_keeps_the_path_of_the_upstream() -> None:
    assert FaultProxy("http://127.0.0.1:10000/account/").url.endswith("/account")
