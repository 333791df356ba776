"""Clients that break the rules are told, or dropped, and no other comes to harm."""

from __future__ import annotations

import asyncio
import json
import random  # noqa: TID251 - seeded
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.conftest import Dial
from tests.integration.rest import Rest, Wire, eventually, json_bytes, request
from tests.integration.ws import CLOSE, CONT, PING, TEXT, Closed, Ws, masked, sockets_of, upgrade

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerSettings, WebSocketSettings
from osqueue.server.websocket.protocol import WebSocket
from osqueue.storage import MemoryBackend
from osqueue.testing.faulty_store import ScriptedStore, Step

MASK = b"mask"


@pytest.fixture
async def other(broker: BrokerServer) -> AsyncIterator[Ws]:
    """A client that does no harm, and must come to none."""
    async with await Ws.open(broker) as other:
        yield other
        assert "jobId" in await other.result("submitJob", {"payload": "still served"})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x83\x80" + MASK, 1002),
        (b"\x8b\x80" + MASK, 1002),
        (b"\xc1\x80" + MASK, 1002),
        (b"\x91\x80" + MASK, 1002),
        (b"\x81\x02{}", 1002),
        (b"\x80\x80" + MASK, 1002),
        (b"\x09\x80" + MASK, 1002),
        (b"\x89\xfe\x00\x7e" + MASK, 1002),
        (masked(TEXT, b"{", fin=False) + masked(TEXT, b"}"), 1002),
        (masked(CLOSE, b"\x03"), 1002),
        (masked(CLOSE, b"\x03\xed"), 1002),
        (masked(CLOSE, b"\x03\xe8\xff"), 1007),
        (masked(TEXT, b'"\xff"'), 1007),
        (masked(TEXT, b'"\xc3', fin=False) + masked(CONT, b'"'), 1007),
        (b"\x81\xff" + (2**63).to_bytes(8, "big") + MASK, 1009),
    ],
    ids=[
        "opcode-3",
        "opcode-11",
        "reserved-1",
        "reserved-3",
        "unmasked",
        "continuation-of-nothing",
        "ping-in-parts",
        "ping-too-long",
        "text-within-text",
        "close-of-one-byte",
        "close-with-1005",
        "close-without-utf8",
        "text-without-utf8",
        "text-in-parts-without-utf8",
        "longer-than-any",
    ],
)
async def test_frame_when_it_breaks_the_protocol_then_closed_with_its_code(
    ws: Ws, other: Ws, sent: bytes, code: int
) -> None:
    del other
    await ws.wire.send(sent)
    assert (await ws.closed()).code == code


@pytest.mark.parametrize("seed", range(20))
async def test_connection_when_it_brings_garbage_then_it_ends_and_no_other(
    broker: BrokerServer, other: Ws, seed: int
) -> None:
    del other
    noise = random.Random(seed)
    async with await Ws.open(broker) as ws:
        good = masked(TEXT, json_bytes({"id": 1, "method": "getStats"}))
        frames = [good, masked(PING, b"p"), noise.randbytes(noise.randint(1, 300))]
        for _ in range(40):
            whole = bytearray(noise.choice(frames))
            if noise.random() < 0.3:
                whole[noise.randrange(len(whole))] ^= 1 << noise.randrange(8)
            ws.wire.writer.write(
                whole[: noise.choice([len(whole), noise.randrange(len(whole)) + 1])]
            )
        ws.wire.writer.write_eof()
        await ws.wire.ended()
    await eventually(lambda: len(sockets_of(broker)) == 1)


async def test_frame_when_cut_off_by_the_end_then_nothing_of_it_is_applied(
    broker: BrokerServer, other: Ws
) -> None:
    ws = await Ws.open(broker)
    await ws.wire.send(masked(TEXT, json_bytes({"id": 1, "method": "submitJob"}))[:-1])
    await eventually(lambda: any(each._reader.midway for each in sockets_of(broker)))
    ws.wire.drop()
    await eventually(lambda: len(sockets_of(broker)) == 1)
    assert (await other.result("getStats", {"consistent": True}))["total"] == 0


async def test_message_when_it_stays_unfinished_then_closed_after_its_time(
    broker: BrokerServer, ws: Ws
) -> None:
    [theirs] = sockets_of(broker)
    await ws.frame(TEXT, b'{"id":1', fin=False)
    now_s = asyncio.get_running_loop().time()
    for after_s in (0, 30, 59):
        await ws.frame(PING)
        assert await ws.raw() == (10, b"", True), "somebody is there"
        theirs.look_after(now_s + after_s)
    theirs.look_after(now_s + 61)
    assert await ws.closed() == (1008, "a message did not arrive in full within 60 s")


async def test_messages_when_each_arrives_in_time_then_there_may_always_be_one_on_its_way(
    broker: BrokerServer, ws: Ws
) -> None:
    [theirs] = sockets_of(broker)
    whole = masked(TEXT, json_bytes({"id": 1, "method": "getStats"}))
    await ws.wire.send(whole[:10])
    now_s = asyncio.get_running_loop().time()
    for minute in range(5):
        await eventually(lambda: theirs._reader.midway)
        theirs.look_after(now_s + 50 * minute)
        await ws.wire.send(whole[10:] + whole[:10])
        assert (await ws.receive())["ok"]


async def test_upgrade_when_it_stays_unfinished_then_408(broker: BrokerServer, dial: Dial) -> None:
    wire = await dial(broker)
    await wire.send(upgrade()[:-2])
    assert broker._http is not None
    await eventually(lambda: broker._http._server.server_state.connections)  # type: ignore[union-attr]
    [theirs] = broker._http._server.server_state.connections
    now_s = asyncio.get_running_loop().time()
    for after_s in (0, 61):
        theirs.look_after(now_s + after_s)  # type: ignore[union-attr]
    assert (await wire.answer()).status == 408


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        (upgrade().replace(b"version: 13", b"version: 12"), 426, "`sec-websocket-version`"),
        (upgrade().replace(b"sec-websocket-key", b"x"), 400, "`sec-websocket-key`"),
        (upgrade().replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), 400, "`sec-websocket-key`"),
        (upgrade("/v1/ws", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="), 400, "key`"),
        (upgrade(method="POST"), 404, "Route POST:/v1/ws not found"),
        (upgrade("/v1/ws", "origin: https://evil.example"), 403, "evil.example"),
    ],
)
async def test_upgrade_when_invalid_then_refused_in_json_and_closed(
    broker: BrokerServer, dial: Dial, asked: bytes, status: int, said: str
) -> None:
    wire = await dial(broker)
    await wire.send(asked)
    answer = await wire.answer()
    assert (answer.status, said in answer.message) == (status, True)
    assert (answer.headers.get("sec-websocket-version") == "13") is (status == 426)
    assert await wire.ended() == b""


async def test_upgrade_when_an_answer_is_still_due_then_closed(dial: Dial) -> None:
    store = ScriptedStore(MemoryBackend())
    async with BrokerServer(store, host="127.0.0.1", port=0) as broker:
        store.then(Step("put", hold="request"))
        wire = await dial(broker)
        await wire.send(request("/v1/jobs", b"{}") + upgrade())
        await store.held()
        store.release()
        assert b"101 Switching" not in await wire.ended()


async def test_client_when_it_ends_its_side_then_it_is_sent_what_is_due(
    broker: BrokerServer, other: Ws
) -> None:
    del other
    async with await Ws.open(broker) as ws:
        asked = [{"id": at, "method": "submitJob", "params": {}} for at in range(3)]
        await ws.wire.send(b"".join(masked(TEXT, json_bytes(each)) for each in asked))
        ws.wire.writer.write_eof()
        assert {(await ws.receive())["id"] for _ in range(3)} == {0, 1, 2}
        assert await ws.closed() == (1000, "")
        assert await ws.wire.ended() == b""


async def test_client_when_it_ends_its_side_then_its_claims_wait_no_more(
    broker: BrokerServer, rest: Rest
) -> None:
    async with await Ws.open(broker) as ws:
        await ws.send("claimJob", {"workerId": "w", "waitMs": 60_000})
        await eventually(lambda: broker.waiting_claims == 1)
        ws.wire.writer.write_eof()
        assert await ws.closed() == (1000, "")
        await rest.submit(jobId="j")
        assert (await rest.claim("other"))["jobId"] == "j"


async def test_client_when_it_closes_then_its_code_is_echoed(ws: Ws) -> None:
    await ws.frame(CLOSE, (4_001).to_bytes(2, "big") + b"bye")
    assert await ws.raw() == (CLOSE, (4_001).to_bytes(2, "big"), True)
    assert await ws.wire.ended() == b""


async def test_client_when_it_closes_without_a_code_then_echoed_without_one(ws: Ws) -> None:
    await ws.frame(CLOSE)
    assert await ws.raw() == (CLOSE, b"", True)


async def test_pings_when_many_come_at_once_then_the_last_is_answered(ws: Ws) -> None:
    await ws.wire.send(b"".join(masked(PING, b"%d" % at) for at in range(1_000)))
    data = b""
    while data != b"999":
        opcode, data, _ = await ws.raw()
        assert opcode == 10


async def test_requests_when_ten_thousand_come_at_once_then_all_are_answered(
    broker: BrokerServer, other: Ws
) -> None:
    async with await Ws.open(broker) as ws:
        theirs = sockets_of(broker)
        asked = [
            {"id": at, "method": "submitJob", "params": {"payload": at}} for at in range(10_000)
        ]
        ws.wire.writer.write(b"".join(masked(TEXT, json_bytes(each)) for each in asked))
        answered = set()
        for _ in asked:
            answer = await ws.receive()
            assert answer["ok"]
            answered.add(answer["id"])
            assert all(each._session._load <= 1_024 for each in theirs)
        assert len(answered) == 10_000
    assert (await other.result("getStats", {"consistent": True}))["total"] == 10_000


async def test_requests_when_invalid_and_many_then_all_are_refused(ws: Ws) -> None:
    ws.wire.writer.write(masked(TEXT, b"{}") * 20_000)
    for _ in range(20_000):
        assert not (await ws.receive())["ok"]


@pytest.fixture
async def impatient() -> AsyncIterator[BrokerServer]:
    """A broker that gives up at once who takes nothing in."""
    settings = BrokerSettings(server=ServerSettings(send_s_max=0))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        yield broker


def bytes_kept(theirs: WebSocket) -> int:
    """What is encoded and not sent."""
    transport: Any = theirs.transport
    return int(transport.get_write_buffer_size())


async def test_reader_when_it_never_reads_then_little_is_kept_for_it_and_it_is_dropped(
    impatient: BrokerServer,
) -> None:
    async with await Ws.open(impatient) as busy, await Ws.open(impatient) as deaf:
        jobs = [{"payload": "x" * 1_000, "type": "kept"}] * 200
        for _ in range(3):
            await busy.result("submitJobs", {"jobs": jobs})
        theirs = sockets_of(impatient)
        asked = masked(TEXT, json_bytes({"id": 1, "method": "listJobs"})) * 10_000
        deaf.wire.writer.write(asked)
        deaf.wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: any(each._outbox.full for each in theirs))
        for _ in range(50):
            await busy.result("getStats")
        [slow] = [each for each in theirs if each._outbox.full]
        assert bytes_kept(slow) < 2 * 2**20
        assert slow._session._load <= 1_024 + 64
        slow.look_after(asyncio.get_running_loop().time())
        deaf.wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await last_close(deaf) == Closed(1008, "nothing was read of what is due for 0 s")
        assert await busy.result("getStats")


async def last_close(ws: Ws) -> Closed:
    """How it ends, in the midst of an answer or not."""
    while True:
        opcode, data, _ = await ws.raw()
        if opcode == CLOSE:
            return Closed(int.from_bytes(data[:2], "big"), data[2:].decode())


async def test_reader_when_it_only_pauses_then_it_gets_all(broker: BrokerServer, ws: Ws) -> None:
    await ws.result("submitJobs", {"jobs": [{"payload": "x" * 1_000}] * 500})
    ids = [await ws.send("listJobs") for _ in range(100)]
    [theirs] = sockets_of(broker)
    await eventually(lambda: theirs._outbox.full)
    got = []
    for _ in ids:
        answer = await ws.receive()
        assert len(answer["result"]["jobs"]) == 500
        got.append(answer["id"])
    assert sorted(got) == sorted(ids)


async def test_client_when_silent_then_pinged_and_given_up_without_a_pong(
    broker: BrokerServer, ws: Ws
) -> None:
    [theirs] = sockets_of(broker)
    await ws.send("claimJob", {"workerId": "w", "waitMs": 60_000})
    await eventually(lambda: broker.waiting_claims == 1)
    now_s = asyncio.get_running_loop().time()
    for after_s in (0, 19):
        theirs.look_after(now_s + after_s)
    theirs.look_after(now_s + 20)
    assert await ws.raw() == (PING, b"", True)
    theirs.look_after(now_s + 39)
    await ws.frame(10)
    await eventually(lambda: theirs._vigil._heard)
    for after_s in (40, 60):
        theirs.look_after(now_s + after_s)
    assert await ws.raw() == (PING, b"", True)
    theirs.look_after(now_s + 80)
    await eventually(lambda: broker.waiting_claims == 0)
    assert not sockets_of(broker)


async def test_client_when_it_does_not_answer_the_close_then_cut_off() -> None:
    settings = BrokerSettings(server=ServerSettings(ws=WebSocketSettings(close_s=0)))
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker,
        await Ws.open(broker) as ws,
    ):
        await ws.wire.send(b"\x83\x80" + MASK)
        assert (await ws.closed()).code == 1002
        await eventually(lambda: not sockets_of(broker))


async def test_connections_when_too_many_then_the_upgrade_is_refused() -> None:
    settings = BrokerSettings(server=ServerSettings(connections_max=2))
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker,
        await Ws.open(broker) as first,
        await Ws.open(broker) as second,
    ):
        third = await Wire.open(broker)
        await third.send(upgrade())
        answer = await third.answer()
        assert (answer.status, answer.tag) == (429, "OverloadedError")
        third.drop()
        first.wire.drop()
        await eventually(lambda: len(sockets_of(broker)) == 1)
        assert await second.result("getStats")
        async with await Ws.open(broker) as again:
            assert await again.result("getStats")


async def test_connections_when_two_thousand_wait_then_each_gets_its_job(
    broker: BrokerServer, rest: Rest
) -> None:
    many = [await Ws.open(broker) for _ in range(2_000)]
    for at, each in enumerate(many):
        await each.send("claimJob", {"workerId": f"w{at}", "waitMs": 60_000})
    await eventually(lambda: broker.waiting_claims == 2_000)
    for _ in range(2):
        await rest.post("/v1/jobs/batch", {"jobs": [{}] * 1_000})
    jobs = {(await each.receive())["result"]["jobId"] for each in many}
    assert len(jobs) == 2_000
    for each in many:
        each.wire.drop()
    await eventually(lambda: not sockets_of(broker))


async def test_large_messages_when_there_is_no_room_then_refused_and_the_connection_stays(
    broker: BrokerServer, ws: Ws, other: Ws
) -> None:
    del other
    engine: Any = broker._engine
    engine.payloads.incoming._wait_s = 0.01
    all_of_it = engine.payloads.incoming.take_now(engine.payloads.incoming.free)
    error = await ws.error("submitJob", {"payload": "x" * 3_000_000})
    assert (error["_tag"], error["applied"]) == ("OverloadedError", "no")
    all_of_it.give_back()
    free = engine.payloads.incoming.free
    assert await ws.result("submitJob", {"payload": "x" * 3_000_000})
    assert engine.payloads.incoming.free == free


async def test_large_messages_when_their_senders_go_then_their_room_is_free_again(
    broker: BrokerServer,
) -> None:
    engine: Any = broker._engine
    free = engine.payloads.incoming.free
    size = 20_000_000
    for _ in range(3):
        ws = await Ws.open(broker)
        await ws.wire.send(b"\x81\xff" + size.to_bytes(8, "big") + MASK + b"x" * 100_000)
        await eventually(lambda: engine.payloads.incoming.free == free - size)
        ws.wire.drop()
        await eventually(lambda: engine.payloads.incoming.free == free)


@pytest.mark.parametrize("method", ["nope", "submitJob"])
async def test_large_message_when_refused_then_its_room_is_free_again(
    broker: BrokerServer, ws: Ws, method: str
) -> None:
    engine: Any = broker._engine
    free = engine.payloads.incoming.free
    assert await ws.error(method, {"payload": "x" * 2_000_000, "type": 7})
    await ws.text(b'{"id":"' + b"x" * 2_000_000)
    assert (await ws.receive())["error"]["message"] == "Invalid JSON"
    assert engine.payloads.incoming.free == free


async def test_error_inside_when_a_request_fails_then_said_and_logged_without_its_payload(
    broker: BrokerServer, ws: Ws, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    assert broker._service is not None
    broker._service.submit = fail  # type: ignore[method-assign, assignment]
    error = await ws.error("submitJob", {"payload": "secret-of-a-patient"})
    assert error == {"_tag": "OsqueueError", "message": "the broker failed on this request"}
    assert "submitJob by WebSocket failed inside" in caplog.text
    assert "secret-of-a-patient" not in caplog.text
    assert json.dumps(await ws.result("getStats"))
