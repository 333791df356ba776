"""The brokers of a run: real processes, each behind a proxy of its own, under a supervisor.

A process that ends is started again at once, whatever ended it.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
from tests.e2e.chaos.history import Death, History, Lead, now
from tests.e2e.chaos.timing import Timing
from tests.e2e.chaos.waiting import until
from tests.e2e.chaos.wire import HOST, TcpProxy
from tests.e2e.processes import environment
from tests.integration.servers.process import free_port

__all__ = ["Broker", "Kind"]

RESTART_PAUSE_S = 0.1
"""A supervisor's: what dies as it starts must not be started in a tight loop."""

POLL_S = 0.02
LEADS = "leadership is taken: queue.json, epoch "


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker process is: the command, or one that takes faults from inside."""

    storage: str
    inside: bool


class Broker:
    """One broker: its ports and proxy stay the same over all of its processes."""

    def __init__(self, name: str, kind: Kind, *, timing: Timing, place: Path) -> None:
        self.name = name
        self.log = place / f"{name}.log"
        self.port = free_port()
        self.grpc_port = free_port()
        self.proxy = TcpProxy(self.port, self.grpc_port)
        self.wall_off_ms = 0
        self._kind = kind
        self._timing = timing
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = False
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._supervising: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.proxy.address}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, history: History) -> None:
        self._supervising = asyncio.create_task(self._supervise(history), name=self.name)

    async def stop(self) -> None:
        """End it cleanly, or at least end it."""
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.wait({self._supervising})
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 10)
            self.kill()
            await self._process.wait()
        await self.proxy.stop()

    def kill(self) -> None:
        self._wanted = True
        self.send(signal.SIGKILL)

    def lose_machine(self) -> None:
        """Killed, and not started again before there is a machine."""
        self._may_start.clear()
        self.kill()

    def give_machine(self) -> None:
        self._may_start.set()

    def terminate(self) -> None:
        self._wanted = True
        self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                self._process.send_signal(number)

    async def stopped(self) -> None:
        """Return when a SIGSTOP has arrived at all of its threads."""
        await until(lambda: _state(self.pid) in {"T", ""})

    def tell(self, command: str) -> None:
        """A command of `entry`."""
        assert self._kind.inside, "only that process listens"
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())

    async def answers(self) -> None:
        """Return when the process answers on its own port."""
        async with aiohttp.ClientSession() as session:
            while True:
                with suppress(OSError, aiohttp.ClientError, TimeoutError):
                    url = f"http://{HOST}:{self.port}/healthz"
                    async with session.get(url, timeout=aiohttp.ClientTimeout(1)) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(POLL_S)

    async def logged(self, words: str, *, since: int, timeout_s: float) -> bool:
        """Whether the log says so, after its first ``since`` bytes, within the time."""
        return await until(lambda: words in self.said(since), timeout_s=timeout_s)

    def said(self, since: int = 0) -> str:
        """What all its processes have logged."""
        with suppress(FileNotFoundError), self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")
        return ""

    def leads(self) -> list[Lead]:
        """Every time that it said that it leads."""
        parts = self.said().split(LEADS)[1:]
        return [Lead(self.name, int(part.partition('"')[0])) for part in parts]

    async def _supervise(self, history: History) -> None:
        while True:
            await self._may_start.wait()
            self._wanted = False
            self._process = await self._spawn()
            opening = asyncio.create_task(self._open(), name=f"{self.name} opens")
            code = await self._process.wait()
            opening.cancel()
            await self.proxy.upstream(listens=False)
            history.deaths.append(Death(now(), self.name, code, self._wanted))
            await asyncio.sleep(RESTART_PAUSE_S)

    async def _open(self) -> None:
        await self.answers()
        await self.proxy.upstream(listens=True)

    async def _spawn(self) -> asyncio.subprocess.Process:
        """Killed with the harness, even if that could not say good-bye."""
        setpriv = shutil.which("setpriv")
        dying_with_us = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *dying_with_us,
                *self._command(),
                stdin=asyncio.subprocess.PIPE if self._kind.inside else asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(None),
                start_new_session=True,
            )

    def _command(self) -> Sequence[str]:
        timing, plain = self._timing, {"storage": self._kind.storage, "port": self.port}
        if self._kind.inside:
            plan = plain | {
                "grpc_port": self.grpc_port,
                "advertise": self.proxy.address,
                "heartbeat_ms": timing.heartbeat_ms,
                "timeout_ms": timing.timeout_ms,
                "lease_ms": timing.lease_ms,
                "linger_ms": timing.linger_ms,
                "wall_off_ms": self.wall_off_ms,
            }
            return [
                sys.executable,
                "-m",
                "tests.e2e.chaos.entry",
                msgspec.json.encode(plan).decode(),
            ]
        options = plain | {
            "host": HOST,
            "grpc-port": self.grpc_port,
            "advertise": self.proxy.address,
            "broker-heartbeat-interval-ms": timing.heartbeat_ms,
            "broker-heartbeat-timeout-ms": timing.timeout_ms,
            "job-heartbeat-timeout-ms": timing.lease_ms,
            "log-format": "json",
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "osqueue", "broker", *flags]


def _state(pid: int) -> str:
    """The state of the thread that stopped last; nothing when the process is gone."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        states = {(each / "stat").read_text().rpartition(")")[2].split()[0] for each in threads}
    except (OSError, IndexError):
        return ""
    return "T" if states == {"T"} else "R"
