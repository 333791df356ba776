"""How far something is, where there is no terminal."""

from __future__ import annotations

import re

import pytest

from osqueue.cli import progress as progress_module
from osqueue.cli.progress import Progress


@pytest.fixture(autouse=True)
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "LINE_EVERY_MS", 0)


@pytest.mark.parametrize(
    ("total", "of", "line"),
    [
        (3_000, "jobs", r"at: 2,000 of 3,000 \([\d,]+ jobs/s\)"),
        (None, "seeds", r"at: 2,000 \(.* seeds/s\)"),
    ],
)
def test_progress_when_there_is_no_terminal_then_lines_say_how_far_and_how_fast(
    total: int | None, of: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("at", total, of=of) as progress:
        progress.show(2_000)
    assert re.fullmatch(line + "\n", capsys.readouterr().err)


def test_rate_when_low_then_with_a_decimal() -> None:
    assert progress_module._per_second(1.24, "seeds") == "1.2 seeds/s"
    assert progress_module._per_second(1_240.4, "jobs") == "1,240 jobs/s"
