from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from osqueue.engine.callers import CallerGoneError
from osqueue.errors import BrokerLeadershipError, BrokerProtocolError, JobNotFoundError
from osqueue.server.http import decode_body, read_body, respond_error
from osqueue.wire.messages import ClaimRequest, SubmitBatchRequest, SubmitRequest

LIMIT = 100
JSON = {b"content-type": b"application/json"}
GONE = {"type": "http.disconnect"}


class Received:
    """A request body in pieces; ``left`` are those that nobody asked for."""

    def __init__(self, *pieces: bytes, then: dict[str, Any] | None = None) -> None:
        self.left: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
        ]
        if then is not None:
            self.left.append(then)
        else:
            self.left[-1]["more_body"] = False

    async def __call__(self) -> dict[str, Any]:
        return self.left.pop(0)

    async def read(self) -> bytes:
        return await read_body({"path": "/v1/jobs"}, self, LIMIT)


@pytest.mark.parametrize(
    "pieces", [[b""], [b"abc"], [b"ab", b"", b"c"], [b"x" * LIMIT], [b"x"] * LIMIT]
)
async def test_body_when_within_the_limit_then_it_is_joined(pieces: list[bytes]) -> None:
    assert await Received(*pieces).read() == b"".join(pieces)


@pytest.mark.parametrize("pieces", [[b"x" * (LIMIT + 1)], [b"x" * LIMIT, b"x"]])
async def test_body_when_over_the_limit_then_413(pieces: list[bytes]) -> None:
    with pytest.raises(BrokerProtocolError, match="100 bytes") as caught:
        await Received(*pieces).read()
    assert caught.value.status == 413


async def test_body_when_far_over_the_limit_then_it_is_read_on_but_not_for_ever() -> None:
    received = Received(*[b"x" * LIMIT] * 100)
    with pytest.raises(BrokerProtocolError):
        await received.read()
    assert 50 < len(received.left) < 90


async def test_body_when_over_the_limit_then_it_is_read_to_its_end() -> None:
    received = Received(*[b"x" * LIMIT] * 5)
    with pytest.raises(BrokerProtocolError):
        await received.read()
    assert received.left == []


@pytest.mark.parametrize("pieces", [[], [b"half"], [b"x" * LIMIT, b"x"]])
async def test_body_when_the_caller_leaves_then_there_is_nobody_to_answer(
    pieces: list[bytes],
) -> None:
    with pytest.raises(CallerGoneError):
        await Received(*pieces, then=GONE).read()


def refusal(body: bytes, type_: Any = SubmitRequest, headers: Any = JSON) -> BrokerProtocolError:
    with pytest.raises(BrokerProtocolError) as caught:
        decode_body(body, headers, msgspec.json.Decoder(type_))
    return caught.value


@pytest.mark.parametrize(
    "kind", [b"application/json", b"Application/JSON ; charset=utf-8", b"application/json;x"]
)
def test_decode_when_the_type_is_json_then_it_is_read(kind: bytes) -> None:
    decoder = msgspec.json.Decoder(SubmitRequest)
    assert decode_body(b'{"type":"t"}', {b"content-type": kind}, decoder).type == "t"
    assert decode_body(b'{"type":"t"}', {}, decoder).type == "t"


@pytest.mark.parametrize("kind", [b"text/plain", b"", b"application/jsonl", b"\xff"])
def test_decode_when_the_type_is_another_then_415(kind: bytes) -> None:
    assert refusal(b"{}", headers={b"content-type": kind}).status == 415


@pytest.mark.parametrize(
    ("type_", "body", "said"),
    [
        (SubmitRequest, b'{"type":5}', "`type`: expected `str | null`, got `int`"),
        (SubmitRequest, b'{"maxAttempts":-1}', "`maxAttempts`: expected `int` >= 0"),
        (SubmitRequest, b'{"priority":1.5}', "`priority`: expected `int`, got `float`"),
        (ClaimRequest, b"{}", "`workerId`"),
        (ClaimRequest, b'{"workerId":"w","types":[1]}', "`types[0]`"),
        (SubmitBatchRequest, b'{"jobs":[{"jobId":""}]}', "`jobs[0].jobId`"),
        (SubmitRequest, b"[]", "Expected `object`, got `array`"),
        (SubmitRequest, b"", "no body"),
        (SubmitRequest, b"{", "the body is not valid JSON"),
        (SubmitRequest, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (SubmitRequest, b'{"payload":"\xff"}', "`payload`: it is not valid UTF-8"),
        (SubmitRequest, b'{"ignored":"\xff"}', "`ignored`: it is not valid UTF-8"),
        (SubmitRequest, b'{"a":1} \xff', "the body is not valid JSON"),
    ],
)
def test_decode_when_something_is_wrong_then_it_is_said_where(
    type_: Any, body: bytes, said: str
) -> None:
    error = refusal(body, type_)
    assert said in error.message
    assert error.status is None


@pytest.mark.parametrize(
    "body", [b'{"maxAttempts":2.0}', b'{"maxAttempts":2.00,"payload":"\xc3\xa9"}']
)
def test_decode_when_a_whole_number_has_a_point_then_it_is_an_integer(body: bytes) -> None:
    message = decode_body(body, JSON, msgspec.json.Decoder(SubmitRequest))
    assert message.max_attempts == 2


def test_decode_when_a_broken_rest_follows_a_whole_number_then_it_is_refused() -> None:
    assert "JSON" in refusal(b'{"maxAttempts":2.0,').message


async def sent(error: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> tuple[int, Any, Any]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await respond_error(send, error, headers)
    start, body = messages
    assert start["type"] == "http.response.start"
    assert body["type"] == "http.response.body"
    return start["status"], dict(start["headers"]), json.loads(body["body"])


async def test_error_when_it_rests_on_a_commit_then_the_answer_names_it() -> None:
    error = JobNotFoundError("there is no job x")
    error.position = (7, 42)
    status, headers, body = await sent(error, ((b"x", b"y"),))
    assert status == 404
    assert headers[b"osqueue-commit"] == b"7-42"
    assert headers[b"x"] == b"y"
    assert body == {"_tag": "JobNotFoundError", "message": "there is no job x"}


async def test_error_when_the_leader_is_known_then_the_body_names_it() -> None:
    status, headers, body = await sent(BrokerLeadershipError("not me", leader="h:1"))
    assert status == 503
    assert b"osqueue-commit" not in headers
    assert body == {
        "_tag": "BrokerLeadershipError",
        "message": "not me",
        "applied": "no",
        "leader": "h:1",
    }


async def test_error_when_a_body_was_too_large_then_the_connection_is_closed() -> None:
    status, headers, _ = await sent(BrokerProtocolError("large", status=413))
    assert (status, headers[b"connection"]) == (413, b"close")
