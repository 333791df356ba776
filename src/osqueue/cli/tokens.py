"""What ``osqueue token`` does to the list of tokens.

Laws: a list that a broker could not read is not written to; it is replaced as a whole, so that no
broker reads half of one; what is in it and is not a token's line stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.output import say, say_json
from osqueue.clock import SystemEntropy
from osqueue.errors import ConfigError
from osqueue.server.door.tokens import Entries, TokenEntry, new_token, parse_entries, token_line
from osqueue.wire.roles import Role

__all__ = ["ls", "new", "revoke"]

HEAD = "# name  roles  id  hash: see `osqueue token --help`\n"


def new(name: str, roles: Sequence[Role], file: Path | None, *, json_output: bool) -> None:
    """Make a token, print it, and add its line to the list, if one is given."""
    try:
        token, entry = new_token(name, frozenset(roles), SystemEntropy())
    except ConfigError as error:
        raise CliError(f"--name: {error.message}", code=USAGE) from error
    line = token_line(entry)
    if file is not None:
        _append(file, line)
    if json_output:
        say_json({"token": token, "line": line, **_fields(entry)})
        return
    say(token)
    if file is None:
        sys.stderr.write("its line for the list of tokens (--tokens-file, OSQUEUE_TOKENS):\n")
        say(line)
    else:
        sys.stderr.write(f"added to {file}; the token itself is stored nowhere: keep it\n")


def ls(file: Path, *, json_output: bool) -> None:
    """Print a line for each token of the list."""
    for entry in _entries(file, _read(file)).values():
        if json_output:
            say_json(_fields(entry))
        else:
            say(f"{entry.token_id}  {entry.name:<20}  {','.join(_roles(entry))}")


def revoke(which: str, file: Path) -> None:
    """Take the tokens of a name, or the one of an id, from the list."""
    text = _read(file)
    entries = _entries(file, text).values()
    gone = {each.token_id for each in entries if which in {each.name, each.token_id}}
    if not gone:
        raise CliError(f"{file} has no token of the name or id {which}")
    kept = [line for line in text.splitlines(keepends=True) if _id_in(line) not in gone]
    _replace(file, "".join(kept))
    say(f"revoked {', '.join(sorted(gone))}; {len(entries) - len(gone)} left")


def _append(file: Path, line: str) -> None:
    text = _read(file) if file.exists() else HEAD
    _entries(file, text)
    _replace(file, f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CliError(f"{file} is no text in UTF-8: {error.reason}") from error


def _entries(file: Path, text: str) -> Entries:
    try:
        return parse_entries(text, str(file))
    except ConfigError as error:
        raise CliError(error.message) from error


def _id_in(line: str) -> str | None:
    words = line.partition("#")[0].split()
    return words[2] if len(words) == 4 else None


def _replace(file: Path, text: str) -> None:
    """Put a new file in the place of the old one, for the same readers; a first one for none."""
    place = file.resolve()
    try:
        descriptor, name = mkstemp(dir=place.parent, prefix=f".{place.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as made:
                if place.exists():
                    _give_as(place, descriptor)
                made.write(text)
                made.flush()
                os.fsync(descriptor)
            Path(name).replace(place)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error.strerror}") from error


def _give_as(place: Path, fileno: int) -> None:
    """The mode and owner of a file to another one."""
    status = place.stat()
    with suppress(PermissionError):
        os.fchown(fileno, status.st_uid, status.st_gid)
    os.fchmod(fileno, status.st_mode & 0o777)


def _fields(entry: TokenEntry) -> dict[str, object]:
    return {"id": entry.token_id, "name": entry.name, "roles": _roles(entry)}


def _roles(entry: TokenEntry) -> list[str]:
    return [str(role) for role in Role if role in entry.roles]
