from __future__ import annotations

import pytest

from osqueue.cli.durations import milliseconds
from osqueue.cli.failures import USAGE, CliError


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("250ms", 250),
        ("90s", 90_000),
        ("1.5m", 90_000),
        ("2min", 120_000),
        ("2h", 7_200_000),
        (" 7d ", 604_800_000),
        ("1w", 604_800_000),
    ],
)
def test_duration_when_written_with_its_unit_then_that_many_ms(text: str, ms: int) -> None:
    assert milliseconds(text, "--since") == ms


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1h", "1y", "1e3s", "1h30m", "٣h"])
def test_duration_when_it_is_none_then_the_option_and_examples_are_named(text: str) -> None:
    with pytest.raises(CliError, match=r"--since: .* no length of time: write 90s") as raised:
        milliseconds(text, "--since")
    assert raised.value.code == USAGE
