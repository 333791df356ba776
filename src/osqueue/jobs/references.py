"""Things that are named, ``package.module:name``, and imported when they are first wanted.

So a producer can know of a job type without the libraries of its handler, and a worker goes on
when one of its handlers cannot be imported.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import Any, Final

import msgspec

from osqueue.errors import ConfigError

__all__ = ["Reference", "path_of"]

_FORM: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class Reference(msgspec.Struct, frozen=True):
    """``package.module:name``, where the name may lead on: ``module:Class.method``."""

    path: str
    what: str
    """What it is to be, for messages: ``the handler of 'email:send'``."""

    def __post_init__(self) -> None:
        if not _FORM.fullmatch(self.path):
            raise ConfigError(f"{self.what} must be named as 'package.module:name': {self.path!r}")

    @property
    def module(self) -> str:
        return self.path.partition(":")[0]

    @property
    def name(self) -> str:
        return self.path.partition(":")[2]

    @property
    def imported(self) -> bool:
        """Whether its module has been imported already, so that looking costs nothing."""
        return self.module in sys.modules

    def load(self) -> Any:
        """Import it. Raises `ConfigError` that says what went wrong, and where."""
        found = self._import()
        for part in self.name.split("."):
            if not hasattr(found, part):
                raise ConfigError(
                    f"{self.what} is {self.path!r}, but {self.module} has no {self.name}"
                )
            found = getattr(found, part)
        return found

    def _import(self) -> Any:
        try:
            return import_module(self.module)
        except (Exception, SystemExit) as error:  # a module may do anything when it is imported
            raise ConfigError(
                f"{self.what} is {self.path!r}, but {self.module} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error


def path_of(thing: Any) -> str:
    """How something of a module would be named: ``package.module:name``."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    owner = thing if name else type(thing)
    return f"{owner.__module__}:{name or owner.__qualname__}"
