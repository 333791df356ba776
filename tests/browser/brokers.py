"""Brokers: in a process of its own, which can be killed and started again on its port; and in this
process, where one is there at once, for tests that only look and act.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.e2e.processes import environment
from tests.integration.doors import Keys
from tests.integration.servers.process import HOST, free_port

from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient
from osqueue.config import AccessSettings, BrokerSettings, QueueLimits
from osqueue.wire.roles import Role

__all__ = ["BrokerProcess", "LocalBroker"]

LISTENING = b"Broker listening on "
STOP_S = 10
START_S = 30

LEASE_MS = 600_000
"""A job that a test has claimed stays with it."""

CALM = (f"--job-heartbeat-timeout-ms={LEASE_MS}", "--grpc-port=0")


class LocalBroker:
    """A broker in memory, in this process; with ``keys`` it asks for tokens."""

    def __init__(self, keys: Keys | None = None) -> None:
        access = AccessSettings(tokens_file=None if keys is None else str(keys.path), reload_ms=5)
        limits = QueueLimits(lease_timeout_ms=LEASE_MS)
        self.keys = keys
        self.server = BrokerServer(
            "memory://",
            host=HOST,
            port=0,
            grpc_port=0,
            settings=BrokerSettings(access=access, limits=limits),
        )

    @property
    def url(self) -> str:
        return self.server.url

    def client(self, role: Role = Role.ADMIN) -> OsqueueClient:
        """A client of it; where tokens are asked for, with that of a role. Close it."""
        return _client(self.url, self.keys, role)


class BrokerProcess:
    """``osqueue broker`` on one port, over all of its processes.

    ``options`` are those of the command; the later of two wins. With ``keys`` it asks for tokens.
    """

    def __init__(
        self, log: Path, storage: str = "memory://", *options: str, keys: Keys | None = None
    ) -> None:
        self.port = free_port()
        self.keys = keys
        self._log = log
        self._storage = storage
        tokens = () if keys is None else (f"--tokens-file={keys.path}",)
        self._options: Sequence[str] = (*CALM, *tokens, *options)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def client(self, role: Role = Role.ADMIN) -> OsqueueClient:
        """A client of it; where tokens are asked for, with that of a role. Close it."""
        return _client(self.url, self.keys, role)

    async def start(self) -> None:
        """Return when it listens, and leads or stands by."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(None),
            )
        listens = asyncio.Event()
        self._reading = asyncio.create_task(self._read(self._process, listens))
        waiting = asyncio.create_task(listens.wait())
        done, _ = await asyncio.wait(
            {waiting, self._reading}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        if waiting not in done:
            await self.kill()
            raise RuntimeError(f"the broker did not start:\n{self._log.read_text()}")

    async def stop(self) -> None:
        """End it cleanly. Harmless at any time."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it without a word."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, process: asyncio.subprocess.Process, listens: asyncio.Event) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.startswith(LISTENING):
                listens.set()

    def _command(self) -> list[str]:
        places = (f"--storage={self._storage}", f"--host={HOST}", f"--port={self.port}")
        return [sys.executable, "-m", "osqueue", "broker", *places, *self._options]


def _client(url: str, keys: Keys | None, role: Role) -> OsqueueClient:
    return OsqueueClient(url, token=None if keys is None else keys[role])
