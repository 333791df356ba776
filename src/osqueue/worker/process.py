"""One process of handlers, as its worker sees it: started, given a job at a time, killed.

That it is gone is learned from the system, not from the socket: a handler's forks may hold that
open. Whatever the process does, its job ends with an answer or with the reason why there is none.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Self

import osqueue
from osqueue.config import ProcessSettings
from osqueue.errors import Discard, Retry
from osqueue.wire.messages import Progress
from osqueue.worker.child.frames import (
    HEADER_BYTES,
    Answer,
    Begin,
    Begun,
    Cancel,
    Discarded,
    Done,
    Failed,
    FrameError,
    Progressed,
    Retried,
    Run,
    answer_bytes,
    decode_answer,
    frame,
)
from osqueue.worker.deaths import NeverBegan, ProcessDied, RemoteFailure, reason_of

__all__ = ["HandlerProcess"]

LAST_WORDS_S: Final = 0.2
"""What a process said before its end is in the socket by then; a fork may hold that open."""

END_S_MAX: Final = 5.0
"""Longest wait for a process to end that was killed, or that has closed its socket."""

_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from osqueue.worker.child.serving import main; main(*map(int, sys.argv[2:]))"
)
_ROOT: Final = str(Path(osqueue.__file__).parents[1])


class HandlerProcess:
    """A started process. ``ended`` is called once, when it is gone."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        life: socket.socket,
        *,
        begin: Begin,
        settings: ProcessSettings,
        ended: Callable[[HandlerProcess], None],
    ) -> None:
        self._process = process
        self._reader, self._writer = streams
        self._life = life
        self._memory_bytes_max = begin.memory_bytes_max
        self._settings = settings
        self._writer.write(frame(begin))
        self._end = asyncio.create_task(self._see_end(ended), name=f"osqueue-process-{process.pid}")

    @classmethod
    async def start(
        cls, begin: Begin, settings: ProcessSettings, *, ended: Callable[[HandlerProcess], None]
    ) -> Self:
        """Start one. It imports what ``begin`` names while it is given its first job.

        Raises `OSError` when the system has no room for it.
        """
        with ExitStack() as theirs, ExitStack() as ours:
            link, their_link = _pair(ours, theirs)
            life, their_life = _pair(ours, theirs)
            streams = await asyncio.open_unix_connection(sock=link)
            ours.callback(streams[1].close)
            fds = their_link.fileno(), their_life.fileno()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", _BOOT, _ROOT, *map(str, fds)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=fds,
                start_new_session=True,
            )
            ours.pop_all()
        return cls(process, streams, life, begin=begin, settings=settings, ended=ended)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_fit(self) -> bool:
        """Whether it can be given a job, as far as is known."""
        return not (self._end.done() or self._writer.is_closing())

    @property
    def reason(self) -> str | None:
        """How it ended, for people; ``None`` while it runs, or when it ended as it should."""
        code = self._process.returncode
        return reason_of(code, self._memory_bytes_max) if code else None

    async def run(
        self, run: Run, *, timeout_s: float | None, on_progress: Callable[[Progress], None]
    ) -> bytes | None:
        """Have a job done; its time counts from when the process begins with it.

        Raises what `ProcessPool.run` does, and `NeverBegan`. When it is cancelled the handler is
        told to end, and the process is killed if it does not.
        """
        await self._begin(run)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._finish(run.number, on_progress)
        except TimeoutError:
            await self._cut_short(run.number)
            raise TimeoutError(f"the handler ran longer than {timeout_s:g} s") from None
        except asyncio.CancelledError:
            await self._cut_short(run.number)
            raise

    def discard(self) -> None:
        """Let go of one that has ended."""
        self._writer.close()

    async def stop(self) -> None:
        """Let it end, and kill it if it does not."""
        self._writer.close()
        if not await self._ended_within(self._settings.stop_ms / 1_000):
            await self.kill()

    async def kill(self) -> None:
        """End it at once, with what its handlers have started."""
        self._kill()
        await self._ended_within(END_S_MAX)

    async def _begin(self, run: Run) -> None:
        try:
            self._writer.write(frame(run))
            async with asyncio.timeout(self._settings.start_ms_max / 1_000):
                answer = await self._next(run.number)
        except TimeoutError:
            self._kill()
            raise NeverBegan("the process did not come to its first job in time") from None
        except ProcessDied as death:
            raise NeverBegan(str(death)) from None
        except asyncio.CancelledError:
            self._kill()
            raise
        if not isinstance(answer, Begun):
            raise NeverBegan(await self._unreadable())

    async def _finish(self, number: int, on_progress: Callable[[Progress], None]) -> bytes | None:
        while True:
            match await self._next(number):
                case Progressed(progress=progress):
                    on_progress(progress)
                case Done(result=result):
                    return result
                case Failed(error=error, retry=retry):
                    raise RemoteFailure(error.bounded(), retry=retry)
                case Retried(after=after, reason=reason):
                    raise Retry(after, reason)
                case Discarded(reason=reason):
                    raise Discard(reason)
                case Begun():
                    raise ProcessDied(await self._unreadable())

    async def _cut_short(self, number: int) -> None:
        """Tell the handler to end; the process lives on if that happens soon."""
        try:
            self._writer.write(frame(Cancel(number)))
            async with asyncio.timeout(self._settings.cancel_ms / 1_000):
                await self._finish(number, lambda _: None)
        except (RemoteFailure, Retry, Discard):
            return
        except (TimeoutError, ProcessDied):
            await self.kill()
        except asyncio.CancelledError:
            self._kill()
            raise

    async def _next(self, number: int) -> Answer:
        """What the process says next of this job. Raises `ProcessDied`."""
        try:
            size = answer_bytes(await self._reader.readexactly(HEADER_BYTES))
            answer = decode_answer(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ProcessDied(await self._last_reason()) from None
        except FrameError:
            raise ProcessDied(await self._unreadable()) from None
        if answer.number != number:
            raise ProcessDied(await self._unreadable())
        return answer

    async def _unreadable(self) -> str:
        await self.kill()
        return "the handler wrote into the process's connection to its worker; it was killed"

    async def _last_reason(self) -> str:
        """Why nothing more comes."""
        self._writer.close()
        if await self._ended_within(END_S_MAX):
            code = self._process.returncode
            return reason_of(code or 0, self._memory_bytes_max)
        await self.kill()
        return "the handler closed the process's connection to its worker; it was killed"

    async def _see_end(self, ended: Callable[[HandlerProcess], None]) -> None:
        await self._process.wait()
        self._life.close()
        asyncio.get_running_loop().call_later(LAST_WORDS_S, self._writer.close)
        ended(self)

    async def _ended_within(self, seconds: float) -> bool:
        return bool((await asyncio.wait({self._end}, timeout=seconds))[0])

    def _kill(self) -> None:
        self._writer.close()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _pair(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    return ours.enter_context(one), theirs.enter_context(other)
