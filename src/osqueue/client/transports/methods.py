"""Requests and answers as the bytes of messages, for the transports that speak these. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from osqueue.errors import BrokerProtocolError, TransportRequestError
from osqueue.wire.methods import Method

__all__ = ["read_message", "written"]


def written(method: Method, request: msgspec.Struct | None, job_id: str | None) -> bytes:
    """A request. Raises `BrokerProtocolError` for what no message can say."""
    name = method.operation.name
    if method.operation.on_one_job and not job_id:
        raise BrokerProtocolError(f"{name}: the job id is empty")
    try:
        return method.write_request(request, job_id).to_binary()
    except UnicodeEncodeError as error:
        raise BrokerProtocolError(f"{name}: not a Unicode text: {error}") from error
    except (OverflowError, TypeError, ValueError) as error:
        raise BrokerProtocolError(f"{name}: invalid request: {error}") from error


def read_message(method: Method, data: bytes) -> Any:
    """An answer. Raises `TransportRequestError` for what is none."""
    try:
        return method.read_answer(method.answer.from_binary(data))
    except (ValueError, msgspec.ValidationError) as error:
        name = method.operation.name
        raise TransportRequestError(
            f"{name}: an answer that cannot be read: {error}", status=200, method=name
        ) from error
