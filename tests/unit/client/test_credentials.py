from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from tests.unit.client.conftest import ScriptedTransport

from osqueue.client import OsqueueClient, TlsSettings
from osqueue.client.credentials import Credentials
from osqueue.errors import TransportConfigError


@pytest.fixture
def pems(tmp_path: Path) -> TlsSettings:
    """An authority, and a certificate of it."""
    authority = trustme.CA()
    leaf = authority.issue_cert("client.example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return TlsSettings(
        ca=f"{tmp_path}/ca.pem", cert=f"{tmp_path}/cert.pem", key=f"{tmp_path}/key.pem"
    )


def test_token_when_shown_is_masked() -> None:
    credentials = Credentials(token="s3cret")
    assert "s3cret" not in repr(credentials) + str(credentials)
    assert credentials.headers == {"authorization": "Bearer s3cret"}
    assert Credentials().headers == {}


@pytest.mark.parametrize("token", ["", "two words", "line\n", "käse", "tab\t", "nul\0"])
def test_token_that_cannot_travel_is_refused_without_being_told(token: str) -> None:
    with pytest.raises(TransportConfigError, match="the token") as caught:
        OsqueueClient("http://a", token=token)
    assert not token or token not in caught.value.message


def test_context_verifies_the_broker_and_shows_the_certificate(pems: TlsSettings) -> None:
    context = Credentials(tls=pems).context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    own = ssl.create_default_context()
    assert Credentials(tls=own).context() is own
    assert Credentials().context().check_hostname


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        (TlsSettings(cert="a"), "cert and key go together"),
        (TlsSettings(key="a"), "cert and key go together"),
        (TlsSettings(ca="/no/such"), "/no/such: No such file"),
        (TlsSettings(cert="/no/such", key="/no/such"), "/no/such"),
    ],
)
def test_tls_that_cannot_work_is_refused_at_once(tls: TlsSettings, reason: str) -> None:
    with pytest.raises(TransportConfigError, match=reason):
        OsqueueClient("https://a", tls=tls)


def test_tls_of_files_that_are_no_certificates_is_refused(pems: TlsSettings) -> None:
    swapped = TlsSettings(ca=pems.ca, cert=pems.key, key=pems.cert)
    with pytest.raises(TransportConfigError, match="tls: "):
        swapped.context()


def test_tls_for_a_plain_url_is_refused(pems: TlsSettings) -> None:
    with pytest.raises(TransportConfigError, match="dialled in plain text: make it https"):
        OsqueueClient(["https://a", "http://b"], tls=pems)


@pytest.mark.parametrize("given", [{"token": "t"}, {"tls": TlsSettings()}])
def test_credentials_for_a_transport_of_ones_own_are_refused(
    transport: ScriptedTransport, given: dict[str, str]
) -> None:
    with pytest.raises(TransportConfigError, match="whole way"):
        OsqueueClient(transport=transport, **given)  # type: ignore[arg-type]
