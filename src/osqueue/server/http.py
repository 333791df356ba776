"""Reading requests and sending answers on bare ASGI, for routes that are called often."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from osqueue.engine.engine import CallerGoneError
from osqueue.errors import BrokerProtocolError, OsqueueError
from osqueue.wire.errors import error_body, http_status

__all__ = ["Headers", "decode_body", "read_body", "respond", "respond_error", "respond_json"]

Headers = Mapping[bytes, bytes]

BASE_HEADERS: Final = (
    (b"vary", b"Origin"),
    (b"access-control-expose-headers", b"Connect-Protocol-Version"),
    (b"keep-alive", b"timeout=72"),
)
_JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_PLACE = re.compile(r"^(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?$", re.DOTALL)
_encode = msgspec.json.Encoder().encode


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; refused with 413 once it is larger than ``limit``."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        chunks, size = [body], len(body)
        while message.get("more_body") and size <= limit:
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise CallerGoneError
    if len(body) > limit:
        raise BrokerProtocolError(
            f"the request body is larger than {limit} bytes ({scope['path']})", status=413
        )
    return body


def decode_body(body: bytes, headers: Headers, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The request of a JSON body; what is wrong with it is said with the field's name."""
    kind = headers.get(b"content-type")
    if kind is not None and kind.partition(b";")[0].strip().lower() != b"application/json":
        message = f"content-type must be application/json, not {kind.decode('latin-1')}"
        raise BrokerProtocolError(message, status=415)
    if not body:
        raise BrokerProtocolError("the request has no body; it must be a JSON object")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(describe(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokerProtocolError(f"the body is not valid JSON: {error}") from error


def describe(error: msgspec.ValidationError) -> str:
    """What is wrong, with the field first: ``workerId: expected `str`, got `int` ``."""
    match = _PLACE.match(str(error))
    assert match is not None, "the pattern matches any text"
    text, field = match.group(1), match.group(2)
    return (
        f"`{field}`: {text[:1].lower()}{text[1:]}" if field else f"the request is invalid: {text}"
    )


async def respond(
    send: Send,
    status: int,
    *,
    body: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer."""
    await send(
        {"type": "http.response.start", "status": status, "headers": [*BASE_HEADERS, *headers]}
    )
    await send({"type": "http.response.body", "body": body})


async def respond_json(
    send: Send,
    body: bytes,
    *,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send JSON text."""
    length = (b"content-length", b"%d" % len(body))
    await respond(send, status, body=body, headers=(_JSON, length, *headers))


async def respond_error(
    send: Send, error: OsqueueError, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send an error: its status, and its tag and message as JSON."""
    status = http_status(error)
    if status == 413:
        headers = (*headers, (b"connection", b"close"))
    await respond_json(send, _encode(error_body(error)), status=status, headers=headers)
