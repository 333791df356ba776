"""What a law finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

__all__ = ["Finding", "some"]

TOLD_MAX = 5
"""Of one kind: the history has them all."""


class Finding(msgspec.Struct, frozen=True):
    """A law that was broken, and how."""

    law: str
    text: str


def some(law: str, texts: Iterable[str]) -> Iterator[Finding]:
    """Findings of one kind, the first few and how many more there are."""
    found = list(texts)
    for text in found[:TOLD_MAX]:
        yield Finding(law, text)
    if len(found) > TOLD_MAX:
        yield Finding(law, f"and {len(found) - TOLD_MAX} more of these")
