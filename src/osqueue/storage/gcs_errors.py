"""What an error of ``google-cloud-storage`` means to a queue: one table, by HTTP status.

Where there is no status the exception's class tells; a connection that was never made sent
nothing. As everywhere, 412 is certain, 408 and every 5xx are unknown, and any other client error
means that the request was refused and nothing was applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from osqueue.storage.verdicts import (
    Verdict,
    busy,
    conflict,
    denied,
    missing,
    unavailable,
    unknown,
)

__all__ = ["ABSENT", "NO_BUCKET", "status_of", "verdict_on"]

_CREDENTIALS = (
    "the credentials are missing, wrong or expired: set GOOGLE_APPLICATION_CREDENTIALS, give a "
    "credentials file, or run gcloud auth application-default login"
)
_SILENT = "the store did not answer in time"

NO_BUCKET = unavailable("there is no such bucket: create it, or correct its name")
ABSENT = missing("there is no such object")
_REFUSED = denied("the store refused the request")
_FAILED = unknown("the store failed")

_ANSWERS: Mapping[int, Verdict] = MappingProxyType(
    {
        400: _REFUSED,
        401: denied(_CREDENTIALS),
        403: denied("allow this account to create, get, delete and list objects there"),
        404: ABSENT,
        408: unknown(_SILENT),
        409: unknown("other writes were under way"),
        412: conflict("it exists, or is at another version"),
        413: denied("the store or a proxy before it refuses an object of this size"),
        429: busy("too many requests: slow down (one object takes about one write a second)"),
    }
)

_BY_CLASS: Mapping[str, Verdict] = MappingProxyType(
    {
        "DefaultCredentialsError": denied(_CREDENTIALS),
        "InvalidOperation": denied(_CREDENTIALS),
        "RefreshError": denied(_CREDENTIALS),
        "ConnectTimeout": unavailable("the endpoint cannot be reached"),
        "ConnectTimeoutError": unavailable("the endpoint cannot be reached"),
        "NameResolutionError": unavailable("the endpoint's host name is not known: check it"),
        "NewConnectionError": unavailable(
            "nothing listens at the endpoint: check its address and that it runs"
        ),
        "ProxyError": unavailable("the proxy cannot be reached: check HTTPS_PROXY"),
        "SSLError": unavailable("the server's certificate is not trusted, or it speaks no TLS"),
        "SSLCertVerificationError": unavailable("the server's certificate is not trusted"),
        "ReadTimeout": unknown(_SILENT),
        "ReadTimeoutError": unknown(_SILENT),
        "Timeout": unknown(_SILENT),
    }
)
"""By the name of an exception, or of one that it was made from."""

_BROKEN = unknown("the connection broke")

CAUSES_MAX = 10
"""Exceptions looked at for one error: longer chains hold nothing new."""


def status_of(error: BaseException) -> int:
    """The HTTP status of an error, 0 when no answer came."""
    for each in _chain(error):
        status = getattr(each, "code", None) or getattr(
            getattr(each, "response", None), "status_code", None
        )
        if isinstance(status, int):
            return int(status)
    return 0


def verdict_on(error: BaseException) -> Verdict:
    """What an error of the library means for a write."""
    status = status_of(error)
    if status:
        return _ANSWERS.get(status) or (_REFUSED if status < 500 else _FAILED)
    names = (type(each).__name__ for each in _chain(error))
    return next((_BY_CLASS[name] for name in names if name in _BY_CLASS), _BROKEN)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was made from: the libraries wrap each other's."""
    pending: list[object] = [error]
    for _ in range(CAUSES_MAX):
        if not pending:
            return
        each = pending.pop(0)
        if isinstance(each, BaseException):
            yield each
            pending += [*each.args, getattr(each, "reason", None), each.__cause__]
