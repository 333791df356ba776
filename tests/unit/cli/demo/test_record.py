"""Beginning a run, and carrying one on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from osqueue.cli.demo import record as record_module
from osqueue.cli.demo.place import Place
from osqueue.cli.demo.record import begin_run, end_run
from osqueue.cli.failures import CliError


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.prepare()
    return place


def test_run_when_there_was_none_then_new_with_a_job_for_each_file(place: Place) -> None:
    record, continued = begin_run(place, 10)
    assert not continued
    assert len(record.files) == 10
    assert sorted(record.paths().values()) == sorted(record.files)


def test_run_when_interrupted_then_the_same_is_carried_on_with_its_data(place: Place) -> None:
    first, _ = begin_run(place, 10)
    (place.results / "r.json").write_text("{}")
    assert begin_run(place, None) == (first, True)
    assert (place.results / "r.json").exists()


def test_run_when_the_last_ended_then_a_new_one_without_its_data(place: Place) -> None:
    first, _ = begin_run(place, 10)
    (place.results / "r.json").write_text("{}")
    end_run(place, first)
    second, continued = begin_run(place, 10)
    assert not continued
    assert first.run_id != second.run_id
    assert set(first.paths()).isdisjoint(second.paths())
    assert list(place.results.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"runId": 3}'])
def test_run_when_its_record_is_damaged_then_a_new_one(content: bytes, place: Place) -> None:
    place.record.write_bytes(content)
    assert not begin_run(place, 10)[1]


def test_run_when_begun_by_another_python_then_a_new_one(place: Place) -> None:
    first, _ = begin_run(place, 10)
    other = msgspec.structs.replace(first, python="2.7.18")
    place.record.write_bytes(msgspec.json.encode(other))
    second, continued = begin_run(place, 10)
    assert not continued
    assert second.python != "2.7.18"


def test_run_when_there_are_no_sources_then_said(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "standard_library", lambda: tmp_path)
    with pytest.raises(CliError, match="there are no Python sources in"):
        begin_run(place, None)
