"""An exception as the queue keeps it: type, message, traceback; and what it asks for. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Set as AbstractSet
from types import TracebackType

from osqueue.config import NAME_CHARS_MAX, TIME_MS_MAX
from osqueue.errors import Retry
from osqueue.wire.messages import JobError

__all__ = ["describe_failure", "pause_ms"]


def describe_failure(
    error: BaseException | JobError | str, *, without: AbstractSet[str] = frozenset()
) -> JobError:
    """Describe why an attempt failed, cut to what is kept.

    ``without`` names source files whose frames are left out at the head of the traceback: those
    of the caller, which are the same in each.
    """
    if isinstance(error, JobError):
        return error.bounded()
    if isinstance(error, str):
        return JobError(type="Error", message=_clean(error)).bounded()
    trace = _after(error.__traceback__, without)
    lines = traceback.format_exception(type(error), error, trace)
    return JobError(
        type=_clean(_type_name(type(error)))[:NAME_CHARS_MAX],
        message=_clean(_message(error)),
        traceback=_clean("".join(lines)),
    ).bounded()


def pause_ms(error: Retry) -> int | None:
    """The pause that a handler asks for; ``None``, also for what is no number: by the policy."""
    after: object = getattr(error, "after", None)  # a class of its own may have none
    if not isinstance(after, int | float) or after != after:  # noqa: PLR0124 - NaN alone
        return None
    return round(min(max(0.0, after * 1_000), TIME_MS_MAX))


def _after(trace: TracebackType | None, files: AbstractSet[str]) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename in files:
        trace = trace.tb_next
    return trace


def _type_name(kind: type) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the failure itself
        return "(its message cannot be shown)"


def _clean(text: str) -> str:
    """Replace lone surrogates: they cannot travel, and would keep the failure from being told."""
    return text.encode(errors="backslashreplace").decode()
