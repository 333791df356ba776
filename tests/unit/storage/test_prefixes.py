from __future__ import annotations

import pytest

from osqueue.errors import ConfigError
from osqueue.storage.prefixes import check_prefix, folder


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("", ""), ("/", ""), ("/jobs", "jobs/"), ("/jobs/", "jobs/"), ("/a/b", "a/b/")],
)
def test_folder_then_a_slash_at_its_end_and_none_before(path: str, prefix: str) -> None:
    assert folder(path) == prefix


@pytest.mark.parametrize("prefix", ["", "jobs", "jobs/", "jobs-", "a/b/c", "a b/", "käse/"])
def test_prefix_that_a_key_can_follow_then_accepted(prefix: str) -> None:
    check_prefix(prefix)


@pytest.mark.parametrize(
    ("prefix", "fault"),
    [
        ("/jobs/", "empty"),
        ("a//b/", "empty"),
        ("../", "dot"),
        (".hidden", "dot"),
        ("a/.", "dot"),
        ("a\\b", "backslash"),
        ("a\0", "control"),
        ("\ud800", "control"),
        ("é" * 257, "longer than 512 bytes"),
    ],
)
def test_prefix_that_no_key_can_follow_then_refused(prefix: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        check_prefix(prefix)
