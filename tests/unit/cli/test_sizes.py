"""Amounts of memory."""

from __future__ import annotations

import pytest

from osqueue.cli.failures import CliError
from osqueue.cli.sizes import byte_count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1000", 1_000),
        ("512M", 512 * 1024**2),
        ("512 MiB", 512 * 1024**2),
        ("1.5g", 1536 * 1024**2),
        ("64kb", 64 * 1024),
    ],
)
def test_byte_count_when_a_size_then_in_bytes(text: str, count: int) -> None:
    assert byte_count(text, "--x") == count


@pytest.mark.parametrize("text", ["", "M", "-1M", "1e3", "5 apples", "1..5M", "inf"])
def test_byte_count_when_no_size_then_said(text: str) -> None:
    with pytest.raises(CliError, match=r"--x: .* is no size: write 512M or 2G"):
        byte_count(text, "--x")
