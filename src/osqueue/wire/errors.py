"""One table from errors to statuses, for every transport, and back."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

from osqueue.errors import (
    BrokerLeadershipError,
    OsqueueError,
    TransportRequestError,
    error_class,
    error_tag,
)
from osqueue.wire.gen.google.rpc.errors_pb import ErrorInfo
from osqueue.wire.messages import ErrorBody

__all__ = [
    "CODES",
    "HTTP_STATUS",
    "RPC_CODE",
    "error_body",
    "error_from_body",
    "error_from_info",
    "error_info",
    "http_status",
    "rpc_code",
]

DOMAIN: Final = "osqueue"


class _Row(NamedTuple):
    http: int
    rpc: str


_TABLE: Final = MappingProxyType(
    {
        "BrokerProtocolError": _Row(400, "invalid_argument"),
        "ConfigError": _Row(400, "invalid_argument"),
        "AuthError": _Row(403, "permission_denied"),
        "JobNotFoundError": _Row(404, "not_found"),
        "ScheduleNotFoundError": _Row(404, "not_found"),
        "CASConflictError": _Row(409, "aborted"),
        "JobIdConflictError": _Row(409, "already_exists"),
        "JobStateError": _Row(409, "failed_precondition"),
        "ParentJobError": _Row(409, "failed_precondition"),
        "LeaseLostError": _Row(409, "failed_precondition"),
        "PayloadValidationError": _Row(422, "invalid_argument"),
        "OverloadedError": _Row(429, "resource_exhausted"),
        "BrokerLeadershipError": _Row(503, "unavailable"),
        "CommitUnknownError": _Row(503, "unavailable"),
        "CorruptStateError": _Row(503, "unavailable"),
        "DiscoveryError": _Row(503, "unavailable"),
        "EngineStateError": _Row(503, "unavailable"),
        "StorageBackendError": _Row(503, "unavailable"),
        "UnsupportedStoreError": _Row(503, "unavailable"),
    }
)
"""Tag to HTTP status and to the code of Connect and gRPC; what is not named here is our own fault:
500, ``internal``. WebSocket frames carry the tag alone."""

HTTP_STATUS: Final = MappingProxyType({tag: row.http for tag, row in _TABLE.items()})
RPC_CODE: Final = MappingProxyType({tag: row.rpc for tag, row in _TABLE.items()})

_RPC_OF_STATUS: Final = MappingProxyType(
    {401: "unauthenticated", 408: "deadline_exceeded", 413: "resource_exhausted"}
)
"""Where an error that carries a status of its own says more by it than by its tag."""

CODES: Final = MappingProxyType(
    {
        "canceled": 1,
        "unknown": 2,
        "invalid_argument": 3,
        "deadline_exceeded": 4,
        "not_found": 5,
        "already_exists": 6,
        "permission_denied": 7,
        "resource_exhausted": 8,
        "failed_precondition": 9,
        "aborted": 10,
        "out_of_range": 11,
        "unimplemented": 12,
        "internal": 13,
        "unavailable": 14,
        "data_loss": 15,
        "unauthenticated": 16,
    }
)
"""The codes as Connect writes them, with gRPC's numbers."""


def http_status(error: OsqueueError) -> int:
    """The HTTP status of an error: the one it already carries, or the one of its tag."""
    return error.status or HTTP_STATUS.get(error_tag(error), 500)


def rpc_code(error: OsqueueError) -> str:
    """The code of an error in Connect and gRPC."""
    by_status = _RPC_OF_STATUS.get(error.status or 0)
    return by_status or RPC_CODE.get(error_tag(error), "internal")


def error_body(error: OsqueueError) -> ErrorBody:
    """An error as it travels in JSON."""
    return ErrorBody(
        tag=error_tag(error), message=error.message, applied=error.applied, leader=error.leader
    )


def error_info(error: OsqueueError) -> ErrorInfo:
    """The detail that an error carries in Connect and gRPC: its tag, and what else it says."""
    said = {"status": str(http_status(error)), "applied": error.applied, "leader": error.leader}
    return ErrorInfo(
        reason=error_tag(error),
        domain=DOMAIN,
        metadata={key: value for key, value in said.items() if value is not None},
    )


def error_from_info(info: ErrorInfo, message: str, *, method: str) -> OsqueueError:
    """The error of such a detail, as the same class that the broker raised."""
    said = info.metadata
    status = said.get("status", "")
    body = ErrorBody(
        tag=info.reason, message=message, applied=said.get("applied"), leader=said.get("leader")
    )
    return error_from_body(body, status=int(status) if status.isdecimal() else 500, method=method)


def error_from_body(body: ErrorBody, *, status: int, method: str) -> OsqueueError:
    """The error of an answer, as the same class that the broker raised."""
    if body.tag == "BrokerLeadershipError":
        error: OsqueueError = BrokerLeadershipError(
            body.message, leader=body.leader, status=status, method=method
        )
    elif (cls := error_class(body.tag)) is not None and cls is not TransportRequestError:
        error = cls(body.message, status=status, method=method)
    else:
        return TransportRequestError(
            body.message, remote_tag=body.tag, status=status, method=method
        )
    if body.applied in {"no", "unknown"}:
        error.applied = "no" if body.applied == "no" else "unknown"
    return error
