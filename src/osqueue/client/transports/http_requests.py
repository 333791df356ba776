"""From an operation to the HTTP request that REST has for it. Pure."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from osqueue.errors import BrokerProtocolError
from osqueue.wire.messages import SubmitRequest
from osqueue.wire.operations import Operation, PutQuery

__all__ = ["HttpRequest", "write_request"]

_JSON_BODY: Final = {"content-type": "application/json"}
_encode = msgspec.json.Encoder().encode


class HttpRequest(msgspec.Struct, frozen=True):
    """What is sent. ``target`` is the path and the query; without a ``body`` there is none."""

    verb: str
    target: str
    body: bytes | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the body is."""
        return {} if self.body is None else dict(_JSON_BODY)


def write_request(
    operation: Operation, request: msgspec.Struct | None, job_id: str | None
) -> HttpRequest:
    """The request of ``operation``. Raises `BrokerProtocolError` for what cannot be said."""
    try:
        target, body = _path(operation, request, job_id), None
        if request is not None and operation.verb == "GET":
            target += _query(request)
        elif isinstance(request, SubmitRequest) and operation.verb == "PUT":
            target += _query(PutQuery.of(request))
            body = b"null" if request.payload is UNSET else bytes(request.payload)
        elif request is not None and operation.takes_body:
            body = _encode(request)
    except UnicodeEncodeError as error:
        raise BrokerProtocolError(f"{operation.name}: not a Unicode text: {error}") from error
    return HttpRequest(operation.verb, target, body)


def _path(operation: Operation, request: Any, job_id: str | None) -> str:
    if operation.on_one_schedule:
        if not request.name:
            raise BrokerProtocolError(f"{operation.name}: the name of the schedule is empty")
        return operation.path.replace("{name}", quote(request.name, safe=""))
    if not operation.on_one_job:
        return operation.path
    if not job_id:
        raise BrokerProtocolError(f"{operation.name}: the job id is empty")
    return operation.path.replace("{jobId}", quote(job_id, safe=""))


def _query(request: msgspec.Struct) -> str:
    """With its ``?``; nothing when all stands at its default."""
    fields = msgspec.to_builtins(request)
    said = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in fields.items()
    }
    return "?" + urlencode(said, quote_via=quote) if said else ""
