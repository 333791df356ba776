"""From when until when a certificate is good: all that is read of it here, by hand.

The standard library shows it only of a certificate that a peer has sent and that was verified.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Final, NamedTuple

__all__ = ["Validity", "validity_of"]

_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_VERSION: Final = 0xA0

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


class Validity(NamedTuple):
    """Milliseconds since the Unix epoch."""

    from_ms: int
    until_ms: int


def validity_of(pem: bytes) -> Validity:
    """Of the first certificate in PEM. Raises `ValueError` for what is none."""
    text = pem.decode("ascii", "replace")
    begin, end = text.find(_BEGIN), text.find(_END)
    if begin < 0 or end < begin:
        raise ValueError("holds no certificate in PEM")
    try:
        certificate, _ = _element(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)]))
        return _validity(certificate)
    except (IndexError, ValueError) as error:
        raise ValueError("holds a damaged certificate") from error


class _Element(NamedTuple):
    tag: int
    content: bytes


def _validity(certificate: _Element) -> Validity:
    """The fields of the part that is signed: [version], serial, algorithm, issuer, validity."""
    fields = _elements(_elements(certificate.content)[0].content)
    at = 4 if fields[0].tag == _VERSION else 3
    begin, end = _elements(fields[at].content)
    return Validity(_time_ms(begin), _time_ms(end))


def _elements(data: bytes) -> list[_Element]:
    elements = []
    while data:
        element, data = _element(data)
        elements.append(element)
    return elements


def _element(data: bytes) -> tuple[_Element, bytes]:
    """The first element of DER, and what follows it."""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start])
    if start + length > len(data):
        raise ValueError("cut short")
    return _Element(data[0], data[start : start + length]), data[start + length :]


def _time_ms(element: _Element) -> int:
    text = element.content.decode("ascii")
    if element.tag == _UTC_TIME:  # its years have two digits, and those from 50 on are past
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    moment = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000)
