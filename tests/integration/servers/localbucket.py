"""Something like S3 that ignores the preconditions of writes, as small S3 servers often do.

No queue can live there; it is what opening a store must find out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.servers.process import HOST, free_port, running
from tests.integration.servers.s3 import S3Server

__all__ = ["localbucket"]


@contextmanager
def localbucket(place: Path) -> Iterator[S3Server]:
    """Runs inside, with its files in ``place``."""
    port = free_port()
    data = place / "buckets"
    data.mkdir()
    command = [sys.executable, "-m", "localbucket", "--host", HOST, "--port", str(port), str(data)]
    with running(command, port=port, place=place):
        yield S3Server(port)
