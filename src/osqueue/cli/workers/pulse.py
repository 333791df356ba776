"""Whether a worker is well: its loop turns, and a broker answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn

from osqueue.cli.workers.heartbeat_file import BEAT_S
from osqueue.client import OsqueueClient
from osqueue.errors import OsqueueError, TransportConfigError

__all__ = ["PULSE_S", "Pulse"]

PULSE_S: Final = 1.0
"""How often a supervisor is told that the loop turns."""


class Pulse:
    """Asks the broker now and then, and tells on."""

    def __init__(self, client: OsqueueClient, *, answered: Callable[[], None]) -> None:
        self._client = client
        self._answered = answered
        self.broker_answers = False

    async def ask(self) -> NoReturn:
        """Ask until cancelled; ``answered`` is called after each answer."""
        while True:
            self.broker_answers = await self._is_answered()
            if self.broker_answers:
                self._answered()
            await asyncio.sleep(BEAT_S)

    async def tell(self, told: Callable[[bool], None]) -> NoReturn:
        """Tell that the loop turns, and whether a broker answers, until cancelled."""
        while True:
            told(self.broker_answers)
            await asyncio.sleep(PULSE_S)

    async def _is_answered(self) -> bool:
        try:
            async with asyncio.timeout(BEAT_S):
                await self._client.get_status()
        except TransportConfigError:
            return True  # there is none: this process writes the queue, and ends when it cannot
        except (OsqueueError, TimeoutError):
            return False
        return True
