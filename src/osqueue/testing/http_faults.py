"""The faults of an HTTP endpoint, and where they come from: a script, or a seed.

The vocabulary of `osqueue.testing.fault_proxy`: a source answers, for each request, the `HttpStep`
that tells what becomes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from osqueue.testing.draws import Draws

__all__ = [
    "Exchange",
    "HttpFault",
    "HttpFaultSource",
    "HttpRequest",
    "HttpScript",
    "HttpStep",
    "RandomHttpFaults",
]


class HttpFault(StrEnum):
    """What becomes of a request."""

    NONE = "none"
    LOST_REQUEST = "lost-request"
    """Not forwarded; the connection is closed instead of an answer."""
    LOST_REPLY = "lost-reply"
    """Forwarded and answered upstream; then the connection is closed instead of an answer."""
    LATE_WRITE = "late-write"
    """Held without an answer; forwarded after ``delay_s``, or when told, whatever the client does.

    Its answer goes nowhere: a client that still waits then sees the connection closed.
    """
    REFUSED = "refused"
    """Not forwarded; answered with ``status``."""
    FALSE_STATUS = "false-status"
    """Forwarded and answered upstream; then answered with ``status`` instead."""
    TRUNCATED = "truncated"
    """Forwarded; half of the answer's body (without one: of its head), then the end."""
    SLOW = "slow"
    """Forwarded; answered after ``delay_s``."""
    HANGING = "hanging"
    """Forwarded and answered upstream; no answer, until the client leaves."""
    RESET = "reset"
    """Not forwarded; the connection is reset."""
    RESET_REPLY = "reset-reply"
    """Forwarded and answered upstream; then the connection is reset instead of an answer."""


class HttpRequest(msgspec.Struct, frozen=True):
    """The head of a request. ``target`` is as it was sent, with escapes and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By lower-case name; of a repeated one the last."""


class HttpStep(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one request, or of ``times`` requests that are meant."""

    fault: HttpFault = HttpFault.NONE
    method: str = ""
    """Of which method; empty: of any."""
    path: str = ""
    """Whose target contains this."""
    when: Callable[[HttpRequest], bool] | None = None
    """Which one, if method and path don't tell."""
    times: int | None = 1
    """How many requests in a row it stands for; ``None``: for all that follow."""
    status: int = 503
    """Answered by a refusal or a false status."""
    delay_s: float | None = None
    """Seconds until a late write is forwarded (``None``: when told) or a slow answer comes."""
    hang_up: bool = False
    """Close the connection of a late write at once, rather than let the client wait."""

    def __post_init__(self) -> None:
        if (self.fault is HttpFault.SLOW and not self.delay_s) or (self.delay_s or 0) < 0:
            raise ValueError("a slow answer needs a delay_s above 0, and none goes below")
        if not 200 <= self.status <= 599:
            raise ValueError("the status of an answer is from 200 to 599")

    def means(self, request: HttpRequest) -> bool:
        """Whether it speaks of this request."""
        return (
            self.method in {"", request.method}
            and self.path in request.target
            and (self.when is None or self.when(request))
        )


class Exchange(msgspec.Struct, frozen=True):
    """One request that ended, or one late write that reached the upstream."""

    method: str
    target: str
    fault: HttpFault = HttpFault.NONE
    upstream: int | None = None
    """What the upstream answered; ``None``: it was not asked or did not answer."""
    answered: int | None = None
    """What the client was answered, whole or in part; ``None``: nothing."""
    late: bool = False
    """Whether this is a late write's landing; the request itself has an entry of its own."""
    error: str = ""
    """What went wrong without being asked for: a side that left, or spoke no HTTP."""


class HttpFaultSource(Protocol):
    """Tells the faults. One that answers ``HttpStep()`` lets the request pass."""

    def step(self, request: HttpRequest) -> HttpStep:
        """What becomes of this request. Asked once for each, in the order of their arrival."""
        ...


class HttpScript:
    """Steps, read from top to bottom.

    The first waits for a request that it means. What the script leaves out, and everything once it
    has ended, is up to ``otherwise``; without that it passes.
    """

    def __init__(
        self, steps: Iterable[HttpStep] = (), *, otherwise: HttpFaultSource | None = None
    ) -> None:
        self._steps = deque(steps)
        self._otherwise = otherwise
        self._used = 0

    @property
    def unused(self) -> tuple[HttpStep, ...]:
        """The steps that still wait for a request, or for more of them."""
        return tuple(self._steps)

    def then(self, *steps: HttpStep) -> None:
        """Add to the end."""
        self._steps.extend(steps)

    def step(self, request: HttpRequest) -> HttpStep:
        if self._steps and self._steps[0].means(request):
            return self._use(self._steps[0])
        return HttpStep() if self._otherwise is None else self._otherwise.step(request)

    def _use(self, step: HttpStep) -> HttpStep:
        self._used += 1
        if self._used == step.times:
            self._steps.popleft()
            self._used = 0
        return step


class RandomHttpFaults:
    """Faults drawn from a seed: the same seed and order of requests give the same faults.

    ``rates`` names the chance of each fault, from 0 to 1. Drawn for are only the requests that
    ``like`` means; its status, delay and hanging up are those of the faults, too. Requests that
    arrive side by side have no order to rely on; what stays is how many faults there are.
    """

    def __init__(
        self, seed: int, rates: Mapping[HttpFault, float], *, like: HttpStep | None = None
    ) -> None:
        self._draws = Draws(seed, rates)
        self._like = HttpStep() if like is None else like
        for fault in rates:
            msgspec.structs.replace(self._like, fault=fault)

    def step(self, request: HttpRequest) -> HttpStep:
        fault = self._draws.fault() if self._like.means(request) else None
        return HttpStep() if fault is None else msgspec.structs.replace(self._like, fault=fault)
