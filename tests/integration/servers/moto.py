"""S3 by moto: a good judge of the protocol. In memory.

Under concurrent requests moto is not atomic, so this one answers a request at a time. What it
shows is how the protocol is spoken, never how a race ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.servers.process import free_port, running
from tests.integration.servers.s3 import S3Server

__all__ = ["moto"]

PROGRAM = Path(__file__).with_name("moto_process.py")


@contextmanager
def moto(place: Path) -> Iterator[S3Server]:
    """Runs inside, with its files in ``place``."""
    port = free_port()
    command = [sys.executable, "-P", str(PROGRAM), str(port)]  # -P: or it takes this file for moto
    with running(command, port=port, place=place):
        yield S3Server(port)
