"""The list of tokens, from its file and the environment, while the file changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osqueue.clock import SeededEntropy
from osqueue.config import AccessSettings
from osqueue.errors import ConfigError
from osqueue.server.door import files, token_source
from osqueue.server.door.token_source import TokenSource
from osqueue.server.door.tokens import NewToken, new_token, token_line
from osqueue.wire.roles import Role

ENTROPY = SeededEntropy(3)


def made(name: str = "web") -> NewToken:
    return new_token(name, frozenset({Role.WORK}), ENTROPY)


class Place:
    """A file, and what is made of it."""

    def __init__(self, path: Path, *tokens: NewToken) -> None:
        self.path = path
        self.write(*tokens)
        path.chmod(0o600)
        self.source = TokenSource(AccessSettings(tokens_file=str(path)))

    def write(self, *tokens: NewToken) -> None:
        self.path.write_text("".join(f"{token_line(each.entry)}\n" for each in tokens))

    async def settle(self) -> None:
        await self.source.watch.look()
        await self.source.watch.look()

    def knows(self, *tokens: NewToken) -> list[bool]:
        return [self.source.tokens.find(each.token.encode()) is not None for each in tokens]

    @property
    def problem(self) -> str | None:
        return self.source.tokens.problem


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Place]:
    return lambda *tokens: Place(tmp_path / "tokens", *tokens)


async def test_file_when_a_line_is_added_then_known_and_when_removed_revoked(
    place: Callable[..., Place], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = made("one"), made("other")
    there = place(one)
    assert there.knows(one, other) == [True, False]
    there.write(one, other)
    await there.settle()
    assert there.knows(one, other) == [True, True]
    with caplog.at_level(logging.INFO, "osqueue.server"):
        there.write(other)
        await there.settle()
    assert there.knows(one, other) == [False, True]
    assert f"1 tokens (-one {one.entry.token_id})" in caplog.text


async def test_file_when_replaced_as_a_whole_then_taken_over(
    place: Callable[..., Place], tmp_path: Path
) -> None:
    one, other = made(), made()
    there = place(one)
    new = tmp_path / "new"
    new.write_text(token_line(other.entry))
    new.replace(there.path)
    await there.settle()
    assert there.knows(one, other) == [False, True]


async def test_file_when_just_changed_then_not_taken_until_seen_twice(
    place: Callable[..., Place],
) -> None:
    one, other = made(), made()
    there = place(one, other)
    there.path.write_text("")
    await there.source.watch.look()
    there.write(one)
    await there.source.watch.look()
    assert there.knows(one, other) == [True, True]
    await there.source.watch.look()
    assert there.knows(one, other) == [True, False]


async def break_by_nonsense(path: Path) -> None:
    path.write_text("web work\n")


async def break_by_deleting(path: Path) -> None:
    path.unlink()


async def break_by_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


async def break_by_size(path: Path) -> None:
    path.write_bytes(b"#" * 2**21)


async def break_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BREAKS: dict[str, tuple[Any, str]] = {
    "nonsense": (break_by_nonsense, "line 1: a line is name, roles, id and hash"),
    "deleted": (break_by_deleting, "cannot be read: No such file"),
    "no text": (break_by_bytes, "is no text in UTF-8"),
    "too large": (break_by_size, "is larger than 1048576 bytes"),
    "a folder": (break_by_a_folder, "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("how", BREAKS)
async def test_file_when_broken_then_the_old_tokens_hold_and_it_is_said_until_put_right(
    how: str, place: Callable[..., Place], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = made(), made()
    there = place(one)
    break_it, message = BREAKS[how]
    await break_it(there.path)
    with caplog.at_level(logging.ERROR, "osqueue.server"):
        await there.settle()
        await there.settle()
    assert there.knows(one) == [True]
    assert there.problem is not None
    assert str(there.path) not in there.problem
    assert [message in each.message for each in caplog.records] == [True]
    if there.path.is_dir():
        there.path.rmdir()
    there.write(other)
    await there.settle()
    assert there.knows(one, other) == [False, True]
    assert not there.problem


@pytest.mark.parametrize("how", BREAKS)
async def test_file_when_broken_at_the_start_then_refused(how: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("")
    break_it, message = BREAKS[how]
    await break_it(path)
    with pytest.raises(ConfigError, match=message) as caught:
        TokenSource(AccessSettings(tokens_file=str(path)))
    assert str(path) in caught.value.message


async def test_file_when_the_last_line_goes_then_nobody_is_let_in_and_it_is_said(
    place: Callable[..., Place], caplog: pytest.LogCaptureFixture
) -> None:
    one = made()
    there = place(one)
    there.write()
    with caplog.at_level(logging.WARNING, "osqueue.server"):
        await there.settle()
    assert there.knows(one) == [False]
    assert "0 tokens" in caplog.text


def test_file_when_it_names_nobody_at_the_start_then_warned(
    place: Callable[..., Place], caplog: pytest.LogCaptureFixture
) -> None:
    place()
    assert "names no token, so nobody is let in" in caplog.text


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (0o600, ""),
        (0o640, ""),
        (0o644, "everybody on this host can read"),
        (0o660, "others can write to"),
        (0o602, "others can write to"),
    ],
)
def test_file_when_others_may_use_it_then_warned(
    mode: int, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens"
    path.write_text(token_line(made().entry))
    path.chmod(mode)
    TokenSource(AccessSettings(tokens_file=str(path)))
    assert len(caplog.records) == (1 if message else 0)
    assert message in caplog.text


@pytest.mark.parametrize("between", ["\n", ";", " ; "])
def test_environment_when_it_has_lines_then_their_tokens_are_known(between: str) -> None:
    one, other = made(), made()
    lines = between.join(token_line(each.entry) for each in (one, other))
    found = TokenSource(AccessSettings(tokens=lines)).tokens
    assert all(found.find(each.token.encode()) for each in (one, other))


def test_environment_when_a_line_is_bad_then_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="OSQUEUE_TOKENS, line 1: "):
        TokenSource(AccessSettings(tokens="web"))


async def test_environment_when_there_is_a_file_too_then_both_are_known(tmp_path: Path) -> None:
    one, other = made(), made()
    path = tmp_path / "tokens"
    path.write_text(token_line(one.entry))
    settings = AccessSettings(tokens_file=str(path), tokens=token_line(other.entry))
    source = TokenSource(settings)
    assert all(source.tokens.find(each.token.encode()) for each in (one, other))
    path.write_text("")
    await source.watch.look()
    await source.watch.look()
    assert source.tokens.find(one.token.encode()) is None
    assert source.tokens.find(other.token.encode()) is not None


def test_environment_when_the_file_has_the_same_token_then_refused(tmp_path: Path) -> None:
    line = token_line(made().entry)
    (tmp_path / "tokens").write_text(line)
    with pytest.raises(ConfigError, match="is in OSQUEUE_TOKENS, too"):
        TokenSource(AccessSettings(tokens_file=str(tmp_path / "tokens"), tokens=line))


def test_modules_when_named_then_they_log_as_the_server() -> None:
    assert files.logger is token_source.logger
