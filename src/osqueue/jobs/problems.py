"""What is wrong with a payload, in words: where, what was expected, what was given.

Bounded on every side: a text never holds a payload, only a short piece of what does not fit.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Final, TypeAlias

from osqueue.errors import PayloadValidationError

__all__ = ["Misfit", "Problem", "field_path", "given", "nulled", "refusal", "unknown_field"]

Problem: TypeAlias = tuple[str, str]
"""A field's path, such as ``items[0].price``, and what is wrong there; no path: with all of it."""

PROBLEMS_KEPT_MAX: Final = 50
"""Most problems of one payload that an error carries: a list of thousands may be all wrong."""

PROBLEMS_TOLD_MAX: Final = 5
"""Most problems in the error's text: it ends up in logs, and with the job."""

TEXT_CHARS_MAX: Final = 300
"""Longest text of one problem: a validator of the program's may say anything."""

PATH_CHARS_MAX: Final = 120
"""Longest path: the keys of a mapping are part of it, and may be long."""

GIVEN_CHARS_MAX: Final = 40
"""Longest piece of a value that is shown."""


class Misfit(Exception):  # noqa: N818 - never seen outside: `Schema` makes the error of it
    """What a codec found wrong."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems)
        self.problems = problems


def refusal(whose: str, wanted: str, problems: Sequence[Problem]) -> PayloadValidationError:
    """The error for a payload: ``whose`` it is, and the name of the type that it does not fit."""
    kept = tuple(
        (_cut(path, PATH_CHARS_MAX), _cut(text, TEXT_CHARS_MAX))
        for path, text in problems[:PROBLEMS_KEPT_MAX]
    )
    told = [f"{path}: {text}" if path else text for path, text in kept[:PROBLEMS_TOLD_MAX]]
    more = len(problems) - len(told)
    if more > 0:
        told.append(f"and {more} more")
    message = f"{whose} does not fit {_cut(wanted, PATH_CHARS_MAX)}: {'; '.join(told)}"
    return PayloadValidationError(message, errors=kept)


def field_path(steps: Iterable[str | int]) -> str:
    """``items[0].price`` of ``("items", 0, "price")``."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def given(value: Any) -> str:
    """What a value is, shortly: small ones are shown, of large ones the kind and size."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _given_text(value)
    if isinstance(value, int | float):
        return _given_number(value)
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Sized) and type(value).__module__ == "builtins":
        return f"a {type(value).__name__} of {len(value)}"
    return f"an instance of {kind}"


def unknown_field(name: str, known: Iterable[str]) -> str:
    """What to say of a field that there is none of."""
    close = difflib.get_close_matches(name, [*known], n=1)
    if close:
        return f"there is no such field; did you mean {close[0]!r}?"
    return "there is no such field"


def nulled(value: Any, sent: Any, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Where ``value`` holds a NaN or an infinity that became null in the JSON that is ``sent``."""
    match value, sent:
        case float(), None if not math.isfinite(value):
            yield field_path(path), f"{value} is not a number that JSON has"
        case dict(), dict():
            for key, each in value.items():
                yield from nulled(each, sent.get(str(key)), (*path, str(key)))
        case (list() | tuple(), list()):
            for index, (each, other) in enumerate(zip(value, sent, strict=False)):
                yield from nulled(each, other, (*path, index))


def _given_text(value: str) -> str:
    if len(value) <= GIVEN_CHARS_MAX:
        return repr(value)
    return f"{value[:GIVEN_CHARS_MAX]!r}… of {len(value)} characters"


def _given_number(value: float) -> str:
    """An integer of thousands of digits cannot even be written."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    return f"{value!r}"


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
