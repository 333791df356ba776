"""The demo's directory."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from osqueue.cli.demo import place as place_module
from osqueue.cli.demo.place import KeptBroker, Place
from osqueue.cli.failures import CliError


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "demo")


@pytest.fixture
def said() -> list[str]:
    return []


async def test_place_when_taken_then_made(place: Place, said: list[str]) -> None:
    async with place.taken(said.append):
        assert place.root.is_dir()
    assert said == []


async def test_place_when_taken_already_then_waited_for_and_refused(
    place: Place, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place_module, "LOCK_WAIT_MS", 50)
    monkeypatch.setattr(place_module, "SAY_AFTER_MS", -1)
    monkeypatch.setattr(place_module, "LOCK_LOOK_S", 0.01)
    async with place.taken(said.append):
        with pytest.raises(CliError, match="another demo is at work in"):
            async with Place(place.root).taken(said.append):
                raise AssertionError("both have it")
    assert said == ["Waiting for the processes of another run to end..."]
    async with Place(place.root).taken(said.append):
        assert len(said) == 1


async def test_place_when_a_kept_broker_uses_it_then_said_how_to_stop_it(
    place: Place, said: list[str]
) -> None:
    async with place.taken(said.append):
        place.kept.write_bytes(msgspec.json.encode(KeptBroker(4711, "http://h:1")))
        with pytest.raises(CliError, match="stop it with: kill 4711"):
            async with Place(place.root).taken(said.append):
                raise AssertionError("both have it")
    async with place.taken(said.append):
        assert not place.kept.exists()


async def test_place_when_its_path_is_not_a_url_then_its_storage_is(tmp_path: Path) -> None:
    assert Place(tmp_path / "a b#c").storage == f"file://{tmp_path}/a%20b%23c/queue"


async def test_place_when_it_holds_other_things_then_refused(place: Place, said: list[str]) -> None:
    place.root.mkdir()
    (place.root / "thesis.tex").write_text("")
    with pytest.raises(CliError, match="holds other things: choose another with --data"):
        async with place.taken(said.append):
            raise AssertionError("it was taken")
    assert [path.name for path in place.root.iterdir()] == ["thesis.tex"]


async def test_place_when_it_is_a_file_then_refused(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CliError, match=r"cannot use .*file: "):
        async with Place(tmp_path / "file").taken(said.append):
            raise AssertionError("it was taken")


async def test_place_when_cleared_then_only_what_a_run_left_is_gone(
    place: Place, said: list[str]
) -> None:
    async with place.taken(said.append):
        place.prepare()
        place.record.write_text("{}")
        (place.results / "r.json").write_text("{}")
        (place.root / "notes.txt").write_text("mine")
        place.clear()
        assert {path.name for path in place.root.iterdir()} == {"demo.lock", "notes.txt"}
