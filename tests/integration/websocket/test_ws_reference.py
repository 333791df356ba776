"""What clients of the older system see: the rows of the wire's third chapter, one by one."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.conftest import Dial
from tests.integration.rest import Rest, json_bytes, request
from tests.integration.ws import BINARY, TEXT, Ws, masked, upgrade

from osqueue.app import BrokerServer


async def test_job_when_worked_on_with_the_older_methods_then_done(ws: Ws) -> None:
    submitted = await ws.ask("submitJob", {"payload": {"n": 1}, "type": "t", "maxAttempts": 2})
    assert list(submitted) == ["id", "ok", "result"]
    job_id = submitted["result"]["jobId"]
    claimed = await ws.result("claimJob", {"workerId": "w", "types": ["t"]})
    assert list(claimed)[:3] == ["jobId", "payload", "type"]
    assert (claimed["jobId"], claimed["payload"], claimed["type"]) == (job_id, {"n": 1}, "t")
    assert await ws.result("heartbeat", {"jobId": job_id, "workerId": "w"}) == {}
    assert await ws.result("completeJob", {"jobId": job_id, "workerId": "w"}) == {}
    stats = await ws.result("getStats", {})
    keys = ["total", "unclaimed", "inProgress", "completedTotal", "brokerAddress"]
    assert list(stats)[:5] == keys
    assert stats["completedTotal"] == 1


async def test_claim_when_there_is_no_job_then_an_empty_object(ws: Ws) -> None:
    assert await ws.result("claimJob", {"workerId": "w", "types": []}) == {}


async def test_claim_when_it_asks_for_many_by_the_older_name_then_one(ws: Ws) -> None:
    await ws.result("submitJobs", {"jobs": [{}, {}]})
    assert "jobId" in await ws.result("claimJob", {"workerId": "w", "max": 2})
    assert (await ws.result("getStats"))["unclaimed"] == 1


async def test_listing_when_asked_then_the_object_of_rest(ws: Ws, rest: Rest) -> None:
    await rest.submit(payload=None, type="t")
    listed = await ws.result("listJobs", None)
    assert listed == (await rest.get("/v1/jobs")).json
    assert listed["jobs"][0]["payload"] is None


@pytest.mark.parametrize(
    "id_", ['"1"', "7", "1.50", "null", '{"a": [1,  2]}', '"é\\u00e9"', "true", "[]"]
)
async def test_id_when_any_json_then_echoed_as_written(ws: Ws, id_: str) -> None:
    await ws.text(f'{{"id":{id_},"method":"claimJob","params":{{"workerId":"w"}}}}'.encode())
    assert await ws.bytes() == f'{{"id":{id_},"ok":true,"result":{{}}}}'.encode()


async def test_id_when_absent_then_null(ws: Ws) -> None:
    await ws.text(b'{"method":"claimJob","params":{"workerId":"w"}}')
    assert await ws.bytes() == b'{"id":null,"ok":true,"result":{}}'


async def test_answers_when_a_claim_waits_then_others_overtake_it(ws: Ws) -> None:
    waiting = await ws.send("claimJob", {"workerId": "w", "waitMs": 20_000})
    await ws.result("getStats")
    submitted = await ws.send("submitJob", {"payload": 1})
    answers = {answer["id"]: answer for answer in (await ws.receive(), await ws.receive())}
    assert answers[waiting]["result"]["jobId"] == answers[submitted]["result"]["jobId"]


@pytest.mark.parametrize("params", ["", ',"params":null', ',"params":{}'])
async def test_params_when_absent_then_none_are_given(ws: Ws, params: str) -> None:
    await ws.text(b'{"id":1,"method":"submitJob"%b}' % params.encode())
    job_id = (await ws.receive())["result"]["jobId"]
    claimed = await ws.result("claimJob", {"workerId": "w", "types": None})
    assert claimed["jobId"] == job_id
    assert "payload" not in claimed
    assert "type" not in claimed


async def test_job_when_fields_are_null_then_as_if_they_were_absent(ws: Ws) -> None:
    await ws.result("submitJob", {"payload": None, "type": None, "maxAttempts": None})
    claimed = await ws.result("claimJob", {"workerId": "w"})
    assert (claimed["payload"], claimed["maxAttempts"]) == (None, 3)


async def test_method_when_unknown_then_the_older_message(ws: Ws) -> None:
    error = await ws.error("nope", {})
    assert error == {"_tag": "BrokerProtocolError", "message": "Unsupported WS method: nope"}


@pytest.mark.parametrize("text", ["null", "5", "[]", '"str"', "{}", '{"params":{}}'])
async def test_message_when_it_asks_for_nothing_then_undefined(ws: Ws, text: str) -> None:
    await ws.text(text.encode())
    message = "Unsupported WS method: undefined"
    error = {"_tag": "BrokerProtocolError", "message": message}
    assert await ws.receive() == {"id": None, "ok": False, "error": error}


@pytest.mark.parametrize("method", ["5", "null", '{"a":1}', "true"])
async def test_method_when_it_is_no_text_then_refused_under_its_id(ws: Ws, method: str) -> None:
    await ws.text(f'{{"id":"x","method":{method}}}'.encode())
    answer = await ws.receive()
    assert (answer["id"], answer["error"]["_tag"]) == ("x", "BrokerProtocolError")
    assert answer["error"]["message"] == f"Unsupported WS method: {method}"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nope",
        b'{"id":1',
        b'{"id":1}x',
        b"[1",
        b"\0",
        b" ",
        b'{"id":1,"method":"getStats","x":"\\ud800"}',
    ],
)
async def test_message_when_it_is_no_json_then_it_is_said_and_the_connection_stays(
    ws: Ws, text: bytes
) -> None:
    await ws.text(text)
    expected = b'{"_tag":"BrokerProtocolError","message":"Invalid JSON"}'
    assert await ws.bytes() == b'{"id":null,"ok":false,"error":%b}' % expected
    assert await ws.result("claimJob", {"workerId": "w"}) == {}


async def test_message_when_binary_then_read_as_text_and_answered_as_text(ws: Ws) -> None:
    await ws.frame(BINARY, json_bytes({"id": 1, "method": "claimJob", "params": {"workerId": "w"}}))
    opcode, data, _ = await ws.raw()
    assert (opcode, json.loads(data)["ok"]) == (TEXT, True)


async def test_message_when_binary_and_not_utf8_then_no_json(ws: Ws) -> None:
    await ws.frame(BINARY, b'{"id":1,"method":"submitJob","params":{"payload":"\xff"}}')
    assert (await ws.receive())["error"]["message"] == "Invalid JSON"


async def test_payload_when_it_has_a_key_of_a_prototype_then_kept(ws: Ws) -> None:
    text = b'{"__proto__":{"a":1},"constructor":{"prototype":2}}'
    await ws.text(b'{"id":1,"method":"submitJob","params":{"payload":%b}}' % text)
    await ws.receive()
    assert (await ws.result("claimJob", {"workerId": "w"}))["payload"] == json.loads(text)


async def test_payload_when_of_three_megabytes_then_taken_and_brought_back(ws: Ws) -> None:
    payload = "x" * 3_000_000
    job_id = (await ws.result("submitJob", {"payload": payload}))["jobId"]
    claimed = await ws.result("claimJob", {"workerId": "w"})
    assert (claimed["jobId"], claimed["payload"]) == (job_id, payload)


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ("chat", "chat"),
        ("a, b", "a"),
        ("bearer.osq_secret, osqueue", "osqueue"),
        ("bearer.osq_secret", None),
    ],
)
async def test_subprotocol_when_offered_then_the_first_that_is_no_token_is_echoed(
    broker: BrokerServer, offered: str, taken: str | None
) -> None:
    async with await Ws.open(broker, f"sec-websocket-protocol: {offered}") as ws:
        assert ws.answer.headers.get("sec-websocket-protocol") == taken
        assert b"secret" not in repr(ws.answer).encode()


async def test_compression_when_offered_then_declined(broker: BrokerServer) -> None:
    offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits"
    async with await Ws.open(broker, offer) as ws:
        assert "sec-websocket-extensions" not in ws.answer.headers
        assert await ws.result("claimJob", {"workerId": "w"}) == {}


async def test_upgrade_when_answered_then_with_the_key_of_the_standard(ws: Ws) -> None:
    assert ws.answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert ws.answer.headers["upgrade"] == "websocket"


@pytest.mark.parametrize("page", [False, True])
async def test_path_when_asked_without_upgrade_then_an_empty_404(
    broker: BrokerServer, dial: Dial, page: bool
) -> None:
    wire = await dial(broker)
    origin = (f"origin: {broker.url}",) if page else ()
    await wire.send(request("/v1/ws", b"", *origin, method="GET"))
    answer = await wire.answer()
    assert (answer.status, answer.headers["content-length"], answer.body) == (404, "0", b"")
    assert not {"vary", "access-control-allow-origin", "access-control-expose-headers"} & set(
        answer.headers
    )
    await wire.send(request("/healthz", method="GET"))
    assert (await wire.answer()).headers["vary"] == "Origin"


async def test_path_when_asked_by_another_method_then_404_in_json(rest: Rest) -> None:
    answer = await rest.send("POST", "/v1/ws", headers={})
    assert (answer.status, answer.message) == (404, "Route POST:/v1/ws not found")


@pytest.mark.parametrize("path", ["/nope", "/v1/stats", "/v1/ws/", "/"])
async def test_upgrade_when_of_another_path_then_404_in_json(
    broker: BrokerServer, dial: Dial, path: str
) -> None:
    wire = await dial(broker)
    await wire.send(upgrade(path))
    answer = await wire.answer()
    assert (answer.status, answer.tag) == (404, "BrokerProtocolError")
    assert f"Route GET:{path} not found" in answer.message


async def test_requests_when_sent_before_the_upgrade_is_answered_then_answered(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    asked = json_bytes({"id": 1, "method": "claimJob", "params": {"workerId": "w"}})
    await wire.send(upgrade() + masked(TEXT, asked))
    ws = Ws(wire, await wire.answer())
    assert (await ws.receive())["ok"]


async def test_clients_when_many_on_one_broker_then_each_has_its_own_answers(
    broker: BrokerServer,
) -> None:
    async def one(at: int) -> None:
        async with await Ws.open(broker) as ws:
            ids = [await ws.send("submitJob", {"jobId": f"{at}-{job}"}) for job in range(20)]
            answers = [await ws.receive() for _ in ids]
            assert {answer["id"] for answer in answers} == set(ids)
            assert {answer["result"]["jobId"] for answer in answers} == {
                f"{at}-{job}" for job in range(20)
            }

    await asyncio.gather(*[one(at) for at in range(20)])
