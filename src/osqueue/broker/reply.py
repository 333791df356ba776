"""What the service answers with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Reply"]

AnswerT = TypeVar("AnswerT")


class Reply(NamedTuple, Generic[AnswerT]):
    """An answer, and the commit (epoch, number) that it rests on.

    ``sent``, if there is one, is to be called when the answer has been sent, or could not be.
    """

    value: AnswerT
    position: tuple[int, int] | None
    sent: Callable[[], None] | None = None
