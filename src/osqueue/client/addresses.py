"""Addresses of brokers, as base URLs: ``http://host:port``, without a slash at the end. Pure."""

from __future__ import annotations

from yarl import URL

from osqueue.errors import TransportConfigError

__all__ = ["endpoint", "parse_base_url", "scheme_of", "url_of"]


def parse_base_url(base_url: str) -> str:
    """Check a broker's URL; the answer has no slash at its end."""
    try:
        url = URL(base_url)
    except (TypeError, ValueError) as error:
        raise TransportConfigError(f"the broker URL {base_url!r} is no URL: {error}") from error
    _refuse_scheme(base_url, url)
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
    try:
        return parse_base_url(f"{scheme}://{address}")
    except TransportConfigError:
        return None


def endpoint(base_url: str) -> tuple[str | None, int | None]:
    """Host and port of a base URL: the same for the same place, whatever the scheme."""
    url = URL(base_url)
    return url.host, url.port


def scheme_of(base_url: str) -> str:
    """``http`` or ``https``."""
    return URL(base_url).scheme


def _refuse_scheme(base_url: str, url: URL) -> None:
    if "://" not in base_url:
        raise TransportConfigError(
            f"the broker URL {base_url!r} has no scheme; did you mean 'http://{base_url}'?"
        )
    if url.scheme not in {"http", "https"}:
        raise TransportConfigError(
            f"the broker URL {base_url!r} has the unknown scheme {url.scheme!r}; "
            "known are http and https"
        )
