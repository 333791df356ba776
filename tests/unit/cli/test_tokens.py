"""`osqueue token`: making tokens, listing and revoking them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from osqueue.cli import app
from osqueue.server.door.tokens import TokenList, parse_entries
from osqueue.wire.roles import Role


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def make(capsys: pytest.CaptureFixture[str], file: Path, name: str, *roles: str) -> str:
    """The token that is printed."""
    arguments = [part for role in roles for part in ("--role", role)]
    assert app.run(["token", "new", "--name", name, "--file", str(file), *arguments]) == 0
    return capsys.readouterr().out.strip()


def known(file: Path) -> TokenList:
    return TokenList(parse_entries(file.read_text(), "file"))


def test_new_when_there_is_no_file_then_one_is_made_that_only_its_owner_reads(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = make(capsys, file, "web", "produce", "observe")
    entry = known(file).find(token.encode())
    assert entry is not None
    assert (entry.name, entry.roles) == ("web", frozenset({Role.PRODUCE, Role.OBSERVE}))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("end", ["", "\n", "\n\n# the end"])
def test_new_when_there_is_a_file_then_the_rest_of_it_stays_as_it_was(
    end: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make(capsys, file, "web", "produce")
    before = f"# mine\n\n{file.read_text().strip()}  # the web server{end}"
    file.write_text(before)
    file.chmod(0o640)
    second = make(capsys, file, "worker-1", "work")
    assert file.read_text().startswith(before)
    assert [known(file).find(each.encode()) is not None for each in (first, second)] == [True, True]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_new_when_the_file_is_a_link_then_what_it_leads_to_is_changed(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    token = make(capsys, link, "web", "produce")
    assert link.is_symlink()
    assert known(file).find(token.encode()) is not None


def test_new_when_no_file_is_given_then_token_and_line_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["token", "new", "--name", "web", "--role", "admin"]) == 0
    token, line = capsys.readouterr().out.splitlines()
    entry = TokenList(parse_entries(line, "line")).find(token.encode())
    assert entry is not None
    assert entry.roles == {Role.ADMIN}


def test_new_when_asked_for_json_then_all_in_one_object(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--name", "web", "--role", "work", "--file", str(file), "--json"]
    assert app.run(["token", "new", *arguments]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert known(file).find(shown["token"].encode()) is not None
    assert (shown["name"], shown["roles"]) == ("web", ["work"])
    assert shown["line"] in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "a b", "--role", "work"], "--name: 'a b' is no name for a token"),
        (["--name", "", "--role", "work"], "--name: '' is no name for a token"),
        (["--name", "a#b", "--role", "work"], "--name: 'a#b' is no name for a token"),
        (["--name", "a", "--role", "boss"], "--role: 'boss' is not one of"),
        (["--name", "a"], "--role"),
    ],
)
def test_new_when_name_or_role_make_no_sense_then_named_and_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["token", "new", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_new_when_the_file_is_broken_then_it_is_not_touched_and_no_token_is_printed(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("web produce\n")
    assert app.run(["token", "new", "--name", "a", "--role", "work", "--file", str(file)]) == 1
    shown = capsys.readouterr()
    assert (shown.out, file.read_text()) == ("", "web produce\n")
    assert f"{file}, line 1" in shown.err


def test_new_when_the_folder_is_missing_then_said_and_no_token_is_printed(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(file / "tokens")
    assert app.run(["token", "new", "--name", "a", "--role", "work", "--file", path]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "cannot be written" in shown.err


def test_ls_when_there_are_tokens_then_ids_names_and_roles_but_no_hashes(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = make(capsys, file, "web", "produce", "observe")
    assert app.run(["token", "ls", "--file", str(file)]) == 0
    shown = capsys.readouterr().out
    assert shown.split() == [token[4:16], "web", "observe,produce"]


def test_ls_when_asked_for_json_then_an_object_a_line(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make(capsys, file, "web", "work")
    monkeypatch.setenv("OSQUEUE_TOKENS_FILE", str(file))
    assert app.run(["token", "ls", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"id": token[4:16], "name": "web", "roles": ["work"]}


def test_ls_when_the_file_is_missing_then_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["token", "ls", "--file", str(file)]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_ls_when_the_file_is_no_text_then_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(b"\xff")
    assert app.run(["token", "ls", "--file", str(file)]) == 1
    assert "no text in UTF-8" in capsys.readouterr().err


def test_revoke_when_given_a_name_then_all_of_that_name_and_no_others(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [make(capsys, file, "web", "produce") for _ in range(2)]
    kept = make(capsys, file, "web-2", "produce")
    assert app.run(["token", "revoke", "web", "--file", str(file)]) == 0
    assert "; 1 left" in capsys.readouterr().out
    assert [known(file).find(each.encode()) for each in gone] == [None, None]
    assert known(file).find(kept.encode()) is not None


def test_revoke_when_given_an_id_then_that_one(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, kept = (make(capsys, file, "web", "produce") for _ in range(2))
    assert app.run(["token", "revoke", gone[4:16], "--file", str(file)]) == 0
    assert known(file).find(gone.encode()) is None
    assert known(file).find(kept.encode()) is not None


def test_revoke_when_nobody_has_it_then_1_and_nothing_is_written(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(capsys, file, "web", "produce")
    before = file.read_bytes()
    assert app.run(["token", "revoke", "nobody", "--file", str(file)]) == 1
    assert "no token of the name or id nobody" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_token_when_nothing_is_asked_then_shows_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["token"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("new", "ls", "revoke"))
