"""The options behind the ``?`` of a storage URL: known names, each once, each of its type.

Percent-escapes are decoded and ``+`` is itself, so that a key can be pasted as it is. Values may be
secrets: no message repeats one, unless its option is known not to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

from osqueue.errors import ConfigError

__all__ = ["Reader", "flag", "parse_options", "seconds", "text"]

Reader = Callable[[str, str], Any]
"""Makes an option's value of its name and text. Raises `ConfigError`."""

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def text(_name: str, value: str) -> str:
    """The text as it is."""
    return value


def flag(name: str, value: str) -> bool:
    """``true`` or ``false``."""
    if value.lower() not in _FLAGS:
        raise ConfigError(f"{name}: it can be true or false")
    return _FLAGS[value.lower()]


def seconds(name: str, value: str) -> float:
    """A number of seconds."""
    try:
        return float(value.removesuffix("s"))
    except ValueError as error:
        raise ConfigError(f"{name}: it is a number of seconds, such as 15") from error


def parse_options(query: str, known: Mapping[str, Reader], *, scheme: str) -> dict[str, Any]:
    """The options of a URL of ``scheme``, by name."""
    options: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = (unquote(part) for part in pair.partition("="))
        if name not in known:
            raise ConfigError(_unknown(name, known, scheme))
        if name in options:
            raise ConfigError(f"{scheme}:// has the option {name} twice: give it once")
        if not value:
            raise ConfigError(
                f"{scheme}:// has the option {name} without a value: write {name}=..."
            )
        options[name] = known[name](name, value)
    return options


def _unknown(name: str, known: Mapping[str, Reader], scheme: str) -> str:
    close = get_close_matches(name, known, n=1)
    meant = f": did you mean {close[0]}? There are" if close else "; there are"
    return f"{scheme}:// has no option {name[:50]!r}{meant} {', '.join(sorted(known))}"
