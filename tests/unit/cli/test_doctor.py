"""``osqueue doctor``: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from osqueue.cli import app, options, tables
from osqueue.errors import StoreUnavailableError
from osqueue.storage import LocalBackend, MemoryBackend, Store, Version
from osqueue.storage.scratch import CHECKS


class Careless(MemoryBackend):
    async def create(self, key: str, data: bytes) -> Version:
        return self._write(key, data)


class Telling(MemoryBackend):
    dialects = ("quoted", "plain")
    dialect = "plain"

    async def last_modified_ms(self, _key: str) -> int:
        return 0


def rows(text: str) -> dict[str, str]:
    """What stands beside what."""
    lines = [line.partition("  ") for line in text.splitlines()]
    return {name.strip(): value.strip() for name, _, value in lines}


def give(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setattr(options, "open_named_storage", lambda _context, _url: store)


def test_doctor_when_the_store_is_fit_then_a_table_and_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["doctor", "--storage", f"file://{tmp_path}/q"]) == 0
    printed = capsys.readouterr()
    table = rows(printed.out)
    assert table["store"] == f"file://{tmp_path}/q"
    assert [table[check] for check in CHECKS] == ["ok"] * len(CHECKS)
    assert table["put"].endswith(" ms")
    assert table["get"].endswith(" ms")
    assert "no probe can show that" in table["not shown"]
    assert table["fit for a queue"] == "yes"
    assert "clock" not in table
    assert printed.err == ""


def test_doctor_when_the_environment_names_the_store_then_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSQUEUE_STORAGE", f"file://{tmp_path}")
    assert app.run(["doctor"]) == 0
    assert rows(capsys.readouterr().out)["store"] == f"file://{tmp_path}"


def test_doctor_when_the_store_tells_more_then_so_does_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, Telling())
    assert app.run(["doctor"]) == 0
    table = rows(capsys.readouterr().out)
    assert table["spoken to as"] == "plain"
    assert table["clock"].startswith("about ")
    assert table["clock"].endswith(" behind ours")


def test_doctor_when_the_store_is_unfit_then_what_it_did_and_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, Careless())
    assert app.run(["doctor"]) == 1
    printed = capsys.readouterr()
    table = rows(printed.out)
    assert table["creates an object"] == "ok"
    assert table["refuses to create it twice"] == "failed"
    assert table["deletes it"] == "not tried"
    assert table["fit for a queue"] == "no"
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("error: memory:// cannot carry a queue: it let a second create")


def test_doctor_when_asked_for_json_then_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["doctor", "--json", "--storage", "memory://"]) == 0
    fit = json.loads(capsys.readouterr().out)
    assert (fit["storage"], fit["fit"]) == ("memory://", True)
    assert fit["checks"] == dict.fromkeys(CHECKS, "ok")
    assert fit["putMs"] >= 0
    assert "error" not in fit
    give(monkeypatch, Careless())
    assert app.run(["doctor", "--json"]) == 1
    unfit = json.loads(capsys.readouterr().out)
    assert not unfit["fit"]
    assert unfit["error"]["_tag"] == "UnsupportedStoreError"
    assert unfit["checks"]["refuses to create it twice"] == "failed"


def test_doctor_when_the_url_is_none_then_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["doctor", "--storage", "nowhere://x"]) == 2
    assert capsys.readouterr().err.startswith("error: --storage: no kind of store is called")


@pytest.mark.parametrize("variable", ["OSQUEUE_STORAGE", "STORAGE_BACKEND"])
def test_doctor_when_nothing_names_a_store_then_2(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "")
    assert app.run(["doctor"]) == 2
    assert "storage: say where the queue lives" in capsys.readouterr().err.lower()


def test_doctor_when_an_older_variable_names_the_store_then_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", "memory")
    assert app.run(["doctor"]) == 0
    assert rows(capsys.readouterr().out)["store"] == "memory://"


def test_doctor_when_it_prints_then_no_line_ends_in_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["doctor", "--storage", "memory://"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]


def test_doctor_when_there_is_little_room_then_the_url_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "PIPE_COLUMNS", 60)
    url = f"file://{tmp_path}/{'long' * 20}"
    assert app.run(["doctor", "--storage", url]) == 0
    assert url in "".join(capsys.readouterr().out.removeprefix("store").split())


def test_doctor_when_done_then_the_store_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBackend(tmp_path)
    give(monkeypatch, store)
    assert app.run(["doctor"]) == 0
    with pytest.raises(StoreUnavailableError, match="closed"):
        asyncio.run(store.get("queue.json"))
