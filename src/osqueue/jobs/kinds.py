"""What one class is to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from osqueue.jobs.problems import Misfit
from osqueue.jobs.references import path_of

__all__ = ["inherits", "refuse_losses"]


def inherits(of: type, parent: type) -> bool:
    """Whether a class is another, or a kind of it; a TypedDict and a protocol do not tell."""
    try:
        return issubclass(of, parent)
    except TypeError:
        return of is parent


def refuse_losses(value: Any, wanted: type, fields: Callable[[type], Iterable[str]]) -> None:
    """Raise `Misfit` for an object of a kind that has more fields than those that are sent."""
    of = type(value)
    if of is wanted or not inherits(of, wanted):
        return
    known = {*fields(wanted)}
    lost = [name for name in fields(of) if name not in known]
    if lost:
        raise Misfit(("", f"it is a {path_of(of)}, whose {', '.join(lost)} would be lost"))
