"""One request, until it is answered or its time is up.

Laws kept here for all transports:

- a request is sent again only by the rules of `retries`, for at most ``retry_for_ms`` (a claim:
  beyond what it waits anyway),
- a read never shows a state older than one already shown, and nothing is refused by a broker of an
  older epoch, which does not know yet that it no longer leads: such answers are discarded and asked
  for again,
- a consistent read is never answered by a broker that does not know what that is,
- the last error says that nothing was applied only if that is so of every try.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import msgspec

from osqueue.client.retries import backoff_ms, may_repeat, request_again, wait_ms
from osqueue.client.runtime import Runtime
from osqueue.client.transports.protocol import (
    Answer,
    Position,
    QueueTransportAdapter,
    streaming,
)
from osqueue.config import ClientSettings
from osqueue.errors import DiscoveryError, OsqueueError, TransportRequestError
from osqueue.wire.messages import BatchAnswer
from osqueue.wire.operations import (
    COUNT_JOBS,
    GET_JOB,
    GET_STATS,
    GET_TYPES,
    LIST_DEAD_GROUPS,
    LIST_ENDED,
    LIST_JOBS,
    Operation,
    ReadQuery,
)

__all__ = ["Caller", "Seen"]

_log = logging.getLogger(__name__)
_READS: Final = frozenset(
    each.name
    for each in (
        GET_JOB,
        GET_STATS,
        GET_TYPES,
        LIST_JOBS,
        LIST_ENDED,
        COUNT_JOBS,
        LIST_DEAD_GROUPS,
    )
)


class Seen:
    """The latest commit that any answer has shown."""

    def __init__(self) -> None:
        self._latest: Position | None = None

    def take(self, operation: Operation, answer: Answer) -> Any:
        """The answer's value. Raises `DiscoveryError` when it is to be discarded."""
        refused = isinstance(answer.value, BatchAnswer) and _refuses_any(answer.value)
        if older := self._older(operation, answer.position, refused=refused):
            raise DiscoveryError(f"{operation.name}: {older}")
        return answer.value

    def refuse(self, operation: Operation, error: OsqueueError) -> None:
        """Raise `DiscoveryError` for a refusal that is to be discarded."""
        position = None if error.position is None else Position(*error.position)
        if older := self._older(operation, position, refused=True):
            discarded = DiscoveryError(f"{operation.name}: {error.message}; {older}")
            discarded.applied = "no"
            raise discarded from error

    @property
    def epoch(self) -> int | None:
        """Whose lead that commit is of; ``None`` before the first."""
        return None if self._latest is None else self._latest.epoch

    def forget(self) -> None:
        """Take the next answer as it is."""
        self._latest = None

    def _older(self, operation: Operation, position: Position | None, *, refused: bool) -> str:
        """Why an answer from there is to be discarded; nothing if it is not.

        Of one epoch there is one leader: a refusal of his that comes late is as true as it was.
        """
        latest = self._latest
        if position is None:
            return ""
        if latest is None or position >= latest:
            self._latest = position
            return ""
        if operation.name not in _READS and not (refused and position.epoch < latest.epoch):
            return ""
        return (
            f"the broker asked answers from commit {position.number} of epoch {position.epoch}, "
            f"but {latest.number} of {latest.epoch} was seen before: it no longer leads, or the "
            "queue is another one (then reconnect)"
        )


def _refuses_any(answer: BatchAnswer) -> bool:
    return any(each.error is not None for each in answer.results)


class Caller:
    """Sends requests through a transport. ``seen`` is shared by all callers of one client."""

    def __init__(
        self,
        transport: QueueTransportAdapter,
        settings: ClientSettings,
        *,
        runtime: Runtime,
        seen: Seen,
    ) -> None:
        self.transport = transport
        self.settings = settings
        self.runtime = runtime
        self.seen = seen

    def with_settings(self, settings: ClientSettings) -> Caller:
        """A caller over the same transport that waits and retries otherwise."""
        return Caller(self.transport, settings, runtime=self.runtime, seen=self.seen)

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
    ) -> Any:
        """The answer; raises the last error when no further try is allowed or in time."""
        started_ms = self.runtime.clock.mono_ms()
        until_ms = started_ms + self._patience_ms(request)
        failures, in_doubt = 0, False
        while True:
            gone_ms = self.runtime.clock.mono_ms() - started_ms
            try:
                return await self._once(operation, request_again(request, gone_ms=gone_ms), job_id)
            except OsqueueError as error:
                failures += 1
                pause_ms = self.backoff_ms(failures)
                in_time = self.runtime.clock.mono_ms() + pause_ms < until_ms
                if not (in_time and may_repeat(operation, error)):
                    if in_doubt and error.applied == "no":
                        error.applied = "unknown"
                    raise
                in_doubt |= error.applied != "no"
                _log.debug("%s: %s; again in %d ms", operation.name, error, pause_ms)
            await self.runtime.sleep(pause_ms / 1_000)

    async def stream(
        self, operation: Operation, request: msgspec.Struct
    ) -> AsyncGenerator[Any, None]:
        """What the broker pushes, until it is closed. Raises what it ends by; begins only once."""
        pushed = streaming(self.transport).stream(
            operation, request, timeout_s=self.settings.timeout_ms / 1_000
        )
        async with aclosing(pushed) as messages:
            async for message in messages:
                yield message

    def backoff_ms(self, failures: int) -> float:
        """The pause after so many failures in a row."""
        return backoff_ms(self.settings, failures=failures, jitter=self.runtime.entropy.jitter())

    def _patience_ms(self, request: msgspec.Struct | None) -> int:
        """How long after its start a request may be sent again."""
        if not self.settings.retry_for_ms:
            return 0
        return self.settings.retry_for_ms + wait_ms(request)

    async def _once(
        self, operation: Operation, request: msgspec.Struct | None, job_id: str | None
    ) -> Any:
        timeout_s = (self.settings.timeout_ms + wait_ms(request)) / 1_000
        try:
            answer = await self.transport.call(
                operation, request, job_id=job_id, timeout_s=timeout_s
            )
        except OsqueueError as error:
            self.seen.refuse(operation, error)
            raise
        if answer.position is None and isinstance(request, ReadQuery) and request.consistent:
            raise _knows_no_consistency(operation)
        return self.seen.take(operation, answer)


def _knows_no_consistency(operation: Operation) -> TransportRequestError:
    """Older implementations pass over what they do not know, and would show what may be old."""
    return TransportRequestError(
        f"{operation.name}: the answer does not say which commit it rests on, as every broker does "
        "that knows consistent reads: ask without `consistent`, or a newer broker",
        method=operation.name,
    )
