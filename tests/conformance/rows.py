"""The rows of the table: which rule a test is of, and on which ways it is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from tests.conformance.peers import PEERS

__all__ = ["Row", "on", "row", "rows_of", "ways_of"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_ROW, _WAYS = "_conformance_row", "_conformance_ways"


class Row(NamedTuple):
    """One rule. ``refusal``: the tag or status of what is refused."""

    about: str
    rule: str
    refusal: str | None = None


def row(about: str, rule: str, refusal: str | None = None) -> Callable[[FunctionT], FunctionT]:
    """Marks the test of a rule."""

    def mark(function: FunctionT) -> FunctionT:
        setattr(function, _ROW, Row(about, rule, refusal))
        return function

    return mark


def on(*names: str) -> Callable[[FunctionT], FunctionT]:
    """Asks the rule on these ways only: the others have no such operation."""

    def mark(function: FunctionT) -> FunctionT:
        setattr(function, _WAYS, names)
        return function

    return mark


def ways_of(function: Callable[..., Any]) -> list[str]:
    """The ways on which a test is asked."""
    named = getattr(function, _WAYS, None)
    loose = "loose" in inspect.signature(function).parameters
    return [
        peer.name
        for peer in PEERS
        if (named is None or peer.name in named) and (peer.loose or not loose)
    ]


def rows_of(module: ModuleType) -> Iterator[tuple[Row, list[str]]]:
    """Every rule of a module of tests, in its order."""
    for value in vars(module).values():
        found = getattr(value, _ROW, None)
        if found is not None:
            yield found, ways_of(value)
