"""Amounts of memory as people write them: ``512M``, ``2G``."""

from __future__ import annotations

import re
from types import MappingProxyType

from osqueue.cli.failures import USAGE, CliError

__all__ = ["byte_count"]

_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?(|[kmg])(?:|i?b)", re.IGNORECASE)
_UNITS = MappingProxyType({"": 1, "k": 1024, "m": 1024**2, "g": 1024**3})


def byte_count(text: str, origin: str) -> int:
    """An amount in bytes; its units are those of 1024. ``origin``: the flag or variable it is from.

    Raises `CliError` for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise CliError(f"{origin}: {text!r} is no size: write 512M or 2G", code=USAGE)
    return int(float(match[1]) * _UNITS[match[2].lower()])
