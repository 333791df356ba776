"""What a client shows a broker, and what it wants to be shown: a token, and TLS.

Laws: a token is in no repr, log or error; no context is made that does not verify the broker; with
TLS nothing is ever sent in plain text (`osqueue.client.brokers`).
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

import msgspec

from osqueue.errors import TransportConfigError

__all__ = ["Credentials", "TlsSettings"]

_TOKEN: Final = re.compile(r"[!-~]+")
"""What can stand in a header without being cut or taken for two words."""


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a client speaks TLS: paths of PEM files.

    ``ca``: whom to believe that a broker is one; by default whom this machine believes. ``cert``
    (with its chain) and ``key``: who this client is, for brokers that ask.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def validate(self) -> None:
        """Raise `TransportConfigError` for half a pair, and for files that cannot be read."""
        if (self.cert is None) != (self.key is None):
            raise TransportConfigError("tls: cert and key go together: give both, or neither")
        for path in (self.ca, self.cert, self.key):
            if path is not None:
                self.pem(path)

    def context(self) -> ssl.SSLContext:
        """A context that verifies the broker's certificate and name."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            named = ", ".join(path for path in (self.ca, self.cert, self.key) if path)
            raise TransportConfigError(f"tls: {named}: {error}") from error
        return context

    @staticmethod
    def pem(path: str) -> bytes:
        """The bytes of one of the files."""
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise TransportConfigError(f"tls: {path}: {error.strerror}") from error


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What each transport of a client is given. ``tls``: `TlsSettings`, or a context made by you.

    Without ``tls``, an ``https`` URL is believed when this machine believes its certificate.
    """

    token: str | None = None
    tls: TlsSettings | ssl.SSLContext | None = None

    def __repr__(self) -> str:
        shown = None if self.token is None else "***"
        return f"Credentials(token={shown!r}, tls={self.tls!r})"

    def validate(self) -> None:
        """Raise `TransportConfigError` for a token that cannot travel, and for unusable TLS."""
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise TransportConfigError(
                "the token is empty, or holds spaces or characters beyond ASCII: it was not copied "
                "whole, or more than it was"
            )
        if isinstance(self.tls, TlsSettings):
            self.tls.validate()

    @property
    def headers(self) -> dict[str, str]:
        """What says who asks, in HTTP and in the metadata of gRPC."""
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}

    def context(self) -> ssl.SSLContext:
        """The context of a connection by ``https``."""
        if isinstance(self.tls, ssl.SSLContext):
            return self.tls
        return (self.tls or TlsSettings()).context()


def _no_password() -> str:
    """Asked for when a key is encrypted: there is nobody to type it."""
    raise ssl.SSLError("the key is protected by a password; decrypt it first")
