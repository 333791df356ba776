"""Connect's unary methods on the wire: what the contract says of bodies, headers and errors."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from connectrpc.compression.brotli import BrotliCompression
from tests.integration.conftest import Dial
from tests.integration.rest import Rest, eventually, json_bytes, request, waiting_claims
from tests.integration.rpc import JSON_KIND, PROTO, SERVICE, WEB, b64, envelope, info, post

from osqueue.app import BrokerServer
from osqueue.broker.service import QueueService
from osqueue.config import MIB, BrokerSettings, ServerSettings
from osqueue.server.connection import HttpProtocol
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.methods import METHODS, STREAMED

NULL = "bnVsbA=="
BROTLI = BrotliCompression()
DEFLATE: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "br": BROTLI.compress}
INFLATE: dict[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": BROTLI.decompress,
    None: bytes,
}


async def test_answer_when_it_succeeds_then_the_headers_of_every_answer_and_its_commit(
    rest: Rest,
) -> None:
    answer = await post(rest, "SubmitJob", {"payload": b64(1)})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["access-control-expose-headers"] == "Connect-Protocol-Version"
    assert answer.headers["keep-alive"] == "timeout=72"
    assert answer.commit >= (1, 2)
    assert "content-encoding" not in answer.headers


async def test_claim_when_there_is_nothing_then_an_empty_object(rest: Rest) -> None:
    assert (await post(rest, "ClaimJob", {"workerId": "w"})).body == b"{}"


async def test_end_when_done_then_an_empty_object(rest: Rest) -> None:
    job_id = await rest.submit(payload=1)
    await rest.claim("w")
    one = {"jobId": job_id, "workerId": "w"}
    assert (await post(rest, "Heartbeat", one)).body == b"{}"
    assert (await post(rest, "CompleteJob", one)).body == b"{}"


@pytest.mark.parametrize("fields", [{}, {"payload": NULL}, {"payload": ""}])
async def test_payload_when_null_or_absent_then_claimed_as_null(
    rest: Rest, fields: dict[str, str]
) -> None:
    await post(rest, "SubmitJob", fields)
    assert (await post(rest, "ClaimJob", {"workerId": "w"})).json["payload"] == NULL


async def test_json_when_fields_are_snake_case_or_unknown_then_taken(rest: Rest) -> None:
    asked = {"payload": b64(1), "max_attempts": 1, "nobody": [1], "type": "t"}
    assert (await post(rest, "SubmitJob", asked)).status == 200
    claimed = (await post(rest, "ClaimJob", {"worker_id": "w", "types": ["t"]})).json
    assert (claimed["maxAttempts"], claimed["createdAt"].isdigit()) == (1, True)


async def test_body_when_chunked_then_read(rest: Rest) -> None:
    async def chunks() -> object:
        for byte in json_bytes({"payload": b64({"a": "x" * 50})}):
            yield bytes([byte])

    assert (await post(rest, "SubmitJob", chunks())).status == 200


@pytest.mark.parametrize("name", DEFLATE)
async def test_body_when_compressed_then_read(rest: Rest, name: str) -> None:
    body = DEFLATE[name](json_bytes({"payload": b64("x" * 10_000)}))
    answer = await post(rest, "SubmitJob", body, {**JSON_KIND, "content-encoding": name})
    assert answer.status == 200
    assert (await rest.claim("w"))["payload"] == "x" * 10_000


async def test_body_when_compressed_by_something_else_then_501(rest: Rest) -> None:
    answer = await post(rest, "GetStats", b"{}", {**JSON_KIND, "content-encoding": "zstd"})
    assert (answer.status, info(answer)) == (501, ("unimplemented", "BrokerProtocolError", "501"))
    assert answer.message == 'unknown compression "zstd": supported encodings are gzip,br'


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, br", "gzip"),
        ("br, gzip", "gzip"),
        ("br", "br"),
        ("gzip;q=0, br;q=0.5", "br"),
        ("deflate", None),
        ("", None),
    ],
)
async def test_answer_when_large_then_compressed_as_the_caller_can_read(
    rest: Rest, accepted: str, chosen: str | None
) -> None:
    await rest.submit(payload="x" * 5_000)
    headers = {"content-type": "application/json", "accept-encoding": accepted}
    host, _, port = rest.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))  # aiohttp would inflate it
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = [f"POST {SERVICE}ListJobs HTTP/1.1", "host: b", "content-length: 2", *lines]
    writer.write("\r\n".join([*head, "", "{}"]).encode())
    said = await reader.readuntil(b"\r\n\r\n")
    length = int(said.partition(b"content-length: ")[2].partition(b"\r")[0])
    body = await reader.readexactly(length)
    writer.close()
    assert (f"content-encoding: {chosen}".encode() in said) == (chosen is not None)
    inflate = INFLATE[chosen]
    assert len(json.loads(inflate(body))["jobs"]) == 1


async def test_answer_when_small_then_not_compressed(rest: Rest) -> None:
    answer = await post(rest, "GetStats", b"{}", {**JSON_KIND, "accept-encoding": "gzip, br"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/connect+json", "application/xml", ""])
async def test_kind_when_unknown_then_415_without_a_body(rest: Rest, kind: str) -> None:
    answer = await post(rest, "GetStats", b"{}", {"content-type": kind} if kind else {})
    assert (answer.status, answer.body) == (415, b"")


async def test_method_when_get_then_405_without_a_body(rest: Rest) -> None:
    answer = await rest.get(SERVICE + "GetStats")
    assert (answer.status, answer.body, answer.headers["allow"]) == (405, b"", "POST")


async def test_method_when_unknown_then_as_any_other_route(rest: Rest) -> None:
    answer = await post(rest, "Nope", {})
    assert (answer.status, answer.tag) == (404, "BrokerProtocolError")
    assert answer.message == f"Route POST:{SERVICE}Nope not found"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b'{"payload":5}', b"\xff", b'"x"'])
async def test_json_when_broken_then_400_that_names_the_message(rest: Rest, body: bytes) -> None:
    answer = await post(rest, "SubmitJob", body)
    assert (answer.status, info(answer).reason) == (400, "BrokerProtocolError")
    assert answer.message.startswith("cannot decode message osqueue.v1.SubmitJobRequest")


async def test_proto_when_truncated_then_400_in_json(rest: Rest) -> None:
    whole = pb.SubmitJobRequest(payload=b"1", type="t").to_binary()
    answer = await post(rest, "SubmitJob", whole[:-1], PROTO)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert info(answer) == ("invalid_argument", "BrokerProtocolError", "400")


@pytest.mark.parametrize(
    "payload", [b"{", b"}{", b"1 2", b"nul", b"'", b"\xff", b"[" * 5_000, b"9" * 5_000, b"NaN"]
)
async def test_payload_when_no_json_then_refused_and_the_queue_stays_readable(
    rest: Rest, payload: bytes
) -> None:
    one = pb.SubmitJobRequest(payload=payload)
    for method, message in (("SubmitJob", one), ("SubmitJobs", pb.SubmitJobsRequest(jobs=[one]))):
        answer = await post(rest, method, message.to_binary(), PROTO)
        assert (answer.status, info(answer).reason) == (400, "BrokerProtocolError")
        assert "payload` cannot be kept" in answer.message
    assert (await rest.state())["jobs"] == []


async def test_payload_when_large_and_no_json_then_refused(rest: Rest) -> None:
    bad = b'"' + b"x" * (2 * MIB) + b'"}'
    answer = await post(rest, "SubmitJob", pb.SubmitJobRequest(payload=bad).to_binary(), PROTO)
    assert (answer.status, info(answer).reason) == (400, "BrokerProtocolError")


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "12345678901", ""])
async def test_timeout_when_it_is_none_then_400(rest: Rest, value: str) -> None:
    answer = await post(rest, "GetStats", b"{}", {**JSON_KIND, "connect-timeout-ms": value})
    assert (answer.status, info(answer).code) == (400, "invalid_argument")
    assert answer.message == f"protocol error: invalid connect timeout value: {value}"


async def test_timeout_when_it_passes_while_a_claim_waits_then_it_takes_no_job(
    rest: Rest, broker: BrokerServer
) -> None:
    asked = {"workerId": "w", "waitMs": 20_000}
    answer = await post(rest, "ClaimJob", asked, {**JSON_KIND, "connect-timeout-ms": "50"})
    assert (answer.status, answer.json["code"]) == (504, "deadline_exceeded")
    await eventually(lambda: waiting_claims(broker) == 0)
    await rest.submit(jobId="free")
    assert (await rest.claim("other"))["jobId"] == "free"


async def test_large_submit_when_its_deadline_passes_then_it_is_done_all_the_same(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, submit = asyncio.Event(), QueueService.submit

    async def held_up(self: QueueService, *args: Any, **more: Any) -> Any:
        await go_on.wait()
        return await submit(self, *args, **more)

    monkeypatch.setattr(QueueService, "submit", held_up)
    payload = b'"' + b"x" * (2 * MIB) + b'"'
    asked = pb.SubmitJobRequest(payload=payload, job_id="mine").to_binary()
    answer = await post(rest, "SubmitJob", asked, {**PROTO, "connect-timeout-ms": "300"})
    assert answer.json["code"] == "deadline_exceeded"
    go_on.set()
    claimed = await rest.claim("w", waitMs=20_000)
    assert (claimed["jobId"], len(claimed["payload"])) == ("mine", 2 * MIB)


async def test_caller_when_it_goes_away_while_a_claim_waits_then_it_takes_no_job(
    rest: Rest, broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    await wire.send(request(SERVICE + "ClaimJob", b'{"workerId":"gone","waitMs":20000}'))
    await eventually(lambda: waiting_claims(broker) == 1)
    wire.drop()
    await eventually(lambda: waiting_claims(broker) == 0)
    await rest.submit(jobId="free")
    assert (await rest.claim("other"))["jobId"] == "free"


@pytest.mark.parametrize("kind", [PROTO, WEB])
async def test_caller_when_gone_before_its_answer_is_sent_then_others_get_the_job(
    rest: Rest,
    broker: BrokerServer,
    dial: Dial,
    monkeypatch: pytest.MonkeyPatch,
    kind: dict[str, str],
) -> None:
    wire = await dial(broker)
    mine = wire.writer.get_extra_info("sockname")

    def lose(*_: object) -> None:
        assert broker._http is not None
        for each in broker._http._server.server_state.connections:
            if isinstance(each, HttpProtocol) and each.client == mine:
                each.transport.abort()
                each._connection.lose()

    await rest.submit(jobId="free")
    asked = pb.ClaimJobRequest(worker_id="gone").to_binary()
    body = envelope(asked) if kind is WEB else asked
    head = f"POST {SERVICE}ClaimJob HTTP/1.1\r\nhost: b\r\ncontent-length: {len(body)}\r\n"
    with monkeypatch.context() as patch:
        patch.setattr("osqueue.server.rpc.connect.name_commit", lose)
        await wire.send((head + f"content-type: {kind['content-type']}\r\n\r\n").encode() + body)
        with suppress(ConnectionError):
            await wire.ended()
    again = await rest.claim("there", waitMs=20_000)
    assert (again["jobId"], again["attempt"]) == ("free", 1)


async def test_caller_when_it_goes_away_in_its_body_then_others_are_served(
    rest: Rest, broker: BrokerServer, dial: Dial
) -> None:
    for _ in range(20):
        wire = await dial(broker)
        whole = request(SERVICE + "SubmitJob", b'{"payload":"MQ=="}')
        await wire.send(whole[:-5])
        wire.drop()
    assert (await post(rest, "GetStats", b"{}")).json.get("total", 0) == 0


@pytest.mark.parametrize("method", sorted(each.name for each in METHODS))
async def test_body_when_beyond_the_limit_then_refused_with_the_tag(
    rest: Rest, method: str
) -> None:
    limit = 65 * MIB if method == "SubmitJob" else MIB
    answer = await post(rest, method, bytes(limit + 1), PROTO)
    said = info(answer)
    assert (answer.status, said) == (429, ("resource_exhausted", "BrokerProtocolError", "413"))


@pytest.mark.parametrize("deflate", DEFLATE)
async def test_body_when_it_inflates_without_end_then_refused(rest: Rest, deflate: str) -> None:
    bomb = DEFLATE[deflate](bytes(300 * MIB))
    for method in ("SubmitJob", "SubmitJobs"):
        answer = await post(rest, method, bomb, {**PROTO, "content-encoding": deflate})
        assert info(answer) == ("resource_exhausted", "BrokerProtocolError", "413")


async def test_payload_when_beyond_the_broker_s_limit_then_refused_with_the_tag() -> None:

    settings = BrokerSettings(server=ServerSettings(payload_bytes_max=1_000))
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker,
        aiohttp.ClientSession() as session,
    ):
        rest = Rest(session, broker.url)
        for method, message in (
            ("SubmitJob", pb.SubmitJobRequest(payload=b'"' + b"x" * 1_000 + b'"')),
            ("Push", pb.PushRequest(data=b"\xff" * 1_001)),
        ):
            answer = await post(rest, method, message.to_binary(), PROTO)
            assert info(answer) == ("resource_exhausted", "BrokerProtocolError", "413")
            assert "1000 bytes" in answer.message


@pytest.mark.parametrize("size", [5_000_000, 40_000_000])
async def test_payload_when_large_then_it_comes_back_the_same(rest: Rest, size: int) -> None:
    payload = b'"' + b"x" * size + b'"'
    answer = await post(rest, "SubmitJob", pb.SubmitJobRequest(payload=payload).to_binary(), PROTO)
    assert answer.status == 200
    claimed = await post(rest, "ClaimJob", pb.ClaimJobRequest(worker_id="w").to_binary(), PROTO)
    assert pb.ClaimJobResponse.from_binary(claimed.body).payload == payload


@pytest.mark.parametrize(
    ("kind", "status"),
    [("application/json", 403), ("application/proto", 403), ("application/grpc-web+proto", 200)],
)
async def test_page_when_of_a_foreign_origin_then_refused_in_its_own_protocol(
    rest: Rest, kind: str, status: int
) -> None:
    headers = {"content-type": kind, "origin": "https://evil.example"}
    answer = await post(rest, "SubmitJob", b"{}", headers)
    assert answer.status == status
    assert "access-control-allow-origin" not in answer.headers
    if status == 403:
        assert info(answer) == ("permission_denied", "AuthError", "403")
    else:
        assert b"grpc-status: 7\r\n" in answer.body
    assert (await rest.state())["jobs"] == []


async def test_page_when_of_the_own_origin_then_told_so(rest: Rest) -> None:
    answer = await post(rest, "GetStats", b"{}", {**JSON_KIND, "origin": rest.url})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, rest.url)


@pytest.mark.parametrize("method", sorted(each.name for each in (*METHODS, *STREAMED)))
async def test_preflight_when_for_a_method_then_allowed(rest: Rest, method: str) -> None:
    headers = {"origin": rest.url, "access-control-request-method": "POST"}
    answer = await rest.send("OPTIONS", SERVICE + method, headers=headers)
    assert answer.status == 204


async def test_curl_when_it_sends_json_then_answered(broker: BrokerServer) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    url = f"{broker.url}{SERVICE}SubmitJob"
    kind = "content-type: application/json"
    program = await asyncio.create_subprocess_exec(
        *(curl, "-sf", "-H", kind, "-d", '{"payload":"MQ==","jobId":"mine"}', url),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await program.communicate()
    assert json.loads(out) == {"jobId": "mine"}


async def test_open_method_when_asked_with_more_than_it_takes_then_refused(rest: Rest) -> None:
    answer = await post(rest, "GetStatus", b'{"x":"' + b"x" * 1_100 + b'"}')
    assert info(answer) == ("resource_exhausted", "BrokerProtocolError", "413")


@pytest.mark.parametrize(
    ("headers", "body"),
    [(PROTO, b"\x0a\x00" * 500_000), (JSON_KIND, b'{"jobs":[' + b"{}," * 300_000 + b"{}]}")],
)
async def test_batch_when_of_very_many_that_are_empty_then_refused_without_reading_them(
    rest: Rest, headers: dict[str, str], body: bytes
) -> None:
    answer = await post(rest, "SubmitJobs", body, headers)
    assert info(answer) == ("invalid_argument", "BrokerProtocolError", "400")
    assert "more than 4096 parts" in answer.json["message"]
