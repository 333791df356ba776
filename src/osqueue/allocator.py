"""How memory is looked after in a process that is a broker and nothing else.

Large buffers are kept. Each commit encodes the whole state into one new buffer. glibc gives one of
that size back to the system as soon as it is freed, and the next is paid for page by page: for
33 MB that is 16 ms, against 4 ms for filling it. Told to keep them, it uses the same pages again.

Garbage is looked for seldom: nearly all of a request goes by itself once it is answered. Python
looks through what is new after every 700 containers, which three batches of jobs have, and so again
and again through all that waits for a commit: that took a tenth of the broker's time.
"""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["collect_seldom", "keep_large_buffers"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's names for these options."""

MMAP_THRESHOLD_BYTES = 1 << 30
TRIM_THRESHOLD_BYTES = (1 << 31) - 1

NEW_CONTAINERS = 10_000
"""After so many garbage is looked for: that takes about 5 ms, no longer than a commit."""


def keep_large_buffers() -> bool:
    """Tell the C library to keep freed buffers. Whether it could be told: glibc only."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    told = mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
    return bool(told and mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES))


def collect_seldom() -> None:
    """Look for garbage only when much is new."""
    gc.set_threshold(NEW_CONTAINERS)
