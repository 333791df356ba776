"""Lengths of time as people write them: ``90s``, ``15m``, ``2h``, ``7d``."""

from __future__ import annotations

import re
from types import MappingProxyType

from osqueue.cli.failures import USAGE, CliError

__all__ = ["milliseconds"]

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|min|h|d|w)")
_UNITS_MS = MappingProxyType(
    {
        "ms": 1,
        "s": 1_000,
        "m": 60_000,
        "min": 60_000,
        "h": 3_600_000,
        "d": 86_400_000,
        "w": 604_800_000,
    }
)


def milliseconds(text: str, origin: str) -> int:
    """A length of time in ms; ``0`` needs no unit. ``origin``: the flag or variable it is from.

    Raises `CliError` for anything else.
    """
    if text.strip() == "0":
        return 0
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        message = f"{text!r} is no length of time: write 90s, 15m, 2h or 7d"
        raise CliError(f"{origin}: {message}", code=USAGE)
    return int(float(match[1]) * _UNITS_MS[match[2]])
