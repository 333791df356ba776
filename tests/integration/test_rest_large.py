"""Payloads too large for the state: in by PUT or POST, out by claims, and gone at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.integration.conftest import Dial
from tests.integration.flaky_payloads import FlakyPayloads
from tests.integration.rest import (
    Answer,
    Rest,
    check,
    eventually,
    open_connections,
    request,
)

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, PayloadSettings, QueueLimits, ServerSettings
from osqueue.errors import (
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)

LARGE = json.dumps(["é" * 50_000, {"n": list(range(20_000))}], ensure_ascii=False).encode()
OTHER = b'"' + b"y" * 100_000 + b'"'
MAX = 3 * 2**20
SETTINGS = BrokerSettings(
    server=ServerSettings(payload_bytes_max=MAX),
    payloads=PayloadSettings(backoff_ms=1, tries_max=3, room_wait_ms=50),
)


@pytest.fixture
def store() -> FlakyPayloads:
    return FlakyPayloads()


@pytest.fixture
async def broker(store: FlakyPayloads) -> AsyncIterator[BrokerServer]:
    async with BrokerServer(store, host="127.0.0.1", port=0, settings=SETTINGS) as broker:
        yield broker


async def put(rest: Rest, job_id: str, text: bytes, query: str = "") -> Answer:
    return await rest.send("PUT", f"/v1/jobs/{job_id}{query}", text)


async def put_well(rest: Rest, job_id: str, text: bytes, query: str = "") -> None:
    answer = await put(rest, job_id, text, query)
    assert (answer.status, answer.json) == (200, {"jobId": job_id}), answer


async def taken(rest: Rest, **fields: object) -> bytes:
    answer = await rest.post("/v1/jobs/claim", {"workerId": "w", **fields})
    assert answer.status == 200, answer
    assert int(answer.headers["content-length"]) == len(answer.body)
    return answer.body


async def test_put_when_the_payload_is_large_then_the_state_names_an_object(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", LARGE)
    (job,) = (await rest.state())["jobs"]
    assert "payload" not in job
    assert job["payloadBytes"] == len(LARGE)
    assert store.payloads == {job["payloadKey"]: LARGE}
    epoch = (await rest.get("/readyz")).json["epoch"]
    assert job["payloadKey"].startswith(f"payloads/{epoch}/")


async def test_put_when_the_payload_is_small_then_it_stands_in_the_state(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", b' {"a": 1}\n')
    assert (await rest.job("a"))["payload"] == {"a": 1}
    assert b'"payload":{"a": 1},' in await taken(rest)
    assert store.payloads == {}


async def test_put_when_the_query_says_all_then_the_job_is_so(rest: Rest) -> None:
    query = "?type=null&maxAttempts=7&priority=-3&runAt=4102444800000&unknown=1"
    await put_well(rest, "a", LARGE, query)
    job = await rest.job("a")
    assert (job["type"], job["maxAttempts"], job["priority"]) == ("null", 7, -3)
    assert job["runAt"] == 4102444800000


@pytest.mark.parametrize(
    "query",
    ["?maxAttempts=x", "?maxAttempts=-1", "?priority=1.5", "?runAt=null", "?type=" + "t" * 257],
)
async def test_put_when_the_query_is_bad_then_400(rest: Rest, query: str) -> None:
    check(await put(rest, "a", LARGE, query))


@pytest.mark.parametrize("job_id", ["a%20b", "%2e%2e", "x" * 129, "a%2fb"])
async def test_put_when_the_id_is_bad_then_refused(rest: Rest, job_id: str) -> None:
    assert (await put(rest, job_id, LARGE)).status in {400, 404}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" \n ",
        b"{",
        LARGE + b"]",
        LARGE[:-1],
        LARGE.replace(b"\xc3\xa9", b"\xe9"),
        b"[" * 201 + LARGE + b"]" * 201,
        b"[" + b"1" * 100_000 + b"]",
        b"nope",
    ],
)
async def test_put_when_the_body_is_no_payload_then_400_and_nothing_is_stored(
    rest: Rest, store: FlakyPayloads, text: bytes
) -> None:
    check(await put(rest, "a", text))
    assert (await rest.get("/v1/jobs/a")).status == 404
    assert store.calls == []


async def test_put_when_it_is_said_to_be_something_else_then_415(rest: Rest) -> None:
    answer = await rest.send("PUT", "/v1/jobs/a", LARGE, headers={"content-type": "text/plain"})
    check(answer, status=415)


async def chunks(text: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(text), 10_000):
        yield text[at : at + 10_000]


async def test_put_when_it_comes_in_chunks_then_the_same(rest: Rest, store: FlakyPayloads) -> None:
    answer = await rest.send("PUT", "/v1/jobs/a", chunks(b"\n\n" + LARGE + b"\r\n" * 9_000))
    assert answer.status == 200
    assert list(store.payloads.values()) == [LARGE]


async def test_put_when_nothing_but_space_comes_then_that_has_an_end(rest: Rest) -> None:
    check(await rest.send("PUT", "/v1/jobs/a", chunks(b" " * (MAX + 1))), status=413)
    check(await rest.send("PUT", "/v1/jobs/a", chunks(b" " * (MAX // 2))), status=400)


@pytest.mark.parametrize("chunked", [False, True])
async def test_put_when_one_byte_too_large_then_413_says_what_to_set(
    rest: Rest, chunked: bool
) -> None:
    text = b'"' + b"x" * (MAX - 2) + b'"'
    await put_well(rest, "a", text)
    text = text[:-1] + b'x"'
    answer = await rest.send("PUT", "/v1/jobs/b", chunks(text) if chunked else text)
    check(answer, status=413)
    assert "BROKER_MAX_PAYLOAD_BYTES" in answer.message


async def test_post_when_too_large_then_413_tells_of_put(rest: Rest) -> None:
    answer = await rest.post("/v1/jobs", {"payload": "x" * 2**20})
    check(answer, status=413)
    assert "PUT /v1/jobs/{jobId}" in answer.message


async def test_put_when_repeated_then_one_job_and_one_object(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", LARGE, "?type=t")
    first = dict(store.payloads)
    await put_well(rest, "a", LARGE, "?type=t")
    await eventually(lambda: store.payloads == first)
    assert len((await rest.state())["jobs"]) == 1


@pytest.mark.parametrize(("text", "query"), [(OTHER, "?type=t"), (LARGE, "?type=u"), (b"1", "")])
async def test_put_when_the_id_names_another_job_then_409_and_no_object_is_left(
    rest: Rest, store: FlakyPayloads, text: bytes, query: str
) -> None:
    await put_well(rest, "a", LARGE, "?type=t")
    first = dict(store.payloads)
    answer = await put(rest, "a", text, query)
    assert (answer.status, answer.tag) == (409, "JobIdConflictError")
    await eventually(lambda: store.payloads == first)


async def test_put_when_the_job_is_over_then_known_and_no_object_is_left(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", LARGE)
    await rest.delete("/v1/jobs/a")
    await put_well(rest, "a", LARGE)
    await eventually(lambda: store.payloads == {})
    assert (await rest.job("a"))["status"] == "cancelled"


async def test_post_when_a_payload_is_over_the_threshold_then_an_object(
    rest: Rest, store: FlakyPayloads
) -> None:
    at_most = QueueLimits().payload_inline_max
    await rest.submit(jobId="in", payload="x" * (at_most - 2))
    assert store.payloads == {}
    await rest.submit(jobId="out", payload="x" * (at_most - 1))
    assert list(store.payloads.values()) == [b'"' + b"x" * (at_most - 1) + b'"']
    assert [len(job["payload"]) for job in await rest.claim(max=2)] == [at_most - 2, at_most - 1]


async def test_batch_when_some_payloads_are_large_then_each_in_its_place(
    rest: Rest, store: FlakyPayloads
) -> None:
    payloads = [[n] * (40_000 if n % 2 else 1) for n in range(6)]
    jobs = [{"jobId": f"j{n}", "payload": payload} for n, payload in enumerate(payloads)]
    assert (await rest.post("/v1/jobs/batch", {"jobs": jobs})).status == 200
    assert len(store.payloads) == 3
    assert [job["payload"] for job in await rest.claim(max=9)] == payloads


# Out


async def test_claim_when_the_payload_is_large_then_it_comes_byte_for_byte(rest: Rest) -> None:
    await put_well(rest, "a", LARGE, "?type=t")
    body = await taken(rest)
    assert body.startswith(b'{"jobId":"a","payload":' + LARGE + b',"type":"t","lease":"')
    assert json.loads(body)["attempt"] == 1


async def test_claim_when_several_are_large_then_all_come(rest: Rest) -> None:
    big = b'"' + b"z" * 2**20 + b'"'
    for job_id, text in (("a", LARGE), ("b", b"1"), ("c", OTHER), ("d", big)):
        await put_well(rest, job_id, text)
    body = await taken(rest, max=9)
    jobs = json.loads(body)["jobs"]
    assert [job["jobId"] for job in jobs] == ["a", "b", "c", "d"]
    assert [job["payload"] for job in jobs] == list(map(json.loads, (LARGE, b"1", OTHER, big)))
    for text in (LARGE, OTHER, big):
        assert b'"payload":' + text + b"," in body


async def test_claim_when_it_waits_then_a_large_job_comes_all_the_same(rest: Rest) -> None:
    waiting = asyncio.create_task(taken(rest, waitMs=20_000))
    await put_well(rest, "a", LARGE)
    assert b'"payload":' + LARGE in await waiting


async def test_claim_when_much_is_inline_then_it_comes_in_pieces_as_well(rest: Rest) -> None:
    payloads = [str(n) * 60_000 for n in range(10)] * 3
    for n, payload in enumerate(payloads):
        await rest.submit(jobId=f"j{n}", payload=payload)
    page = (await rest.get("/v1/jobs")).json
    assert [job["payload"] for job in page["jobs"]] == payloads
    assert page["total"] == 30
    assert [job["payload"] for job in await rest.claim(max=30)] == payloads


async def test_job_when_looked_at_then_a_large_payload_is_left_out(rest: Rest) -> None:
    await put_well(rest, "a", LARGE)
    job = await rest.job("a")
    assert "payload" not in job
    assert job["payloadBytes"] == len(LARGE)
    assert (await rest.get("/v1/jobs")).json["jobs"] == [job]


@pytest.mark.parametrize("text", [LARGE, b'{"a":1}', b"null"])
async def test_payload_when_asked_for_then_its_text(rest: Rest, text: bytes) -> None:
    await put_well(rest, "a", text)
    answer = await rest.get("/v1/jobs/a/payload?consistent=true")
    assert (answer.status, answer.body) == (200, text)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.commit


async def test_payload_when_there_is_none_then_204_or_404(rest: Rest) -> None:
    await rest.submit(jobId="a")
    assert (await rest.get("/v1/jobs/a/payload")).status == 204
    assert (await rest.get("/v1/jobs/b/payload")).status == 404
    await put_well(rest, "c", LARGE)
    await rest.delete("/v1/jobs/c")
    answer = await rest.get("/v1/jobs/c/payload")
    assert (answer.status, answer.tag) == (404, "JobNotFoundError")


async def test_payload_when_its_object_is_gone_then_404_says_so(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", LARGE)
    store.lose()
    answer = await rest.get("/v1/jobs/a/payload")
    assert answer.status == 404
    assert "gone from the store" in answer.message


@pytest.mark.parametrize("how", ["complete", "cancel"])
async def test_object_when_the_job_ends_then_it_is_deleted(
    rest: Rest, store: FlakyPayloads, how: str
) -> None:
    await put_well(rest, "a", LARGE)
    await put_well(rest, "b", OTHER)
    store.fails["delete"] = [StoreUnavailableError("m"), StoreUnknownError("m")]
    if how == "complete":
        await taken(rest)
        assert (await rest.post("/v1/jobs/a/complete", {"workerId": "w"})).status == 204
    else:
        assert (await rest.delete("/v1/jobs/a")).status == 204
    await eventually(lambda: list(store.payloads.values()) == [OTHER])


async def test_object_when_the_job_fails_and_is_retried_then_it_stays(rest: Rest) -> None:
    await put_well(rest, "a", LARGE)
    await taken(rest)
    error = {"type": "E", "message": "m"}
    fail = {"workerId": "w", "error": error, "retry": False}
    assert (await rest.post("/v1/jobs/a/fail", fail)).status == 204
    assert (await rest.post("/v1/jobs/a/retry")).status == 204
    assert LARGE in await taken(rest)


# Faults of the store


async def test_put_when_the_store_fails_now_and_then_then_another_key_is_taken(
    rest: Rest, store: FlakyPayloads
) -> None:
    store.applied = True
    store.fails["create"] = [StoreUnknownError("m"), StoreUnavailableError("m")]
    await put_well(rest, "a", LARGE)
    assert len(store.payloads) == 3
    assert LARGE in await taken(rest)


@pytest.mark.parametrize("error", [StoreUnavailableError, StoreUnknownError, StoreDeniedError])
async def test_put_when_the_store_does_not_take_it_then_503_not_applied(
    rest: Rest, store: FlakyPayloads, error: type[Exception]
) -> None:
    store.fails["create"] = [error("m")] * 3
    answer = await put(rest, "a", LARGE)
    assert (answer.status, answer.tag) == (503, "StorageBackendError")
    assert answer.json["applied"] == "no"
    assert (await rest.get("/v1/jobs/a")).status == 404


async def test_batch_when_one_object_is_not_taken_then_none_is_left(
    rest: Rest, store: FlakyPayloads
) -> None:
    store.fails["create"] = [StoreDeniedError("m")]
    jobs = [{"jobId": f"j{n}", "payload": "x" * 100_000} for n in range(3)]
    assert (await rest.post("/v1/jobs/batch", {"jobs": jobs})).status == 503
    assert (await rest.state())["jobs"] == []
    await eventually(lambda: store.payloads == {})


async def test_claim_when_the_store_is_away_then_503_and_the_same_claim_gets_the_same_lease(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", LARGE)
    store.fails["get"] = [StoreUnavailableError("m")]
    claim = {"workerId": "w", "claimId": "c", "max": 1}
    answer = await rest.post("/v1/jobs/claim", claim)
    assert (answer.status, answer.json["applied"]) == (503, "unknown")
    lease = (await rest.state())["jobs"][0]["lease"]
    (job,) = (await rest.post("/v1/jobs/claim", claim)).json["jobs"]
    assert (job["lease"], job["attempt"], job["payload"]) == (lease, 1, json.loads(LARGE))


async def test_claim_when_the_store_is_away_and_it_has_no_id_then_the_job_is_released(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", LARGE)
    store.fails["get"] = [StoreUnavailableError("m")]
    answer = await rest.post("/v1/jobs/claim", {"workerId": "w"})
    assert (answer.status, answer.json["applied"]) == (503, "no")
    job = await rest.job("a")
    assert (job["status"], job["attempts"]) == ("unclaimed", 0)


@pytest.mark.parametrize("damage", [None, LARGE[:-2] + b"0]", LARGE + b" "])
async def test_claim_when_an_object_is_lost_then_its_job_is_a_dead_letter_and_others_come(
    rest: Rest, store: FlakyPayloads, damage: bytes | None
) -> None:
    await put_well(rest, "a", LARGE)
    (key,) = store.payloads
    if damage is None:
        store.lose()
    else:
        store.damage(key, damage)
    await put_well(rest, "b", OTHER)
    (job,) = await rest.claim(max=5, claimId="c")
    assert job["jobId"] == "b"
    dead = await rest.job("a")
    assert (dead["status"], dead["lastError"]["type"]) == ("dead", "PayloadLost")
    assert key in dead["lastError"]["message"]


async def test_claim_when_the_only_job_is_lost_then_it_claims_again(
    rest: Rest, store: FlakyPayloads
) -> None:
    await put_well(rest, "a", LARGE)
    store.lose()
    await rest.submit(jobId="b", payload=1)
    assert (await rest.claim(claimId="c"))["jobId"] == "b"
    assert await rest.claim() == {}


async def test_claim_when_all_are_lost_then_it_gives_up_after_some(
    rest: Rest, store: FlakyPayloads
) -> None:
    for n in range(10):
        await put_well(rest, f"j{n}", OTHER)
    store.lose()
    assert await rest.claim() == {}
    assert (await rest.get("/v1/stats?consistent=true")).json["dead"] == 8


async def test_claim_when_an_object_was_away_for_a_moment_then_it_is_found(
    rest: Rest, store: FlakyPayloads
) -> None:
    """A store may show a new object late."""
    await put_well(rest, "a", LARGE)
    store.fails["get"] = [StoreNotFoundError("m")]
    assert LARGE in await taken(rest)


async def test_claim_when_its_caller_leaves_while_it_is_fetched_then_the_job_is_released(
    rest: Rest, store: FlakyPayloads, broker: BrokerServer, dial: Dial
) -> None:
    await put_well(rest, "a", LARGE)
    store.held = asyncio.Event()
    wire = await dial(broker)
    await wire.send(request("/v1/jobs/claim", b'{"workerId":"w"}'))
    await eventually(lambda: "get" in store.calls)
    assert (await rest.job("a"))["status"] == "in_progress"
    wire.drop()
    async with asyncio.timeout(10):
        while (await rest.job("a"))["status"] != "unclaimed":  # noqa: ASYNC110 - asks by HTTP
            await asyncio.sleep(0)
    store.held.set()
    assert LARGE in await taken(rest)


async def test_claim_when_repeated_while_it_is_fetched_then_the_lease_passes_on(
    rest: Rest, store: FlakyPayloads, broker: BrokerServer, dial: Dial
) -> None:
    await put_well(rest, "a", LARGE)
    store.held = asyncio.Event()
    wire = await dial(broker)
    await wire.send(request("/v1/jobs/claim", b'{"workerId":"w","claimId":"c"}'))
    await eventually(lambda: store.calls.count("get") == 1)
    again = asyncio.create_task(rest.claim(claimId="c"))
    await eventually(lambda: store.calls.count("get") == 2)
    wire.drop()
    store.held.set()
    job = await again
    complete = {"workerId": "w", "lease": job["lease"]}
    assert (await rest.post("/v1/jobs/a/complete", complete)).status == 204


async def test_lease_when_its_answer_is_under_way_then_it_is_no_orphan(
    store: FlakyPayloads, session: aiohttp.ClientSession
) -> None:
    limits = QueueLimits(orphan_after_ms=-1)
    async with BrokerServer(
        store, host="127.0.0.1", port=0, settings=BrokerSettings(limits=limits)
    ) as broker:
        rest = Rest(session, broker.url)
        await put_well(rest, "a", LARGE)
        store.held = asyncio.Event()
        claiming = asyncio.create_task(rest.claim())
        await eventually(lambda: "get" in store.calls)
        beat = {"workerId": "w", "jobs": [], "all": True}
        assert (await rest.post("/v1/jobs/heartbeat", beat)).status == 200
        store.held.set()
        assert (await claiming)["jobId"] == "a"
        assert (await rest.job("a"))["status"] == "in_progress"
        assert (await rest.post("/v1/jobs/heartbeat", beat)).status == 200
        assert (await rest.job("a"))["status"] == "unclaimed"


async def test_put_when_there_is_no_room_then_it_waits_and_is_refused_after_that(
    store: FlakyPayloads, session: aiohttp.ClientSession, dial: Dial
) -> None:
    small = PayloadSettings(in_bytes_max=200_000, room_wait_ms=50)
    async with BrokerServer(
        store, host="127.0.0.1", port=0, settings=BrokerSettings(payloads=small)
    ) as broker:
        rest = Rest(session, broker.url)
        wire = await dial(broker)
        half = request("/v1/jobs/a", OTHER + b" " * 50_000, method="PUT")
        await wire.send(half[:-1])
        room = broker._engine.payloads.incoming if broker._engine else None
        assert room is not None
        await eventually(lambda: room.free < 100_000)
        answer = await put(rest, "b", OTHER)
        assert (answer.status, answer.tag) == (429, "OverloadedError")
        assert (await rest.post("/v1/jobs", {"payload": "x" * 80_000})).status == 429
        await wire.send(half[-1:])
        assert (await wire.answer()).status == 200
        await put_well(rest, "b", OTHER)
        assert room.free == 200_000


async def test_payload_when_its_caller_takes_nothing_in_then_the_connection_is_dropped(
    store: FlakyPayloads, session: aiohttp.ClientSession, dial: Dial
) -> None:
    impatient = BrokerSettings(server=ServerSettings(send_s_max=0))
    async with BrokerServer(store, host="127.0.0.1", port=0, settings=impatient) as broker:
        rest = Rest(session, broker.url)
        await put_well(rest, "a", b'"' + b"x" * (40 * 2**20) + b'"')
        before = open_connections(broker)
        wire = await dial(broker)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined] # of a socket
        await wire.send(request("/v1/jobs/a/payload", method="GET"))
        await eventually(lambda: "get" in store.calls)
        await eventually(lambda: open_connections(broker) == before)
        engine = broker._engine
        assert engine is not None
        assert engine.payloads.outgoing.free == PayloadSettings().out_bytes_max
