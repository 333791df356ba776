"""The rows of the table: which rule a test is of, and on which ways it is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from tests.conformance.peers import PEERS

__all__ = ["Held", "Row", "on", "row", "rows_of", "ways_of"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_ROW, _WAYS = "_conformance_row", "_conformance_ways"


class Row(NamedTuple):
    """One rule. ``refusal``: the tag or status of what is refused."""

    about: str
    rule: str
    refusal: str | None = None


class Held(NamedTuple):
    """A rule, and the test that holds it on these ways."""

    row: Row
    ways: tuple[str, ...]
    module: str
    name: str

    @property
    def test(self) -> Callable[..., Any]:
        """The test itself. Raises `AttributeError` when there is none of this name."""
        found: Callable[..., Any] = getattr(import_module(self.module), self.name)
        return found


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


def rows_of(module: ModuleType) -> Iterator[Held]:
    """Every rule of a module of tests, in its order."""
    for name, value in vars(module).items():
        found = getattr(value, _ROW, None)
        if found is not None:
            yield Held(found, tuple(ways_of(value)), module.__name__, name)
