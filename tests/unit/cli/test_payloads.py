"""What a producer submits."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from osqueue.cli import payloads
from osqueue.cli.failures import CliError
from osqueue.cli.payloads import Counted, Lines


async def test_counted_when_taken_then_numbers_until_the_count() -> None:
    counted = Counted(3, None)
    assert counted.total == 3
    assert await counted.take(2) == [{"n": 1}, {"n": 2}]
    assert await counted.take(2) == [{"n": 3}]
    assert await counted.take(2) == []


async def test_counted_when_a_payload_is_given_then_that_each_time() -> None:
    raw = msgspec.Raw(b"{}")
    assert await Counted(2, raw).take(5) == [raw, raw]


async def test_counted_when_the_count_is_0_then_without_end() -> None:
    endless = Counted(0, None)
    assert endless.total is None
    assert len(await endless.take(1_000)) == 1_000
    assert await endless.take(1) == [{"n": 1_001}]


async def test_lines_when_read_then_one_payload_each_without_the_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_bytes('{"a": 1}\n\n [2] \r\n"ü"'.encode())
    taken = await take_all(Lines(str(path)))
    assert text(taken) == [b'{"a": 1}', b"[2]", '"ü"'.encode()]


async def test_lines_when_they_come_slowly_then_not_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(payloads, "_open", lambda _path: reading)
    lines = Lines("-")
    os.write(writing, b"1\n2")
    async with asyncio.timeout(5):
        assert text(await lines.take(10)) == [b"1"]
        os.write(writing, b"0\n")
        assert text(await lines.take(10)) == [b"20"]
        os.close(writing)
        assert await lines.take(10) == []
    os.close(reading)


async def test_lines_when_many_then_read_no_further_ahead_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "LINES_AHEAD", 5)
    path = tmp_path / "jobs.jsonl"
    path.write_text("1\n" * 100)
    lines = Lines(str(path))
    async with asyncio.timeout(5):
        while lines._lines.qsize() < 5:  # noqa: ASYNC110 - a thread reads
            await asyncio.sleep(0)
        assert len(await lines.take(100)) <= 10
        assert len(await take_all(lines)) >= 90


@pytest.mark.parametrize("line", ["{bad", "nan", "[" * 100_000])
async def test_lines_when_one_is_not_json_then_its_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text(f"1\n\n{line}\n4\n")
    lines = Lines(str(path))
    with pytest.raises(CliError, match=f"line 3 of {path} is not JSON: "):
        await take_all(lines)


async def test_lines_when_there_is_no_file_then_said(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"cannot read .*none: No such file"):
        Lines(str(tmp_path / "none"))


async def take_all(lines: Lines) -> list[object]:
    taken: list[object] = []
    async with asyncio.timeout(5):
        while more := await lines.take(10):
            taken += more
    return taken


def text(taken: list[object]) -> list[bytes]:
    return [bytes(line) for line in taken if isinstance(line, msgspec.Raw)]
