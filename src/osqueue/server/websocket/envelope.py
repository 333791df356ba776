"""What stands around requests and answers in the messages of a WebSocket, without I/O.

A request is ``{"id", "method", "params"}``, its answer ``{"id", "ok": true, "result"}`` or ``{"id",
"ok": false, "error"}``; of a stream come ``{"id", "open": true}`` and ``{"id", "event"}`` first.
Who says ``"v": 1`` is also told the commit that an answer rests on. The id is any JSON, and is
echoed as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.config import NAME_CHARS_MAX, PAYLOAD_DEPTH_MAX, ROOMY_BYTES, WS_ID_BYTES_MAX
from osqueue.errors import BrokerProtocolError, OsqueueError
from osqueue.server.encode_once import encode_once
from osqueue.wire.errors import error_body
from osqueue.wire.messages import SubmitRequest, Update
from osqueue.wire.operations import SUBMIT

__all__ = [
    "EVENT",
    "NO_ID",
    "RESULT",
    "Asking",
    "MessageError",
    "Position",
    "error_message",
    "first_id",
    "message",
    "message_pieces",
    "open_message",
    "read_request",
]

Position: TypeAlias = tuple[int, int] | None
"""Epoch and number of the commit that an answer rests on."""

NO_ID: Final = b"null"
"""What is echoed where there is no id."""

_ID_FIRST: Final = re.compile(
    rb'\s*\{\s*"id"\s*:\s*("(?:[^"\\\x00-\x1f]|\\["\\/bfnrtu])*"|-?[0-9][0-9.eE+-]*)\s*,'
)


class Asking(msgspec.Struct, gc=False):
    """A request: its id as it was written, its method, and what the method is to read."""

    id: bytes
    method: str
    params: bytes | Raw | SubmitRequest
    """Text, but for a large request to submit a job, which is read in one go."""
    knows_commits: bool = False


class _Request(msgspec.Struct):
    method: str
    id: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    v: int | None = None


class _LargeSubmit(msgspec.Struct, tag_field="method", tag="submitJob"):
    """The same for a large one, whose payload is looked at only once."""

    params: SubmitRequest
    id: Raw | UnsetType = UNSET
    v: int | None = None


class _Odd(msgspec.Struct):
    """A request whose fields are of any kind."""

    id: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET


class MessageError(Exception):
    """A message that asks for nothing. ``id``: whom to answer, as far as that is known."""

    def __init__(self, message: str, id_: bytes = NO_ID) -> None:
        super().__init__(message)
        self.id = id_
        self.error = BrokerProtocolError(message)


_EMPTY: Final = b"{}"
_requests = msgspec.json.Decoder(_Request)
_large_submits = msgspec.json.Decoder(_LargeSubmit)
_odd = msgspec.json.Decoder(_Odd)
_any = msgspec.json.Decoder(Raw)
_encode = msgspec.json.Encoder().encode

# Requests


def read_request(text: bytes | bytearray) -> Asking:
    """A request, from a message that is valid UTF-8. Raises `MessageError`."""
    if len(text) > ROOMY_BYTES:
        with suppress(msgspec.DecodeError, RecursionError):  # it is told below what is wrong
            large = _large_submits.decode(text)
            return Asking(_id(large.id), SUBMIT.name, large.params, bool(large.v))
    try:
        request = _requests.decode(text)
    except msgspec.ValidationError:
        raise _odd_request(text) from None
    except RecursionError:
        deep = f"the message is nested too deep; a `payload` may have {PAYLOAD_DEPTH_MAX} levels"
        raise MessageError(deep, first_id(text)) from None
    except msgspec.DecodeError:
        raise MessageError("Invalid JSON") from None
    id_ = _id(request.id)
    params = _EMPTY if isinstance(request.params, UnsetType) else request.params
    if len(params) == len(NO_ID) and bytes(params) == NO_ID:
        params = _EMPTY
    return Asking(id_, request.method, params, bool(request.v))


def first_id(prefix: bytes | bytearray) -> bytes:
    """The id of a request of which only the beginning is there: clients write it first."""
    found = _ID_FIRST.match(prefix)
    return NO_ID if found is None else found[1]


def _odd_request(text: bytes | bytearray) -> MessageError:
    """What is wrong with a message that is not such an object, if it is JSON at all."""
    try:
        _any.decode(text)
        odd = _odd.decode(text)
        method = b"undefined" if isinstance(odd.method, UnsetType) else bytes(odd.method)
        id_ = _id(odd.id)
    except msgspec.ValidationError:
        return MessageError("Unsupported WS method: undefined")
    except (msgspec.DecodeError, RecursionError):
        return MessageError("Invalid JSON")
    if method.startswith(b'"'):
        return MessageError("`v`: must be a whole number", id_)
    return MessageError(
        f"Unsupported WS method: {method[:NAME_CHARS_MAX].decode('utf-8', 'replace')}", id_
    )


def _id(raw: Raw | UnsetType) -> bytes:
    if isinstance(raw, UnsetType):
        return NO_ID
    if len(raw) > WS_ID_BYTES_MAX:
        raise MessageError(f"`id`: must have at most {WS_ID_BYTES_MAX} bytes")
    return bytes(raw)


# Answers

RESULT: Final = b'"ok":true,"result":'
EVENT: Final = b'"event":'


def message(asking: Asking, key: bytes, value: object, position: Position) -> bytes:
    """A success (`RESULT`), or what a stream brings (`EVENT`)."""
    if isinstance(value, Update):
        text = encode_once(value, "json", _encode)
    else:
        text = _EMPTY if value is None else _encode(value)
    return b'{"id":%b,%b%b%b' % (asking.id, key, text, _tail(asking, position))


def message_pieces(
    asking: Asking, key: bytes, value: Iterable[bytes | memoryview], position: Position
) -> Iterator[bytes | memoryview]:
    """The same for a value that comes in pieces."""
    yield b'{"id":%b,%b' % (asking.id, key)
    yield from value
    yield _tail(asking, position)


def error_message(asking: Asking, error: OsqueueError) -> bytes:
    """A failure, or the end of a stream that the broker ends."""
    body = _encode(error_body(error))
    return b'{"id":%b,"ok":false,"error":%b%b' % (asking.id, body, _tail(asking, error.position))


def open_message(asking: Asking) -> bytes:
    """A stream has been opened."""
    return b'{"id":%b,"open":true}' % asking.id


def _tail(asking: Asking, position: Position) -> bytes:
    if position is None or not asking.knows_commits:
        return b"}"
    return b',"commit":"%d-%d"}' % position
