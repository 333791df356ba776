"""What a worker is told of a handler: its function, what it takes, and how it is to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from osqueue.jobs.schema import Schema

__all__ = ["Executor", "HandlerSpec", "JobCallbacks"]

Executor: TypeAlias = Literal["auto", "thread", "process"]
"""``auto``: an async function on the loop, a plain one in a thread."""


class HandlerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One handler. ``function`` may be named, ``module:name``; it is then imported when the first
    of its jobs comes.
    """

    function: Callable[..., Any] | str
    schema: Schema | None = None
    """What a payload must be; ``None``: any JSON."""
    result: Schema | None = None
    """What it returns, where it says so; ``None``: anything that JSON can hold."""
    timeout_s: float | None = None
    """For jobs that bring no time-out of their own."""
    executor: Executor = "auto"
    concurrency: int | None = None
    """How many of them may run at a time in one worker; ``None``: as many as it runs at all."""


class JobCallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Plain or async functions that are told what becomes of jobs."""

    claimed: tuple[Callable[..., Any], ...] = ()
    """With the job, before its handler runs."""
    completed: tuple[Callable[..., Any], ...] = ()
    """With the job, when the broker has taken the report."""
    failed: tuple[Callable[..., Any], ...] = ()
    """With the job and the error, then as well."""
