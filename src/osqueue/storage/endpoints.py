"""Names of buckets, addresses of servers, and URLs that people may see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from osqueue.errors import ConfigError

__all__ = ["check_bucket", "check_endpoint", "public_url", "with_host_prefix"]


_BUCKET = re.compile(r"[$A-Za-z0-9][A-Za-z0-9._-]*")


def check_bucket(name: str) -> None:
    """Raise `ConfigError` for what no store calls a bucket or container."""
    if not _BUCKET.fullmatch(name):
        raise ConfigError(
            "the name of a bucket or container is made of letters, digits, dots and dashes"
        )


def check_endpoint(endpoint: str) -> str:
    """An endpoint without the slash at its end. Raises `ConfigError`, repeating no secret."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("endpoint: write http://host:port or https://host:port")
    if "@" in parts.netloc:
        raise ConfigError("endpoint: credentials do not go into it: give them by their own options")
    if parts.query or parts.fragment:
        raise ConfigError("endpoint: it takes no options: write http://host:port")
    return endpoint.rstrip("/")


def with_host_prefix(endpoint: str, bucket: str) -> str:
    """The endpoint of a bucket that is a part of the host's name."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=f"{bucket}.{parts.netloc}").geturl()


def public_url(scheme: str, name: str, *, prefix: str, options: Mapping[str, str | None]) -> str:
    """The URL of a store, for people and for `open_store`; ``options`` hold no credentials."""
    in_path = prefix == "" or prefix.endswith("/")
    shown = {key: value for key, value in options.items() if value is not None}
    if not in_path:
        shown["prefix"] = prefix
    path = quote(prefix) if in_path and prefix else ""
    query = f"?{urlencode(shown, safe='/:', quote_via=quote)}" if shown else ""
    return f"{scheme}://{name}{'/' if path else ''}{path}{query}"
