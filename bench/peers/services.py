"""The servers that the systems keep their jobs in: each fresh, on loopback, durable, and ended.

Every acknowledged write has reached the disk: Redis syncs its log at each, PostgreSQL and osqueue's
directory do so by themselves. All data lies in a temporary folder (`TMPDIR` chooses the disk).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from peers.install import MissingPeerError, binary, libraries
from tests.integration.servers.process import HOST, Process, answers_http, free_port

__all__ = ["Service", "serving"]

READY_S_MAX = 30
NOBODY = "nobody"
"""Who runs PostgreSQL when we are root, which it refuses to be."""


class Service(StrEnum):
    """What a system wants to be there."""

    BROKER = "broker"
    REDIS = "redis"
    POSTGRES = "postgres"
    FOLDER = "folder"


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The URL of one that is new. Raises `MissingPeerError`, and `TimeoutError` with its log."""
    with (
        tempfile.TemporaryDirectory(prefix="peers-") as place,
        SERVICES[service](Path(place)) as url,
    ):
        yield url


@contextmanager
def folder(place: Path) -> Iterator[str]:
    yield f"file://{place}"


@contextmanager
def broker(place: Path) -> Iterator[str]:
    """osqueue's own, from its command line."""
    port = free_port()
    command = [sys.executable, "-m", "osqueue", "broker", "--storage", f"file://{place}/queue"]
    command += ["--host", HOST, "--port", str(port), "--grpc-port", "0", "--log-level", "warning"]
    with running(command, place, ready=lambda: answers_http(port)):
        yield f"http://{HOST}:{port}"


@contextmanager
def redis(place: Path) -> Iterator[str]:
    port = free_port()
    command = [*loading(), str(binary("redis-server")), "--bind", HOST, "--port", str(port)]
    command += ["--dir", str(place), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    with running(command, place, ready=lambda: answers(port)):
        yield f"redis://{HOST}:{port}"


@contextmanager
def postgres(place: Path) -> Iterator[str]:
    port, data = free_port(), place / "data"
    own = as_nobody(place)
    options = ["--auth=trust", "--username=peers", "--encoding=UTF8", "--locale=C", "--no-sync"]
    run([*own, *loading(), str(binary("initdb")), "--pgdata", str(data), *options])
    command = [*own, *loading(), str(binary("postgres")), "-D", str(data), "-p", str(port)]
    command += ["-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories="]
    asks = [*loading(), str(binary("pg_isready")), "--quiet", "--host", HOST, "--port", str(port)]
    with running(
        command,
        place,
        ready=lambda: subprocess.run(asks, check=False).returncode == 0,
        stop=signal.SIGINT,  # it would wait for connections that somebody still has
    ):
        yield f"postgresql://peers@{HOST}:{port}/postgres"


SERVICES: Mapping[Service, Callable[[Path], AbstractContextManager[str]]] = MappingProxyType(
    {
        Service.BROKER: broker,
        Service.REDIS: redis,
        Service.POSTGRES: postgres,
        Service.FOLDER: folder,
    }
)


@contextmanager
def running(
    command: Sequence[str],
    place: Path,
    *,
    ready: Callable[[], bool],
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """The process, from when it is ready until the end of what is inside, however that ends."""
    process = Process(command, log=place / "server.log", cwd=place)
    process.start()
    try:
        process.wait_until(ready, timeout_s=READY_S_MAX)
        yield
    finally:
        process.send(stop)
        process.wait()


def loading() -> list[str]:
    """What to put before a program that was unpacked, so that it finds its libraries."""
    return ["env", f"LD_LIBRARY_PATH={libraries()}"]


def as_nobody(place: Path) -> list[str]:
    """What to put before a program that refuses to be root; ``place`` is then nobody's."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise MissingPeerError("PostgreSQL refuses to be root, and there is no setpriv")
    nobody = pwd.getpwnam(NOBODY)
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    user = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    return ["setpriv", *user, "--pdeathsig", "KILL", "--"]


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((HOST, port)) == 0


def run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MissingPeerError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
