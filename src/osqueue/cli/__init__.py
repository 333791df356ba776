"""The command line: ``osqueue``.

This file needs nothing beyond the standard library, so that it can say what is missing. A command's
own packages are imported when it runs: ``osqueue --help`` loads no client and no broker.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_NEEDED = frozenset({"typer", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; ``arguments`` are by default those of this process.

    Answers the exit code: 0 done, 1 failed, 2 wrong usage, 130 and 143 interrupted before the end.
    """
    try:
        from osqueue.cli.app import run  # noqa: PLC0415 - what it needs may not be installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        message = f"error: the command line needs {error.name}: pip install 'osqueue[cli]'\n"
        sys.stderr.write(message)
        return 2
    return run(arguments)
