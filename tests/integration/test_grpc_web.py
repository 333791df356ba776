"""gRPC-Web, and gRPC in HTTP/1.1, on the HTTP port; and what is no message in either."""

from __future__ import annotations

import base64

import pytest
from tests.integration.conftest import Dial
from tests.integration.rest import Rest
from tests.integration.rpc import SERVICE, WEB, envelope, envelopes, post, trailers

from osqueue.app import BrokerServer
from osqueue.config import MIB
from osqueue.wire.gen.google.rpc.errors_pb import ErrorInfo, Status
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb

SUBMIT = envelope(pb.SubmitJobRequest(payload=b"1").to_binary())


def refusal(ended: dict[str, str]) -> tuple[str, str]:
    """The code and the tag of what ended an answer."""
    details = ended.get("grpc-status-details-bin")
    if details is None:
        return ended["grpc-status"], ""
    status = Status.from_binary(base64.b64decode(details + "==="))
    info = status.details[0].unpack(ErrorInfo)
    assert info is not None
    return ended["grpc-status"], info.reason


async def test_answer_when_it_succeeds_then_a_message_and_trailers(rest: Rest) -> None:
    answer = await post(rest, "SubmitJob", SUBMIT, WEB)
    (flags, message), (last, end) = envelopes(answer.body)
    assert (answer.status, flags, last) == (200, 0, 0x80)
    assert answer.headers["content-type"] == "application/grpc-web+proto"
    assert pb.SubmitJobResponse.from_binary(message).job_id
    assert trailers(end) == {"grpc-status": "0"}
    assert answer.commit >= (1, 2)


async def test_answer_when_asked_for_in_json_then_in_json(rest: Rest) -> None:
    kind = {"content-type": "application/grpc-web+json"}
    answer = await post(rest, "ClaimJob", envelope(b'{"workerId":"w"}'), kind)
    assert envelopes(answer.body)[0] == (0, b"{}")


async def test_answer_when_refused_then_code_and_tag_in_the_trailers(rest: Rest) -> None:
    asked = envelope(pb.HeartbeatRequest(job_id="x", worker_id="w").to_binary())
    answer = await post(rest, "Heartbeat", asked, WEB)
    (_, end) = envelopes(answer.body)[-1]
    assert refusal(trailers(end)) == ("5", "JobNotFoundError")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "12"),
        (b"\x00", "3"),
        (b"\x00\x00\x00\x00\x09ab", "3"),
        (envelope(b"\xff\xff"), "3"),
        (envelope(b"", flags=0x42), "3"),
        (envelope(b"x", flags=1), "3"),
        (SUBMIT + SUBMIT, "12"),
        (SUBMIT + b"\x00\x00", "3"),
        (b"\x00\xff\xff\xff\xff", "3"),
        (envelope(bytes(2 * MIB)), "3"),
    ],
)
async def test_body_when_it_is_no_message_then_refused_and_nothing_is_applied(
    rest: Rest, body: bytes, code: str
) -> None:
    answer = await post(rest, "SubmitJob", body, WEB)
    assert answer.status == 200
    (_, end) = envelopes(answer.body)[-1]
    assert refusal(trailers(end)) == (code, "BrokerProtocolError")
    assert (await rest.state())["jobs"] == []


async def test_body_when_beyond_the_limit_then_refused(rest: Rest) -> None:
    answer = await post(rest, "SubmitJobs", envelope(bytes(2 * MIB)), WEB)
    (_, end) = envelopes(answer.body)[-1]
    assert refusal(trailers(end)) == ("8", "BrokerProtocolError")


@pytest.mark.parametrize("value", ["1", "S", "1x", "123456789S", "-1S"])
async def test_timeout_when_it_is_none_then_refused(rest: Rest, value: str) -> None:
    answer = await post(rest, "GetStats", envelope(b""), {**WEB, "grpc-timeout": value})
    (_, end) = envelopes(answer.body)[-1]
    assert refusal(trailers(end)) == ("3", "BrokerProtocolError")


async def test_timeout_when_it_passes_then_the_claim_takes_no_job(rest: Rest) -> None:
    asked = envelope(pb.ClaimJobRequest(worker_id="w", wait_ms=20_000).to_binary())
    answer = await post(rest, "ClaimJob", asked, {**WEB, "grpc-timeout": "50m"})
    (_, end) = envelopes(answer.body)[-1]
    assert trailers(end)["grpc-status"] == "4"
    await rest.submit(jobId="free")
    assert (await rest.claim("other"))["jobId"] == "free"


def http1(method: str, message: bytes) -> bytes:
    """gRPC as it is, in HTTP/1.1."""
    head = f"POST {SERVICE}{method} HTTP/1.1\r\nhost: b\r\nte: trailers\r\n"
    kind = f"content-type: application/grpc+proto\r\ncontent-length: {5 + len(message)}\r\n\r\n"
    return (head + kind).encode() + envelope(message)


async def chunked(reader: object) -> tuple[bytes, dict[str, str]]:
    """The next body in chunks, and its trailers."""
    body = b""
    while size := int(await reader.readline(), 16):  # type: ignore[attr-defined]
        body += (await reader.readexactly(size + 2))[:-2]  # type: ignore[attr-defined]
    end = b""
    while (line := await reader.readline()) != b"\r\n":  # type: ignore[attr-defined]
        end += line
    return body, trailers(end)


async def test_grpc_when_in_http1_then_it_ends_with_trailers_and_the_connection_goes_on(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    for _ in range(3):
        await wire.send(http1("SubmitJob", pb.SubmitJobRequest(payload=b"1").to_binary()))
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert b"content-type: application/grpc+proto\r\n" in head
        body, ended = await chunked(wire.reader)
        assert pb.SubmitJobResponse.from_binary(envelopes(body)[0][1]).job_id
        assert ended == {"grpc-status": "0"}
        await wire.send(http1("Heartbeat", pb.HeartbeatRequest(job_id="x").to_binary()))
        await wire.reader.readuntil(b"\r\n\r\n")
        body, ended = await chunked(wire.reader)
        assert (body, refusal(ended)) == (b"", ("3", "BrokerProtocolError"))


async def test_grpc_when_pipelined_in_http1_then_each_is_answered_or_the_connection_ends(
    broker: BrokerServer, dial: Dial, rest: Rest
) -> None:
    wire = await dial(broker)
    one = http1("SubmitJob", pb.SubmitJobRequest(payload=b"1").to_binary())
    await wire.send(one * 3)
    await wire.ended()
    assert (await post(rest, "GetStats", b"{}")).status == 200
