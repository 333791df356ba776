"""Tokens: what a caller shows, and the list of those that are known.

A token is ``osq_<id>_<secret>``. The id is public and finds the token's line in the list; the
secret is 256 random bits. The list holds the SHA-256 of the token: salt and slow hashes protect
what people have thought up, and there is nothing here that could be guessed.

A list is text, a token a line, with ``#`` before a comment::

    # name   roles             id            hash
    web      produce,observe   3f9c2a71b0de  sha256:5b0c…

Laws: the place of a known token, and whether its id is known, cannot be told from the time that a
comparison takes; what is said of a bad line never repeats anything that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from hmac import compare_digest
from types import MappingProxyType
from typing import Final, NamedTuple

from osqueue.clock import Entropy
from osqueue.errors import ConfigError
from osqueue.wire.roles import Needed, Role

__all__ = ["NewToken", "TokenEntry", "TokenList", "new_token", "parse_entries", "token_line"]

PREFIX: Final = "osq_"
"""So that people, and programs that look for leaked secrets, know one when they see it."""

_TOKEN: Final = re.compile(rb"osq_([0-9a-f]{12})_[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_ID: Final = re.compile(r"[0-9a-f]{12}")
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")
_WORD: Final = re.compile(r"[A-Za-z_-]{1,20}")
_NOBODYS: Final = bytes(32)
_ROLES: Final = ", ".join(Role)


class TokenEntry(NamedTuple):
    """One line of the list."""

    name: str
    """For logs and rate limits. Several tokens may have one, as while one replaces another."""
    roles: frozenset[Role]
    token_id: str
    digest: bytes

    def has(self, role: Needed) -> bool:
        """Whether the token may do what asks for ``role``."""
        if role is None or Role.ADMIN in self.roles:
            return True
        return role in self.roles if isinstance(role, Role) else bool(role & self.roles)


Entries = Mapping[bytes, TokenEntry]
"""By the token's id, as it stands in a token."""


class NewToken(NamedTuple):
    """A token that was just made: it is shown once, and only its line is kept."""

    token: str
    entry: TokenEntry


class TokenList:
    """The tokens that are known now. `replace` it while the broker runs."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._listeners: dict[object, Callable[[], None]] = {}
        self.problem: str | None = None
        """Why the list is not as new as its source."""

    def find(self, token: bytes) -> TokenEntry | None:
        """The entry of a token, if it is a known one."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        entry = self._entries.get(match[1])
        known = _NOBODYS if entry is None else entry.digest
        return entry if compare_digest(sha256(token).digest(), known) else None

    def renewed(self, entry: TokenEntry) -> TokenEntry | None:
        """What the list says of a token now, which was found earlier; ``None`` once revoked."""
        known = self._entries.get(entry.token_id.encode())
        return known if known is not None and known.digest == entry.digest else None

    def replace(self, entries: Entries) -> None:
        """Let these be known, and no others."""
        self._entries = entries
        for listener in list(self._listeners.values()):
            listener()

    @contextmanager
    def told_of_changes(self, listener: Callable[[], None]) -> Iterator[None]:
        """Inside, ``listener`` is called whenever the list has changed."""
        key = object()
        self._listeners[key] = listener
        try:
            yield
        finally:
            del self._listeners[key]


def new_token(name: str, roles: frozenset[Role], entropy: Entropy) -> NewToken:
    """Make a token. Raises `ConfigError` for what is no name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a token: 1 to 64 letters, digits, dots, dashes, underscores "
            "and @, with a letter or digit first"
        )
    token_id = entropy.secret()[:12]
    token = f"{PREFIX}{token_id}_{entropy.secret()}"
    return NewToken(token, TokenEntry(name, roles, token_id, sha256(token.encode()).digest()))


def token_line(entry: TokenEntry) -> str:
    """The entry as it stands in a list."""
    roles = ",".join(role for role in Role if role in entry.roles)
    return f"{entry.name}  {roles}  {entry.token_id}  sha256:{entry.digest.hex()}"


def parse_entries(text: str, origin: str) -> Entries:
    """Read a list. Raises `ConfigError`, which names ``origin`` and the line."""
    entries: dict[bytes, TokenEntry] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        content = line.partition("#")[0].split()
        if not content:
            continue
        try:
            _add(entries, _entry(content))
        except ConfigError as error:
            raise ConfigError(f"{origin}, line {number}: {error.message}") from None
    return MappingProxyType(entries)


def _add(entries: dict[bytes, TokenEntry], entry: TokenEntry) -> None:
    if entry.token_id.encode() in entries:
        raise ConfigError(f"the id {entry.token_id} stands on an earlier line, too")
    entries[entry.token_id.encode()] = entry


def _entry(content: list[str]) -> TokenEntry:
    if any(PREFIX in word for word in content):
        raise ConfigError("this is a token itself; the list takes its line, with the hash")
    if len(content) != 4:
        raise ConfigError(f"a line is name, roles, id and hash, but here are {len(content)} words")
    name, roles, token_id, digest = content
    if not _NAME.fullmatch(name):
        raise ConfigError("the name may have 1 to 64 letters, digits, dots, dashes, _ and @")
    if not _ID.fullmatch(token_id):
        raise ConfigError("the id, which is the third word, must be 12 hexadecimal digits")
    match = _HASH.fullmatch(digest)
    if match is None:
        raise ConfigError("the hash must be `sha256:` and 64 hexadecimal digits")
    return TokenEntry(name, _roles(roles), token_id, bytes.fromhex(match[1]))


def _roles(text: str) -> frozenset[Role]:
    roles = set()
    for word in text.split(","):
        if word not in set(Role):
            shown = f" {word!r}" if _WORD.fullmatch(word) else ""
            raise ConfigError(f"there is no role{shown}; the roles are {_ROLES}, between commas")
        roles.add(Role(word))
    return frozenset(roles)
