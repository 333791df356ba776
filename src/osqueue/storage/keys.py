"""What a key may be, for every store.

A key is one or more segments joined by ``/``: ``queue.json``, ``queues/mail/queue.json``. Stores
differ in what they take, and a directory takes the least, so the rules are those that all of them
can keep: a queue moves from one store to another by copying its objects.

A segment that begins with a dot is never a key. One rule refuses ``.`` and ``..``, keeps a
directory's own files (drafts, an editor's swap file) out of listings, and out of reach.
"""

from __future__ import annotations

from osqueue.errors import StoreDeniedError

__all__ = [
    "KEY_BYTES_MAX",
    "SEGMENT_BYTES_MAX",
    "check_key",
    "is_key",
    "key_fault",
    "may_begin_key",
]

KEY_BYTES_MAX = 512
"""Longest key in UTF-8: half of what object stores take, so a prefix of that length fits, too."""

SEGMENT_BYTES_MAX = 255
"""Longest segment in UTF-8: the longest file name of common file systems."""


def check_key(key: str) -> None:
    """Raise `StoreDeniedError`, with the reason, for a string that is no key."""
    fault = key_fault(key)
    if fault is not None:
        raise StoreDeniedError(f"{key!r} cannot be a key: {fault}")


def is_key(key: str) -> bool:
    """Whether a store may hold an object of this key."""
    return key_fault(key) is None


def may_begin_key(prefix: str) -> bool:
    """Whether a key can begin with ``prefix``, so that listing it is no waste."""
    head, slash, _ = prefix.rpartition("/")
    return not slash or is_key(head)


def key_fault(key: str) -> str | None:
    """Why ``key`` is not one, or ``None`` if it is."""
    if not key.isprintable():
        return "it holds a control, invisible or unpaired surrogate character"
    if "\\" in key:
        return "it holds a backslash, which some stores take for a separator"
    if len(key.encode()) > KEY_BYTES_MAX:
        return f"it is longer than {KEY_BYTES_MAX} bytes"
    return next(filter(None, map(_segment_fault, key.split("/"))), None)


def _segment_fault(segment: str) -> str | None:
    if not segment:
        return "a segment of it is empty"
    if segment.startswith("."):
        return "a segment of it begins with a dot"
    if len(segment.encode()) > SEGMENT_BYTES_MAX:
        return f"a segment of it is longer than {SEGMENT_BYTES_MAX} bytes"
    return None
