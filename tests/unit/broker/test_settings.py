"""What is told of a broker's settings, and what never is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from osqueue.broker.settings import Effective, flattened
from osqueue.config import AccessSettings, BrokerSettings, QueueLimits, ServerTlsSettings

URL = "s3://bucket/folder?endpoint=http://10.0.0.1:9000"


def told(settings: BrokerSettings | None = None, **more: Any) -> dict[str, Any]:
    given = {"storage": URL, "address": "10.0.0.5:8080", **more}
    rows = Effective(settings or BrokerSettings(), **given).all()
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: msgspec.json.decode(row.value) for row in rows}


def test_settings_when_told_then_every_one_by_the_name_it_has_in_python() -> None:
    settings = BrokerSettings(limits=QueueLimits(lease_timeout_ms=41_000))
    values = told(settings)
    assert values["limits.lease_timeout_ms"] == 41_000
    assert values["limits.retry.base_ms"] == 1_000
    assert (values["storage"], values["advertise"]) == (URL, "10.0.0.5:8080")
    assert set(values) == {"storage", "advertise", *(each.name for each in flattened(settings))}


def test_settings_when_told_then_with_their_variables_and_reasons() -> None:
    variables = {"limits.lease_timeout_ms": "JOB_HEARTBEAT_TIMEOUT_MS"}
    rows = Effective(BrokerSettings(), storage=URL, address="", variables=variables).all()
    row = next(row for row in rows if row.name == "limits.lease_timeout_ms")
    assert row.env == "JOB_HEARTBEAT_TIMEOUT_MS"
    assert row.help.startswith("A lease without a heartbeat for this long expires. ")
    assert "\n" not in row.help


def test_settings_when_a_secret_is_set_then_only_that_it_is() -> None:
    secret = "osq_1234567890_very-secret"
    settings = BrokerSettings(
        access=AccessSettings(tokens=f"me work {secret}", tokens_file="/etc/tokens"),
        tls=ServerTlsSettings(cert="/etc/cert.pem", key="/etc/key.pem"),
    )
    values = told(settings)
    assert secret not in str(values)
    assert values["access.tokens"] == "(hidden)"
    assert values["access.tokens_file"] == "/etc/tokens"
    assert values["tls.key"] == "/etc/key.pem"
    assert told()["access.tokens"] is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:secret@bucket/folder", "s3://bucket/folder"),
        ("s3://key:secret@bucket", "s3://bucket"),
        ("file:///home/a@b/queue", "file:///home/a@b/queue"),
        ("memory://", "memory://"),
    ],
)
def test_storage_when_a_store_tells_credentials_in_its_url_then_without_them(
    url: str, shown: str
) -> None:
    assert told(storage=url)["storage"] == shown


def test_names_when_they_may_be_those_of_secrets_then_each_was_looked_at() -> None:
    words = ("token", "secret", "password", "credential", "key")
    names = [each.name for each in flattened(BrokerSettings())]
    suspicious = {name for name in names if any(word in name for word in words)}
    harmless = {"access.tokens_file", "payloads.sweep_keys_max", "tls.key"}
    assert suspicious == {"access.tokens", *harmless}
