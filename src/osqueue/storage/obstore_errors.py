"""What an error of ``obstore`` means to a queue: two tables, one for answers, one for none.

The library's classes are coarse and partly misleading: an update refused with 409 and one refused
with 412, a missing bucket and a missing key are each one class. Its text carries the HTTP status
and the store's own code, so those decide; the class does where no status was found.

A conditional write is answered with certainty (412: nothing was applied) or it is not: 409, 408
and every 5xx are unknown. A client error means that the store refused the request and applied
nothing. ``SlowDown`` and ``ServerBusy`` say so, too; a bare 503, which may come from any proxy,
does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from osqueue.storage.verdicts import (
    Verdict,
    busy,
    conflict,
    denied,
    missing,
    unavailable,
    unknown,
)

__all__ = ["ABSENT", "NO_BUCKET", "Answer", "answer_of", "verdict_on"]

_CREDENTIALS = "the credentials are wrong or have expired: check the keys"
_NO_CREDENTIALS = (
    "no credentials were found: set them by option, in the environment or as the machine's role, "
    "or name a profile"
)
_PERMISSION = "allow these credentials to get, put, delete and list there"
_REGION = "the bucket is in another region: set region to the bucket's own"
_CLOCK = "this machine's clock is wrong: set it"
_TOO_LARGE = "the store or a proxy before it refuses an object of this size"
_REFUSED = "the store refused the request"
_FAILED = "the store failed"
_SILENT = "the store did not answer in time"

NO_BUCKET = unavailable("there is no such bucket or container: create it, or correct its name")
ABSENT = missing("there is no such object")
_MOVING = unavailable("the bucket or container is being made or deleted: try again later")
_CONFLICT = conflict("it exists, or is at another version")

_ANSWERS: Mapping[tuple[int, str], Verdict] = MappingProxyType(
    {
        (301, ""): denied(_REGION),
        (302, ""): unavailable("the store sends elsewhere: correct the endpoint"),
        (307, ""): unavailable("the store sends elsewhere for now: try again later"),
        (400, ""): denied(_REFUSED),
        (400, "AuthorizationHeaderMalformed"): denied(_REGION),
        (400, "ExpiredToken"): denied(_CREDENTIALS),
        (400, "IncompleteBody"): unavailable("the object did not arrive whole"),
        (400, "InvalidToken"): denied(_CREDENTIALS),
        (400, "RequestTimeout"): unknown(_SILENT),
        (400, "TokenRefreshRequired"): denied(_CREDENTIALS),
        (401, ""): denied(_CREDENTIALS),
        (403, ""): denied(_PERMISSION),
        (403, "AuthenticationFailed"): denied(_CREDENTIALS),
        (403, "AuthorizationFailure"): denied(
            "the key is wrong, or the account's network rules shut this machine out"
        ),
        (403, "ExpiredToken"): denied(_CREDENTIALS),
        (403, "InvalidAccessKeyId"): denied(_CREDENTIALS),
        (403, "RequestTimeTooSkewed"): denied(_CLOCK),
        (403, "SignatureDoesNotMatch"): denied(_CREDENTIALS),
        (404, ""): ABSENT,
        (404, "ContainerNotFound"): NO_BUCKET,
        (404, "NoSuchBucket"): NO_BUCKET,
        (408, ""): unknown(_SILENT),
        (409, ""): unknown("other writes were under way"),
        (409, "BlobAlreadyExists"): _CONFLICT,
        (409, "BlobImmutableDueToPolicy"): denied("a policy forbids to change the object"),
        (409, "ContainerBeingDeleted"): _MOVING,
        (409, "ContainerDisabled"): _MOVING,
        (412, ""): _CONFLICT,
        (412, "LeaseIdMissing"): denied("somebody holds a lease on the blob: break it"),
        (413, ""): denied(_TOO_LARGE),
        (429, ""): busy("too many requests: slow down"),
        (501, ""): denied(
            "the store lacks conditional writes, or another thing that a queue needs"
        ),
        (503, "ServerBusy"): busy("the store is busy: slow down"),
        (503, "SlowDown"): busy("too many requests: slow down"),
    }
)
"""By HTTP status and the store's code; without a code, what holds for all others."""

_NO_ANSWERS: tuple[tuple[re.Pattern[str], Verdict], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), verdict)
    for pattern, verdict in (
        (r"redirect without LOCATION", denied(_REGION)),
        (r"External \w+ credential provider", denied(_NO_CREDENTIALS)),
        (r"kind: Connect\b.*(certificate|UnknownIssuer|NotValidForName)",
         unavailable("the server's certificate is not trusted: check the endpoint's name")),
        (r"kind: Connect\b.*(InvalidContentType|InvalidMessage|\btls\b|handshake)",
         unavailable("the server speaks no proper TLS: an endpoint without it begins with http://")),
        (r"kind: Connect\b.*dns error",
         unavailable("the endpoint's host name is not known: check the endpoint and the region")),
        (r"kind: Connect\b.*ConnectionRefused",
         unavailable("nothing listens at the endpoint: check its address and that it runs")),
        (r"kind: Connect\b", unavailable("the endpoint cannot be reached")),
        (r"kind: Timeout\b", unknown(_SILENT)),
        (r"HTTP error", unknown("the connection broke")),
    )
)  # fmt: skip
"""By the library's own words, the first that fits. A connection never made has sent nothing."""

_BY_CLASS: Mapping[str, Verdict] = MappingProxyType(
    {
        "FileNotFoundError": ABSENT,
        "PermissionDeniedError": denied(_PERMISSION),
        "PreconditionError": _CONFLICT,
        "UnauthenticatedError": denied(_CREDENTIALS),
        "ValueError": denied(_REFUSED),
    }
)

_STATUS = re.compile(r"Server returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REGION_NAMED = re.compile(r"<Region>([a-z0-9-]+)</Region>")
_CREDENTIAL_REQUEST = re.compile(
    r"error performing (token request|\w+ https?://"
    r"(169\.254\.|\[fd00:ec2|sts\.([a-z0-9-]+\.)?amazonaws\.|login\.(microsoftonline|chinacloudapi)\.))",
    re.IGNORECASE,
)


class Answer(msgspec.Struct, frozen=True):
    """What the text of an error tells; ``status`` is 0 when no answer came."""

    status: int
    code: str
    region: str | None

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code}".strip() if self.status else "no answer"


def answer_of(error: Exception) -> Answer:
    """The status, code and region in an error's text."""
    text = str(error)
    status, code, region = _STATUS.search(text), _CODE.search(text), _REGION_NAMED.search(text)
    return Answer(
        int(status.group(1)) if status else 0,
        code.group(1) if code and status else "",
        region.group(1) if region else None,
    )


def verdict_on(error: Exception) -> Verdict:
    """What an error of the library means for a write."""
    text, answer = str(error), answer_of(error)
    if _CREDENTIAL_REQUEST.search(text):
        return _on_credentials(answer)
    if not answer.status:
        return _without_status(error, text)
    verdict = _ANSWERS.get((answer.status, answer.code)) or _ANSWERS.get((answer.status, ""))
    if verdict is None:
        return denied(_REFUSED) if answer.status < 500 else unknown(_FAILED)
    if answer.region is not None and verdict.advice == _REGION:
        return denied(f"the bucket is in another region: set region={answer.region}")
    return verdict


def _on_credentials(answer: Answer) -> Verdict:
    """Asking for credentials comes before the request: it was not sent."""
    refused = 400 <= answer.status < 500
    return denied(_NO_CREDENTIALS) if refused else unavailable(_NO_CREDENTIALS)


def _without_status(error: Exception, text: str) -> Verdict:
    for pattern, verdict in _NO_ANSWERS:
        if pattern.search(text):
            return verdict
    named = _BY_CLASS.get(type(error).__name__)
    return named or unknown("the store's answer made no sense")
