"""The commit in the trace of each job that was submitted with it: an `Observer`.

One span for each trace, beside the producer's: it shows how long the store took until the job was
durable. Only where the broker's program uses OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from osqueue.clock import Clock
from osqueue.config import COMMIT_SPANS_MAX
from osqueue.engine.observer import Answered, unheard
from osqueue.engine.requests import Held, Landed
from osqueue.model.ops import Submit
from osqueue.tracing import SYSTEM, TRACER, api, context_of

__all__ = ["CommitTraces"]

_NS_PER_MS: Final = 1_000_000


class CommitTraces:
    """Tells OpenTelemetry of commits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def committed(self, landed: Landed) -> None:
        trace = api()
        if trace is None:
            return
        ended = self._clock.wall_ms() * _NS_PER_MS
        attributes = {
            **SYSTEM,
            "osqueue.commit": "{}-{}".format(*landed.position),
            "osqueue.commit.operations": landed.ops,
            "osqueue.commit.bytes": landed.size,
        }
        for context in _contexts(trace, landed.held):
            span = trace.get_tracer(TRACER).start_span(
                "commit",
                context=context,
                attributes=attributes,
                start_time=ended - landed.took_ms * _NS_PER_MS,
            )
            span.end(ended)

    @unheard
    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        """A commit's span says it."""

    @unheard
    def role_changed(self, role: str, epoch: int) -> None:
        """No part of a job's trace."""

    @unheard
    def answered(self, answered: Answered) -> None:
        """The client's span says it."""

    @unheard
    def connected(self, transport: str) -> None:
        """No part of a job's trace."""

    @unheard
    def disconnected(self, transport: str) -> None:
        """The same."""


def _contexts(trace: Any, held: list[Held]) -> Iterator[Any]:
    """The traces whose jobs were submitted, each once, as far as they are recorded at all."""
    seen: set[str] = set()
    for traceparent in _traceparents(held):
        if traceparent in seen or len(seen) == COMMIT_SPANS_MAX:
            continue
        seen.add(traceparent)
        context = context_of(traceparent)
        if context is not None:
            span = trace.get_current_span(context)
            if span.get_span_context().trace_flags.sampled:
                yield context


def _traceparents(held: list[Held]) -> Iterator[str]:
    for each in held:
        if each.writes and isinstance(each.op, Submit):
            for job in each.op.jobs:
                if job.traceparent is not None:
                    yield job.traceparent
