"""Where the known tokens come from: a file, the environment, or both; kept up to date.

Laws: at the start, a list that cannot be read stops the broker; later it changes nothing, and that
is said loudly until it is put right.
"""

from __future__ import annotations

import logging
import stat
from types import MappingProxyType
from typing import Final

from osqueue.config import TOKENS_BYTES_MAX, AccessSettings
from osqueue.errors import ConfigError
from osqueue.server.door.files import FileWatch, Look, Looks, look_at
from osqueue.server.door.tokens import Entries, TokenEntry, TokenList, parse_entries

__all__ = ["TokenSource"]

logger = logging.getLogger("osqueue.server")

ENVIRONMENT: Final = "OSQUEUE_TOKENS"

SHOWN_MAX: Final = 20
"""Most changes of a list that are logged one by one."""


class TokenSource:
    """Has the tokens that the settings name. Raises `ConfigError`, which names file and line."""

    def __init__(self, settings: AccessSettings) -> None:
        self._fixed = parse_entries((settings.tokens or "").replace(";", "\n"), ENVIRONMENT)
        paths = [] if settings.tokens_file is None else [settings.tokens_file]
        looks = look_at(paths, bytes_max=TOKENS_BYTES_MAX)
        self._name = settings.tokens_file or ENVIRONMENT
        self._entries = self._read(looks)
        self.tokens = TokenList(self._entries)
        self.watch = FileWatch(
            looks, self._take, every_ms=settings.reload_ms, bytes_max=TOKENS_BYTES_MAX
        )
        """Keeps `tokens` up to date, once it is started."""
        if not self._entries:
            logger.warning("%s names no token, so nobody is let in", self._name)

    def _take(self, looks: Looks) -> None:
        try:
            entries = self._read(looks)
        except ConfigError as error:
            logger.error("%s; the tokens read before still hold", error.message)  # noqa: TRY400 - all is said
            self.tokens.problem = "the list of tokens cannot be read; those read before still hold"
            return
        log = logger.info if entries else logger.warning
        log("%s: %s", self._name, _changes(self._entries, entries))
        self._entries = entries
        self.tokens.replace(entries)
        self.tokens.problem = None

    def _read(self, looks: Looks) -> Entries:
        entries = dict(self._fixed)
        for look in looks:
            for token_id, entry in _entries_of(look).items():
                if token_id in entries:
                    message = f"{look.path}: the token {entry.token_id} is in {ENVIRONMENT}, too"
                    raise ConfigError(message)
                entries[token_id] = entry
            _warn_of_mode(look)
        return MappingProxyType(entries)


def _entries_of(look: Look) -> Entries:
    if look.failure is not None:
        raise ConfigError(f"{look.path} {look.failure}")
    try:
        text = look.data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{look.path} is no text in UTF-8: {error.reason}") from None
    return parse_entries(text, look.path)


def _warn_of_mode(look: Look) -> None:
    if look.mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = "others can write to %s and so let themselves in; chmod 600 %s"
        logger.warning(message, look.path, look.path)
    elif look.mode & stat.S_IROTH:
        message = "everybody on this host can read %s; chmod 600 %s"
        logger.warning(message, look.path, look.path)


def _changes(before: Entries, after: Entries) -> str:
    """What is new, gone and other, by names and ids: ``2 tokens (+web 3f9c2a71b0de)``."""
    gone = [f"-{_shown(before[key])}" for key in before if key not in after]
    new = [f"+{_shown(after[key])}" for key in after if key not in before]
    kept = [key for key in after if key in before]
    other = [f"~{_shown(after[key])}" for key in kept if after[key] != before[key]]
    changed = [*gone, *other, *new][:SHOWN_MAX]
    return f"{len(after)} tokens" + (f" ({', '.join(changed)})" if changed else "")


def _shown(entry: TokenEntry) -> str:
    return f"{entry.name} {entry.token_id}"
