"""How often each caller may ask: a bucket of tokens for each, filled at a steady rate.

Laws: a caller who has been quiet may ask ``burst`` times at once, and no more than the rate in the
long run; a full bucket is the same as none, so that only callers of late take memory; and of those
there is a limit, too: beyond it the one who has been quiet longest begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

from osqueue.config import RATE_BUCKETS_MAX
from osqueue.errors import OverloadedError

__all__ = ["RateLimiter", "rate_key"]

_IPV6_PREFIX_BITS: Final = 64
"""What one customer of a provider has to himself."""


class RateLimiter:
    """Lets each caller ask ``per_s`` times a second, and ``burst`` times at once."""

    def __init__(self, *, per_s: float, burst: int, mono_ms: Callable[[], int]) -> None:
        self._per_ms = per_s / 1_000
        self._burst = float(burst or max(1, ceil(per_s)))
        self._mono_ms = mono_ms
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """What is left for each, and as of when; the quietest first."""

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, caller: str) -> None:
        """Count one request. Raises `OverloadedError`, which says when to come again."""
        now = self._mono_ms()
        left, since = self._buckets.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_ms)
        allowed = left >= 1
        self._buckets[caller] = (left - 1 if allowed else left, now)
        self._drop_quiet(now)
        if not allowed:
            raise _too_often(caller, (1 - left) / self._per_ms)

    def _drop_quiet(self, now: int) -> None:
        """Forget one who has a full bucket again, and those beyond the limit."""
        caller, (left, since) = next(iter(self._buckets.items()))
        full = left + (now - since) * self._per_ms >= self._burst
        if full or len(self._buckets) > RATE_BUCKETS_MAX:
            del self._buckets[caller]


def rate_key(host: str | None) -> str:
    """Under what a host without a token is counted: in IPv6 the network that it is in."""
    if host is None or ":" not in host:
        return host or ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    assert isinstance(address, IPv6Address), "it has colons"
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _IPV6_PREFIX_BITS << _IPV6_PREFIX_BITS)}/64"


def _too_often(caller: str, wait_ms: float) -> OverloadedError:
    error = OverloadedError(
        f"{caller or 'this caller'} asks more often than this broker allows; "
        f"come again in {ceil(wait_ms)} ms"
    )
    error.retry_after_s = max(1, ceil(wait_ms / 1_000))
    return error
