"""What is kept of a job's failures, as JSON text: the last one whole, and some before it.

Laws: each says when it was, of which attempt and whose; there are at most `ERRORS_KEPT_MAX`, and
those before the last take at most `ERRORS_BYTES_MAX` together, the oldest going first.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from osqueue.config import ERRORS_BYTES_MAX, ERRORS_KEPT_MAX

__all__ = ["earlier_of", "noted", "with_one_more"]

WHOLE_BYTES_MAX: Final = ERRORS_BYTES_MAX // (ERRORS_KEPT_MAX - 1)
"""A failure before the last that is longer is cut, so that there is room for all of them."""

MESSAGE_CHARS: Final = 512
TRACEBACK_CHARS: Final = 1_536

_encode = msgspec.json.Encoder().encode
_texts = msgspec.json.Decoder(list[Raw])
_fields = msgspec.json.Decoder(dict[str, Any])


def noted(error: Raw, *, at: int, attempt: int, worker_id: str | None) -> Raw:
    """A failure, with what is known of it here. ``error`` is a JSON object that is not empty."""
    told: dict[str, object] = {"at": at, "attempt": attempt}
    if worker_id is not None:
        told["workerId"] = worker_id
    return Raw(b"%b,%b" % (bytes(error)[:-1], _encode(told)[1:]))


def with_one_more(earlier: bytes, last: Raw) -> bytes:
    """The failures before the last, once there is another one after ``last``."""
    texts = [bytes(text) for text in _texts.decode(b"[%b]" % earlier)]
    texts.append(_shortened(bytes(last)))
    del texts[: 1 - ERRORS_KEPT_MAX]
    while sum(map(len, texts)) > ERRORS_BYTES_MAX:
        del texts[0]
    return b",".join(texts)


def earlier_of(earlier: bytes) -> list[Raw]:
    """The failures before the last, oldest first."""
    return _texts.decode(b"[%b]" % earlier)


def _shortened(text: bytes) -> bytes:
    if len(text) <= WHOLE_BYTES_MAX:
        return text
    try:
        fields = _fields.decode(text)
    except msgspec.DecodeError:  # of an older implementation, which may write anything there
        return _encode(
            {"type": "Unknown", "message": text[:MESSAGE_CHARS].decode(errors="replace")}
        )
    if isinstance(message := fields.get("message"), str):
        fields["message"] = message[:MESSAGE_CHARS]
    if isinstance(traceback := fields.get("traceback"), str):
        fields["traceback"] = traceback[-TRACEBACK_CHARS:]
    return _encode(fields)
