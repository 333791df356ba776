"""What a job type may be called."""

from __future__ import annotations

from typing import Any

from osqueue.config import NAME_CHARS_MAX
from osqueue.errors import ConfigError

__all__ = ["check_job_type"]


def check_job_type(name: Any) -> str:
    """The name, if a broker would take it. Raises `ConfigError`."""
    if not isinstance(name, str):
        raise ConfigError(
            f"a job type is named by a string such as 'email:send', not by {type(name).__name__}: "
            "write @jobs.job('email:send')"
        )
    if not name:
        raise ConfigError("a job type needs a name: jobs without one cannot be asked for")
    if len(name) > NAME_CHARS_MAX:
        raise ConfigError(
            f"the name of a job type has at most {NAME_CHARS_MAX} characters, and "
            f"{name[:40]!r}… has {len(name)}"
        )
    if not name.isprintable():
        raise ConfigError(f"the name of a job type is printable text, not {name!r}")
    return name
