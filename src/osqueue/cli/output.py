"""What commands print: results on stdout, progress and logs on stderr."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

__all__ = ["say", "say_json"]


def say(text: str) -> None:
    """Print a line at once. A service goes on when nobody reads it any more."""
    with suppress(BrokenPipeError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def say_json(value: object) -> None:
    """Print a value as one line of JSON."""
    say(json.dumps(value, ensure_ascii=False))
