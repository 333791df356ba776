"""What is said of a job type beside its name: its payload, and how its jobs are to be treated."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, get_args

import msgspec
from msgspec import UNSET

from osqueue.config import TIME_MS_MAX
from osqueue.errors import ConfigError
from osqueue.jobs.backoff import Backoff
from osqueue.jobs.handlers import Executor

__all__ = ["JobType", "TypeOptions", "check_options"]

WHOLE_MAX = 2**31 - 1
"""What the wire can say."""


class TypeOptions(TypedDict, total=False):
    """How the jobs of a type are treated. The first four travel with each job, so they hold
    whoever runs it, and a submit may say otherwise; the other two are the worker's.

    - ``max_attempts``: attempts until a job becomes a dead letter; 3 by default.
    - ``timeout``: seconds of one attempt; by default as long as it takes.
    - ``retry``: the pauses after failed attempts, as a `Backoff`.
    - ``keep_result``: whether what the handler returns is kept with the finished job.
    - ``executor``: ``"thread"`` or ``"process"``; by default async functions run on the loop, plain
      ones in threads.
    - ``concurrency``: how many may run at a time in one worker.
    """

    max_attempts: int | None
    timeout: float | None
    retry: Backoff | None
    keep_result: bool
    executor: Executor
    concurrency: int | None


class _OfPayload(msgspec.Struct, frozen=True):
    payload: Any
    """A type, or where to import it from: ``module:name``."""


class JobType(_OfPayload, frozen=True, kw_only=True):
    """An entry of a registry, where there is more to say than the type: see `TypeOptions`.

    JobType(SendEmail, max_attempts=5, timeout=30, handler="myapp.handlers:send_email")
    """

    result: Any = UNSET
    """What its handler returns: a type, or where to import it from; by default nothing is said."""
    handler: Callable[..., Any] | str | None = None
    """What runs it, best by name, ``module:name``: then producers do not import it."""
    max_attempts: int | None = None
    timeout: float | None = None
    retry: Backoff | None = None
    keep_result: bool = False
    executor: Executor = "auto"
    concurrency: int | None = None

    def __post_init__(self) -> None:
        if inspect.isroutine(self.payload) or hasattr(self.payload, "__wrapped__"):
            raise ConfigError(
                f"{self.payload!r} is no payload's type; a handler is said beside that: "
                "JobType(SendEmail, handler='myapp.handlers:send_email')"
            )
        _whole("max_attempts", self.max_attempts)
        _whole("concurrency", self.concurrency)
        _seconds("timeout", self.timeout)
        if self.retry is not None and not isinstance(self.retry, Backoff):
            raise ConfigError(f"retry must be a Backoff, such as Backoff(base=5), not {self.retry}")
        if self.executor not in get_args(Executor):
            known = ", ".join(map(repr, get_args(Executor)))
            raise ConfigError(f"executor must be one of {known}, not {self.executor!r}")

    @property
    def timeout_ms(self) -> int | None:
        return None if self.timeout is None else max(1, round(self.timeout * 1_000))


def check_options(options: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for an option that no job type has."""
    known = TypeOptions.__annotations__
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"those are {', '.join(known)}"
            raise ConfigError(f"a job type has no option {name!r}; {meant}")


def _whole(name: str, value: Any) -> None:
    if value is None or (type(value) is int and 1 <= value <= WHOLE_MAX):
        return
    raise ConfigError(f"{name} must be a whole number from 1 on, not {value!r}")


def _seconds(name: str, value: Any) -> None:
    if value is None or (type(value) in (int, float) and 0 < value <= TIME_MS_MAX / 1_000):
        return
    raise ConfigError(f"{name} must be a number of seconds above 0, not {value!r}")
