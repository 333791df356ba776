"""A file whose age tells that a worker is well.

It is touched while the loop turns and a broker answers, so its age is how long that has not been
so: a supervisor need know nothing else.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from osqueue.cli.failures import USAGE, CliError

__all__ = ["BEAT_S", "HeartbeatFile"]

BEAT_S: Final = 5.0
"""How often it is touched: a supervisor that allows it a minute sees a hung worker soon enough."""

_log = logging.getLogger("osqueue.cli")


class HeartbeatFile:
    """Raises `CliError` when there can be no such file."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._failing = False
        try:
            self._path.touch()
        except OSError as error:
            raise CliError(f"--heartbeat-file: {path}: {error.strerror}", code=USAGE) from error

    def beat(self) -> None:
        """All is well. That it cannot be said is said once."""
        try:
            self._path.touch()
        except OSError as error:
            if not self._failing:
                _log.warning("the heartbeat file cannot be touched: %s", error)
            self._failing = True
        else:
            self._failing = False
