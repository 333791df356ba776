"""From an HTTP answer in Connect to the operation's answer or error. Pure.

An error of ours carries a ``google.rpc.ErrorInfo``, but for those of the port itself, which are as
REST has them. Any other is of whoever stands in front of the broker.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

import msgspec

from osqueue.client.transports import http_answers
from osqueue.client.transports.http_answers import HttpAnswer, parse_position, resting_on
from osqueue.client.transports.methods import read_message
from osqueue.client.transports.protocol import Answer
from osqueue.errors import OsqueueError, TransportConnectionError, TransportRequestError
from osqueue.wire.errors import error_from_info
from osqueue.wire.gen.google.rpc.errors_pb import ErrorInfo
from osqueue.wire.methods import Method

__all__ = ["end_stream", "error_of", "read_answer"]

_INFO: Final = "google.rpc.ErrorInfo"
_PASSING: Final = frozenset({"deadline_exceeded", "unavailable", "canceled"})
"""What whoever stands in front of a broker says when no answer has come in time, or none can."""


class _Detail(msgspec.Struct):
    type: str = ""
    value: str = ""


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    details: list[_Detail] = []


class _End(msgspec.Struct):
    error: _Error | None = None


_error_decoder: Final = msgspec.json.Decoder(_Error)
_end_decoder: Final = msgspec.json.Decoder(_End)


def read_answer(method: Method, answer: HttpAnswer) -> Answer:
    """The answer of a call; raises the error that it is instead."""
    if answer.status != 200:
        raise resting_on(error_of(method, answer.status, answer.body), answer.commit)
    return Answer(read_message(method, answer.body), parse_position(answer.commit))


def error_of(method: Method, status: int, body: bytes) -> OsqueueError:
    """The error that an answer is."""
    try:
        error = _error_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return http_answers.error_of(method.operation, HttpAnswer(status, body))
    return _typed(method, error, status)


def end_stream(method: Method, text: bytes) -> None:
    """Return at the regular end of a stream, and raise the error that it has ended by."""
    try:
        error = _end_decoder.decode(text).error
    except (msgspec.DecodeError, UnicodeDecodeError) as unread:
        raise TransportRequestError(
            f"{method.operation.name}: a stream whose end cannot be read: {unread}"
        ) from unread
    if error is not None:
        raise _typed(method, error, 200)


def _typed(method: Method, error: _Error, status: int) -> OsqueueError:
    name = method.operation.name
    info = _info(error)
    if info is not None:
        return error_from_info(info, error.message, method=name)
    message = f"{name}: {error.code}: {error.message or '(no message)'}"
    if error.code in _PASSING:
        return TransportConnectionError(message)
    return TransportRequestError(message, status=status, method=name)


def _info(error: _Error) -> ErrorInfo | None:
    """The detail that says which error of ours it is; Connect leaves padding out."""
    for detail in error.details:
        if detail.type == _INFO:
            try:
                return ErrorInfo.from_binary(b64decode(detail.value + "=="))
            except (binascii.Error, ValueError):
                return None
    return None
