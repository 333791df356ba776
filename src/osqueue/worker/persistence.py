"""Trying until the broker answers, and saying so once.

A worker outlives its broker's restarts and outages: it asks again with growing, jittered pauses,
without end. An outage is one warning, its end one line more.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from osqueue.client.retries import backoff_ms
from osqueue.client.runtime import Runtime
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError

__all__ = ["Persistence"]

_log = logging.getLogger("osqueue.worker")
_T = TypeVar("_T")


class Persistence:
    """Repeats one kind of request, ``what``, of one worker."""

    def __init__(self, what: str, settings: ClientSettings, runtime: Runtime) -> None:
        self._what = what
        self._settings = settings
        self._runtime = runtime
        self._failing = False

    async def until_answered(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat ``attempt`` while its error is one that passes; raises any other."""
        return await self._until(attempt, _passes)

    async def until_done(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat ``attempt`` whatever its error: a refusal, too, can be put right elsewhere."""
        return await self._until(attempt, _anything)

    async def _until(
        self, attempt: Callable[[], Awaitable[_T]], bearable: Callable[[Exception], bool]
    ) -> _T:
        for failures in itertools.count(1):
            try:
                answer = await attempt()
            except Exception as error:
                if not bearable(error):
                    raise
                await self._pause(failures, error)
            else:
                self._works()
                return answer
        raise AssertionError("counting does not end")

    async def _pause(self, failures: int, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            unexpected = not isinstance(error, OsqueueError)
            _log.warning("%s: %s; trying again", self._what, error, exc_info=unexpected)
        jitter = self._runtime.entropy.jitter()
        pause_ms = backoff_ms(self._settings, failures=failures, jitter=jitter)
        await self._runtime.sleep(pause_ms / 1_000)

    def _works(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("%s: working again", self._what)


def _passes(error: Exception) -> bool:
    return isinstance(error, OsqueueError) and error.retryable


def _anything(_error: Exception) -> bool:
    return True
