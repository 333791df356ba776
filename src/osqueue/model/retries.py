"""How long a job waits after a failed attempt. Pure: the same job and attempt wait the same time,
whoever works it out and however often.
"""

from __future__ import annotations

import math
import zlib
from typing import Final

from osqueue.config import RetryPolicy

__all__ = ["delay_ms"]

_SHARES: Final = 2**32


def delay_ms(policy: RetryPolicy, job_id: str, attempt: int) -> int:
    """The pause after the failed attempt ``attempt``, which counts from 1."""
    if policy.base_ms == 0:
        return 0
    try:
        grown = policy.base_ms * float(policy.factor) ** (attempt - 1)
    except OverflowError:
        grown = math.inf
    return int(min(policy.max_ms, grown) * (1 - policy.jitter * _share(job_id, attempt)))


def _share(job_id: str, attempt: int) -> float:
    """A number from 0 up to 1, different for each job and attempt."""
    return zlib.crc32(b"%b %d" % (job_id.encode(), attempt)) / _SHARES
