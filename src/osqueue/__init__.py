"""osqueue: a durable, distributed job queue that needs no database, only a bucket."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
