"""Addresses of brokers, as base URLs: ``http://host:port``, without a slash at the end. Pure.

``grpc`` and ``grpcs`` are the schemes of the port where a broker speaks nothing but gRPC.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from yarl import URL

from osqueue.errors import TransportConfigError
from osqueue.wire.leaders import is_dialled

__all__ = ["HTTP_SCHEMES", "endpoint", "is_secure", "parse_base_url", "url_of"]

HTTP_SCHEMES: Final = ("http", "https")


def parse_base_url(base_url: str, *, schemes: Collection[str] = HTTP_SCHEMES) -> str:
    """Check a broker's URL; the answer has no slash at its end."""
    try:
        url = URL(base_url)
    except (TypeError, ValueError) as error:
        raise TransportConfigError(f"the broker URL {base_url!r} is no URL: {error}") from error
    _refuse_scheme(base_url, url, schemes)
    if not url.host:
        raise TransportConfigError(f"the broker URL {base_url!r} names no host")
    if url.user is not None or url.password is not None:
        raise TransportConfigError(f"the broker URL for {url.host} must not hold credentials")
    if url.path not in {"", "/"} or url.query_string or url.fragment:
        raise TransportConfigError(
            f"the broker URL {base_url!r} must end after host and port: paths are fixed"
        )
    return str(url.origin())


def url_of(address: str, *, scheme: str) -> str | None:
    """The base URL of a leader's ``host:port``; ``None`` when it cannot be dialled."""
    if not is_dialled(address):
        return None
    try:
        return parse_base_url(f"{scheme}://{address}")
    except TransportConfigError:
        return None


def endpoint(base_url: str) -> tuple[str | None, int | None]:
    """Host and port of a base URL: the same for the same place, whatever the scheme."""
    url = URL(base_url)
    return url.host, url.port


def is_secure(base_url: str) -> bool:
    """Whether it is dialled by TLS."""
    return URL(base_url).scheme in {"https", "grpcs"}


def _refuse_scheme(base_url: str, url: URL, schemes: Collection[str]) -> None:
    if "://" not in base_url:
        raise TransportConfigError(
            f"the broker URL {base_url!r} has no scheme; did you mean 'http://{base_url}'?"
        )
    if url.scheme not in schemes:
        raise TransportConfigError(
            f"the broker URL {base_url!r} has the unknown scheme {url.scheme!r}; "
            f"known are {' and '.join(schemes)}"
        )
