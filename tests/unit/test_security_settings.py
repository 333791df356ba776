"""Settings of the door and of TLS that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from osqueue.config import AccessSettings, BrokerSettings, ServerSettings, ServerTlsSettings
from osqueue.errors import ConfigError

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"access": AccessSettings(requests_per_s=-1)}, "BROKER_REQUESTS_PER_S must be 0"),
    ({"access": AccessSettings(requests_per_s=float("inf"))}, "BROKER_REQUESTS_PER_S must be 0"),
    ({"access": AccessSettings(requests_per_s=1, burst=-1)}, "BURST must not be negative"),
    ({"access": AccessSettings(burst=1)}, "BROKER_REQUESTS_BURST needs BROKER_REQUESTS_PER_S"),
    ({"access": AccessSettings(reload_ms=0)}, "reload_ms must be at least 1"),
    ({"tls": ServerTlsSettings(cert="c")}, "go together"),
    ({"tls": ServerTlsSettings(key="k")}, "go together"),
    ({"tls": ServerTlsSettings(client_ca="a")}, "BROKER_TLS_CLIENT_CA and BROKER_TLS_CA need"),
    ({"tls": ServerTlsSettings(ca="a")}, "BROKER_TLS_CLIENT_CA and BROKER_TLS_CA need"),
    ({"tls": ServerTlsSettings(cert="c", key="k", handshake_s_max=0)}, "must each be at least 1"),
    ({"tls": ServerTlsSettings(cert="c", key="k", reload_ms=0)}, "must each be at least 1"),
    ({"server": ServerSettings(connections_per_host=-1)}, "must not be negative"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_settings_when_they_make_no_sense_then_said(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BrokerSettings(**settings).validate()


@pytest.mark.parametrize(
    ("settings", "configured"),
    [
        (AccessSettings(), False),
        (AccessSettings(tokens=""), False),
        (AccessSettings(tokens="# nobody"), True),
        (AccessSettings(tokens_file="tokens"), True),
    ],
)
def test_tokens_when_a_list_is_named_then_they_are_asked_for_whatever_is_in_it(
    settings: AccessSettings, configured: bool
) -> None:
    assert settings.tokens_configured == configured
