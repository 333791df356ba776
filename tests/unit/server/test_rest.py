from __future__ import annotations

import pytest

from osqueue.errors import BrokerProtocolError
from osqueue.server.http import wants_consistent


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (b"", False),
        (b"consistent=true", True),
        (b"consistent=false", False),
        (b"limit=5&consistent=true", True),
        (b"consistent=false&consistent=true", True),
        (b"inconsistent=1", False),
        (b"x=consistent", False),
        (b"%63onsistent=true", False),
    ],
)
def test_consistent_when_asked_for_then_only_by_true(query: bytes, *, wanted: bool) -> None:
    assert wants_consistent(query) is wanted


@pytest.mark.parametrize(
    "query", [b"consistent", b"consistent=", b"consistent=1", b"consistent=True"]
)
def test_consistent_when_neither_true_nor_false_then_refused(query: bytes) -> None:
    with pytest.raises(BrokerProtocolError, match="`consistent`"):
        wants_consistent(query)
