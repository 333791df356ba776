"""The prefix of a store: what stands before every key, character for character.

``jobs/`` puts the state at ``jobs/queue.json``, and ``jobs`` puts it at ``jobsqueue.json``, as the
older implementations do with their ``S3_PREFIX``. The path of a URL is a folder: `folder` gives
it the slash at its end. Prefix and key together must be what a key may be.
"""

from __future__ import annotations

from osqueue.errors import ConfigError
from osqueue.storage.keys import KEY_BYTES_MAX, key_fault

__all__ = ["check_prefix", "folder"]


def folder(path: str) -> str:
    """The prefix of everything in the folder ``path``; the whole bucket for an empty one."""
    name = path.strip("/")
    return f"{name}/" if name else ""


def check_prefix(prefix: str) -> None:
    """Raise `ConfigError` for a prefix that no key can follow."""
    if len(prefix.encode(errors="replace")) > KEY_BYTES_MAX:
        raise ConfigError(f"the prefix is longer than {KEY_BYTES_MAX} bytes")
    head, slash, rest = prefix.rpartition("/")
    fault = (key_fault(head) if slash else None) or key_fault(f"{rest}queue.json")
    if fault is not None:
        raise ConfigError(f"the prefix {prefix!r} cannot stand before a key: {fault}")
