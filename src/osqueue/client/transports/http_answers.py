"""From an HTTP answer to the operation's answer or error. Pure.

A success whose body cannot be read, and an error that is not in the broker's form, is a
`TransportRequestError` with the status and the beginning of the body. Only a gateway's own error
(502, 503, 504 in no form of ours) counts as a broken connection: the broker behind it is away,
and asking again is right.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from osqueue.client.transports.protocol import Answer, Position
from osqueue.errors import OsqueueError, TransportConnectionError, TransportRequestError
from osqueue.wire.errors import error_from_body
from osqueue.wire.messages import ErrorBody
from osqueue.wire.operations import OPERATIONS, Operation

__all__ = ["HttpAnswer", "error_of", "parse_position", "read_answer", "resting_on"]

NO_CONTENT: Final = 204
_EXCERPT_CHARS: Final = 200
_GATEWAY_STATUSES: Final = frozenset({502, 503, 504})
_error_decoder: Final = msgspec.json.Decoder(ErrorBody)
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    each.name: msgspec.json.Decoder(each.answer)
    for each in OPERATIONS
    if each.answer is not None and each.answer is not Raw
}


class HttpAnswer(msgspec.Struct, frozen=True):
    """What came back. ``commit`` is the header of the position."""

    status: int
    body: bytes
    commit: str | None = None


def read_answer(operation: Operation, answer: HttpAnswer) -> Answer:
    """The answer of ``operation``; raises the error that it is instead."""
    if not 200 <= answer.status < 300:
        raise error_of(operation, answer)
    position = parse_position(answer.commit)
    if operation.answer is None or answer.status == NO_CONTENT:
        return Answer(None, position)
    if operation.answer is Raw:
        return Answer(Raw(answer.body), position)
    try:
        return Answer(_DECODERS[operation.name].decode(answer.body), position)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TransportRequestError(
            f"{operation.name}: an answer that cannot be read ({error}): {_excerpt(answer.body)}",
            status=answer.status,
            method=operation.name,
        ) from error


def parse_position(header: str | None) -> Position | None:
    """``<epoch>-<number>``; anything else says nothing about the position."""
    epoch, _, number = (header or "").partition("-")
    if epoch.isdecimal() and number.isdecimal():
        return Position(int(epoch), int(number))
    return None


def resting_on(error: OsqueueError, commit: str | None) -> OsqueueError:
    """The same error, with the position that a broker has said of it."""
    position = parse_position(commit)
    if position is not None:
        error.position = (position.epoch, position.number)
    return error


def error_of(operation: Operation, answer: HttpAnswer) -> OsqueueError:
    """The error that an answer is, whatever its form."""
    try:
        body = _error_decoder.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _foreign_error(operation, answer)
    error = error_from_body(body, status=answer.status, method=operation.name)
    return resting_on(error, answer.commit)


def _foreign_error(operation: Operation, answer: HttpAnswer) -> OsqueueError:
    message = f"{operation.name}: HTTP {answer.status}: {_excerpt(answer.body)}"
    if answer.status in _GATEWAY_STATUSES:
        return TransportConnectionError(message)
    return TransportRequestError(message, status=answer.status, method=operation.name)


def _excerpt(body: bytes) -> str:
    text = body[: _EXCERPT_CHARS * 4].decode(errors="replace")
    return text[:_EXCERPT_CHARS] or "(no body)"
