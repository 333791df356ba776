from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osqueue.errors import StoreDeniedError
from osqueue.storage.keys import check_key, is_key, key_fault
from osqueue.testing.store_contract import ACCEPTED_KEYS, REFUSED_KEYS


@pytest.mark.parametrize("key", ACCEPTED_KEYS)
def test_key_of_an_accepted_form_then_no_fault(key: str) -> None:
    assert key_fault(key) is None
    check_key(key)


@pytest.mark.parametrize("key", REFUSED_KEYS)
def test_key_of_a_refused_form_then_denied(key: str) -> None:
    assert not is_key(key)
    with pytest.raises(StoreDeniedError):
        check_key(key)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("a//b", "empty"),
        ("../a", "dot"),
        ("a\nb", "control"),
        ("a\\b", "backslash"),
        ("é" * 128, "255 bytes"),
        ("a/" * 256 + "a", "512 bytes"),
    ],
)
def test_check_key_of_a_refused_form_then_the_message_says_why(key: str, reason: str) -> None:
    with pytest.raises(StoreDeniedError, match=reason):
        check_key(key)


@given(st.text(st.sampled_from("a./\\\0 é~"), max_size=12))
def test_is_key_of_any_text_then_true_only_for_plain_relative_paths(key: str) -> None:
    segments = key.split("/")
    plain = all(segment and not segment.startswith(".") for segment in segments)
    assert is_key(key) == (plain and "\\" not in key and "\0" not in key)
