"""Reading from when until when a certificate is good."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from osqueue.server.door.certificates import validity_of

PEM = trustme.CA().issue_cert("localhost").cert_chain_pems[0].bytes()


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2149])
@pytest.mark.parametrize("key_type", list(trustme.KeyType))
def test_validity_when_read_then_as_it_was_issued(year: int, key_type: trustme.KeyType) -> None:
    until = datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC)
    ca = trustme.CA(key_type=key_type)
    made = ca.issue_cert("localhost", not_before=until - timedelta(days=90), not_after=until)
    found = validity_of(made.cert_chain_pems[0].bytes())
    assert found == (ms(until - timedelta(days=90)), ms(until))


def test_validity_when_there_is_a_chain_then_of_the_first() -> None:
    until = datetime(2031, 1, 1, tzinfo=UTC)
    made = trustme.CA().issue_cert("localhost", not_after=until)
    chain = b"# ours\n" + made.cert_chain_pems[0].bytes() + PEM
    assert validity_of(chain).until_ms == ms(until)


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense", b"\xff", PEM[:100], PEM[::-1]],
    ids=["nothing", "nonsense", "no-text", "cut", "backwards"],
)
def test_validity_when_it_is_no_certificate_then_said(data: bytes) -> None:
    with pytest.raises(ValueError, match="holds no certificate in PEM"):
        validity_of(data)


@given(st.integers(40, len(PEM) - 40), st.integers(1, 30))
def test_validity_when_damaged_then_an_answer_or_a_value_error_but_nothing_else(
    at: int, length: int
) -> None:
    with suppress(ValueError):
        validity_of(PEM[:at] + PEM[at + length :])


@pytest.mark.parametrize(
    "der", [b"", b"0", b"0\x80", b"0\x03\x30\x01\x00", b"\x30\x84\xff\xff\xff\xff"]
)
def test_validity_when_the_der_is_nonsense_then_said(der: bytes) -> None:
    pem = ssl.DER_cert_to_PEM_cert(der).encode()
    with pytest.raises(ValueError, match="holds a damaged certificate"):
        validity_of(pem)
