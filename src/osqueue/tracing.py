"""OpenTelemetry traces of a job: from the submit through the commit to the handler.

The context travels in the job, as its ``traceparent``. Nothing here imports OpenTelemetry: it is
used where the program has imported it, and a program that has not pays a look into a dictionary.
Spans are named and described as OpenTelemetry does for messaging.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from osqueue.wire.messages import SubmitRequest

__all__ = ["api", "context_of", "handling", "submitting"]

TRACER: Final = "osqueue"
SYSTEM: Final = {"messaging.system": "osqueue"}

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


def api() -> Any | None:
    """The package ``opentelemetry.trace``, if the program uses it."""
    return sys.modules.get("opentelemetry.trace")


def submitting(requests: Sequence[SubmitRequest]) -> AbstractContextManager[None]:
    """The span of a submit; jobs that do not say where they come from come from there."""
    trace = api()
    return _NOTHING if trace is None else _submitting(trace, requests)


def handling(
    job_id: str, job_type: str, attempt: int, traceparent: str | None
) -> AbstractContextManager[None]:
    """The span of a handler's run, within the trace of the job. What it raises is its error."""
    trace = api()
    if trace is None:
        return _NOTHING
    return _handling(trace, job_id, job_type, attempt, traceparent)


def context_of(traceparent: str | None) -> Any | None:
    """The context that a job comes from; ``None`` where that says none."""
    if traceparent is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415 - only called where it is there

    context = _propagator().extract({"traceparent": traceparent})
    return context if trace.get_current_span(context).get_span_context().is_valid else None


@contextmanager
def _submitting(trace: Any, requests: Sequence[SubmitRequest]) -> Iterator[None]:
    first = requests[0] if requests else None
    type_ = "" if first is None else first.type or ""
    attributes: dict[str, Any] = {
        **SYSTEM,
        "messaging.operation.type": "send",
        "messaging.destination.name": type_,
    }
    if len(requests) == 1 and first is not None:
        attributes["messaging.message.id"] = first.job_id or ""
    else:
        attributes["messaging.batch.message_count"] = len(requests)
    span = trace.get_tracer(TRACER).start_as_current_span(
        f"submit {type_}".rstrip(), kind=trace.SpanKind.PRODUCER, attributes=attributes
    )
    with span:
        carrier: dict[str, str] = {}
        _propagator().inject(carrier)
        for request in requests:
            if request.traceparent is None:
                request.traceparent = carrier.get("traceparent")
        yield


@contextmanager
def _handling(
    trace: Any, job_id: str, job_type: str, attempt: int, traceparent: str | None
) -> Iterator[None]:
    attributes = {
        **SYSTEM,
        "messaging.operation.type": "process",
        "messaging.destination.name": job_type,
        "messaging.message.id": job_id,
        "osqueue.attempt": attempt,
    }
    with trace.get_tracer(TRACER).start_as_current_span(
        f"process {job_type}",
        context=context_of(traceparent),
        kind=trace.SpanKind.CONSUMER,
        attributes=attributes,
    ):
        yield


def _propagator() -> Any:
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - only where it is

    return tracecontext.TraceContextTextMapPropagator()
