"""Keeping the memory of large buffers, in a process that is a broker and nothing else.

Each commit encodes the whole state into one new buffer. glibc gives a buffer of that size back to
the system as soon as it is freed, and the next one is paid for page by page: for 33 MB that is
16 ms, against 4 ms for filling it. Told to keep them, it uses the same pages again.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_large_buffers"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's names for these options."""

MMAP_THRESHOLD_BYTES = 1 << 30
TRIM_THRESHOLD_BYTES = (1 << 31) - 1


def keep_large_buffers() -> bool:
    """Tell the C library to keep freed buffers. Whether it could be told: glibc only."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    told = mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
    return bool(told and mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES))
