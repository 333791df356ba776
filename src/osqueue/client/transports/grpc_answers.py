"""From the end of a gRPC call to the operation's error. Pure.

An error of ours carries a ``google.rpc.ErrorInfo`` in its status details. One without is of the
connection, or of whoever stands in front of the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from osqueue.errors import OsqueueError, TransportConnectionError, TransportRequestError
from osqueue.wire.errors import error_from_info
from osqueue.wire.gen.google.rpc.errors_pb import ErrorInfo, Status
from osqueue.wire.operations import Operation

__all__ = ["error_of"]

_DETAILS: Final = "grpc-status-details-bin"
_INFO: Final = "google.rpc.ErrorInfo"
_PASSING: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})

_HTTP_STATUS: Final = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "UNIMPLEMENTED": 501}
"""What an error without a detail is in HTTP; any other is 500."""


def error_of(
    operation: Operation, code: str, message: str, trailers: Iterable[tuple[str, Any]]
) -> OsqueueError:
    """The error of a call that has ended by the status ``code``."""
    name = operation.name
    info = _info(dict(trailers).get(_DETAILS))
    if info is not None:
        return error_from_info(info, message, method=name)
    if code in _PASSING:
        return TransportConnectionError(f"{name}: {code}: {message}")
    status = _HTTP_STATUS.get(code, 500)
    return TransportRequestError(f"{name}: {code}: {message}", status=status, method=name)


def _info(details: bytes | None) -> ErrorInfo | None:
    if not details:
        return None
    try:
        for each in Status.from_binary(details).details:
            if each.type_url.rpartition("/")[2] == _INFO:
                return ErrorInfo.from_binary(each.value)
    except ValueError:
        return None
    return None
