"""Reading requests and sending answers on bare ASGI, for routes that are called often."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw
from starlette.types import Receive, Scope, Send

from osqueue.config import PAYLOAD_DEPTH_MAX
from osqueue.engine.callers import CallerGoneError
from osqueue.errors import BrokerProtocolError, OsqueueError, OverloadedError
from osqueue.server.fields import not_utf8, with_plain_integers
from osqueue.wire.errors import error_body, http_status

__all__ = [
    "CHALLENGE",
    "CLOSE",
    "JSON",
    "NO_STORE",
    "Headers",
    "check_json",
    "commit_header",
    "decode_body",
    "decode_json",
    "describe",
    "error_headers",
    "headers_of",
    "query_fields",
    "read_body",
    "respond",
    "respond_error",
    "respond_json",
    "wants_consistent",
]

Headers = Mapping[bytes, bytes]

JSON: Final = (b"content-type", b"application/json; charset=utf-8")
CLOSE: Final = (b"connection", b"close")
NO_STORE: Final = (b"cache-control", b"no-store")

CHALLENGE: Final = (b"www-authenticate", b'Bearer realm="osqueue"')
"""What goes with a status of 401."""

DRAIN_FACTOR: Final = 16
"""A body that is too large is read on and dropped up to this many times the limit: a client that
is still sending would see a broken connection instead of the answer."""

_HEADERS: Final = "osqueue.headers"
_PLACE = re.compile(r"^(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?$", re.DOTALL)
_encode = msgspec.json.Encoder().encode


def headers_of(scope: Scope) -> Headers:
    """A request's headers by name; several of one name are joined, so that none is overlooked."""
    known: Headers | None = scope.get(_HEADERS)
    if known is None:
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        known = dict(pairs)
        if len(known) != len(pairs):
            known = _joined(pairs)
        scope[_HEADERS] = known
    return known


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    joined: dict[bytes, bytes] = {}
    for name, value in pairs:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; refused with 413 once it is larger than ``limit``."""
    message = await receive()
    body: bytes = message.get("body", b"")
    size = len(body)
    if message.get("more_body"):
        chunks = [body]
        while message.get("more_body") and size <= limit * DRAIN_FACTOR:
            message = await receive()
            size += len(message.get("body", b""))
            if size <= limit:
                chunks.append(message.get("body", b""))
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise CallerGoneError
    if size > limit:
        raise BrokerProtocolError(
            f"the request body is larger than {limit} bytes ({scope['path']}); a job with a large "
            "payload is submitted by PUT /v1/jobs/{jobId}, with the payload as the body",
            status=413,
        )
    return body


def decode_body(body: bytes, headers: Headers, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The request of a JSON body; what is wrong with it is said with the field's name."""
    check_json(headers)
    if not body:
        raise BrokerProtocolError("the request has no body; it must be a JSON object")
    if not body.isascii() and not _is_utf8(body):  # the decoder looks only at what it builds
        raise _not_utf8(body)
    return decode_json(body, decoder)


def decode_json(
    text: bytes | Raw, decoder: msgspec.json.Decoder[Any], *, what: str = "the body"
) -> Any:
    """A request in JSON, of which is known that it is UTF-8. Raises `BrokerProtocolError`."""
    try:
        return _decode(text, decoder)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(describe(error)) from error
    except RecursionError as error:
        message = f"{what} is nested too deep; a `payload` may have {PAYLOAD_DEPTH_MAX} levels"
        raise BrokerProtocolError(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokerProtocolError(f"{what} is not valid JSON: {error}") from error


def check_json(headers: Headers) -> None:
    """Refuse a body that says of itself that it is something else."""
    kind = headers.get(b"content-type")
    if kind is not None and kind.partition(b";")[0].strip().lower() != b"application/json":
        message = f"content-type must be application/json, not {kind.decode('latin-1')}"
        raise BrokerProtocolError(message, status=415)


def _decode(text: bytes | Raw, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        with suppress(msgspec.ValidationError):
            return decoder.decode(with_plain_integers(bytes(text)))
        raise


def _not_utf8(body: bytes) -> BrokerProtocolError:
    try:
        return BrokerProtocolError(not_utf8(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return BrokerProtocolError(f"the body is not valid JSON: {error}")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def describe(error: msgspec.ValidationError) -> str:
    """What is wrong, with the field first: ``workerId: expected `str`, got `int` ``."""
    match = _PLACE.match(str(error))
    assert match is not None, "the pattern matches any text"
    text, field = match.group(1), match.group(2)
    return (
        f"`{field}`: {text[:1].lower()}{text[1:]}" if field else f"the request is invalid: {text}"
    )


def query_fields(query: bytes) -> dict[str, str]:
    """The fields of a query string."""
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))


def wants_consistent(query: bytes) -> bool:
    """Whether a read asks for what is true after it was sent."""
    if b"consistent" not in query:
        return False
    value = query_fields(query).get("consistent", "false")
    if value not in {"true", "false"}:
        raise BrokerProtocolError(f"`consistent`: must be true or false, not {value!r}")
    return value == "true"


def commit_header(position: tuple[int, int] | None) -> tuple[tuple[bytes, bytes], ...]:
    """Names the commit, by epoch and number, that an answer rests on."""
    return () if position is None else ((b"osqueue-commit", b"%d-%d" % position),)


async def respond(
    send: Send,
    status: int,
    *,
    body: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
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
    await respond(send, status, body=body, headers=(JSON, length, *headers))


async def respond_error(
    send: Send, error: OsqueueError, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send an error: its status, and its tag and message as JSON."""
    headers = (*commit_header(error.position), *error_headers(error), *headers)
    await respond_json(send, _encode(error_body(error)), status=http_status(error), headers=headers)


def error_headers(error: OsqueueError) -> tuple[tuple[bytes, bytes], ...]:
    """What goes with an error: whether to close, what to show, when to come again."""
    status = http_status(error)
    if status == 413:
        return (CLOSE,)
    if status == 401:
        return (CHALLENGE,)
    if status == 426:
        return ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))
    if isinstance(error, OverloadedError) and error.retry_after_s is not None:
        return ((b"retry-after", b"%d" % error.retry_after_s),)
    return ()
