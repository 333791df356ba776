"""One run of the command line: how it talks about failures."""

from __future__ import annotations

import logging
import sys
import traceback

from osqueue.cli.logs import LogFormat

__all__ = ["Invocation"]

_log = logging.getLogger("osqueue.cli")


class Invocation:
    """Set by the commands' common options; read when the command has failed."""

    def __init__(self) -> None:
        self.debug = False
        self.log_format = LogFormat.TEXT

    def fail(self, message: str, error: BaseException | None = None) -> None:
        """Say on stderr why the command failed: one line, with ``--debug`` the traceback, too."""
        shown = error if self.debug else None
        line = " ".join(message.split())
        if self.log_format is LogFormat.JSON:
            _log.error(line, exc_info=shown)
            return
        if shown is not None:
            traceback.print_exception(shown, file=sys.stderr)
        sys.stderr.write(f"error: {line}\n")
