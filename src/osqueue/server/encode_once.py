"""What many observers are told alike is encoded once: its encodings are kept with the object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from osqueue.wire.messages import Update

__all__ = ["encode_once"]

T = TypeVar("T")


def encode_once(update: Update, kind: str, encode: Callable[[Update], T]) -> T:
    """An update, encoded for the first time or as it was before. ``kind`` names the encoding."""
    known: dict[str, T] = update.__dict__
    found = known.get(kind)
    if found is None:
        found = known[kind] = encode(update)
    return found
