"""One table from errors to statuses, for every transport, and back."""

from __future__ import annotations

from osqueue.errors import (
    BrokerLeadershipError,
    OsqueueError,
    TransportRequestError,
    error_class,
    error_tag,
)
from osqueue.wire.messages import ErrorBody

__all__ = ["HTTP_STATUS", "error_body", "error_from_body", "http_status"]

HTTP_STATUS: dict[str, int] = {
    "BrokerProtocolError": 400,
    "ConfigError": 400,
    "AuthError": 403,
    "JobNotFoundError": 404,
    "CASConflictError": 409,
    "JobIdConflictError": 409,
    "LeaseLostError": 409,
    "PayloadValidationError": 422,
    "OverloadedError": 429,
    "BrokerLeadershipError": 503,
    "CommitUnknownError": 503,
    "CorruptStateError": 503,
    "DiscoveryError": 503,
    "EngineStateError": 503,
    "StorageBackendError": 503,
    "UnsupportedStoreError": 503,
}
"""Tag to HTTP status; what is not named here is our own fault: 500."""


def http_status(error: OsqueueError) -> int:
    """The HTTP status of an error: the one it already carries, or the one of its tag."""
    return error.status or HTTP_STATUS.get(error_tag(error), 500)


def error_body(error: OsqueueError) -> ErrorBody:
    """An error as it travels."""
    return ErrorBody(
        tag=error_tag(error), message=error.message, applied=error.applied, leader=error.leader
    )


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
