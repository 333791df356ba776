"""TLS of the ports: what their files are told apart by, and how they are renewed."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from osqueue.clock import SystemClock
from osqueue.config import ServerTlsSettings
from osqueue.errors import ConfigError
from osqueue.server.door.tls import ServerTls

CA, OTHER_CA = trustme.CA(), trustme.CA()


class Files:
    """A certificate, its key, and authorities."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.client_ca = folder / "ca.pem"
        CA.cert_pem.write_to_path(str(self.client_ca))
        self.issue()

    def issue(self, ca: trustme.CA = CA, **times: Any) -> None:
        made = ca.issue_cert("localhost", "127.0.0.1", **times)
        chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
        self.cert.write_bytes(chain)
        self.key.write_bytes(made.private_key_pem.bytes())

    def settings(self, **more: Any) -> ServerTlsSettings:
        return ServerTlsSettings(cert=str(self.cert), key=str(self.key), **more)

    def open(self, **more: Any) -> ServerTls:
        return ServerTls(self.settings(**more), SystemClock())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def shaken(server: ssl.SSLContext, ca: trustme.CA = CA, **client: Any) -> ssl.SSLObject:
    """A client's end of a handshake that succeeded; raises what went wrong at either end."""
    context = client.get("context") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context.wrap_bio(down, up, server_hostname="localhost"),
        server.wrap_bio(up, down, server_side=True),
    ]
    done: set[int] = set()
    for _ in range(20):
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                pass
    assert len(done) == 2, "neither end knows what to do"
    return ends[0]


def served(end: ssl.SSLObject) -> bytes:
    """The certificate that was shown."""
    found = end.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_handshake_when_made_then_by_a_version_of_today(files: Files) -> None:
    assert shaken(files.open().context).version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_handshake_when_the_client_is_too_old_then_refused(
    version: ssl.TLSVersion, files: Files
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError):
        shaken(files.open().context, context=context)


def test_handshake_when_a_client_ca_is_set_then_only_with_a_certificate_of_it(files: Files) -> None:
    server = files.open(client_ca=str(files.client_ca)).context
    with pytest.raises(ssl.SSLError):
        shaken(server)
    for ca, accepted in ((OTHER_CA, False), (CA, True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca.issue_cert("worker-1").configure_cert(context)
        if accepted:
            shaken(server, context=context)
            continue
        with pytest.raises(ssl.SSLError):
            shaken(server, context=context)


def break_by_deleting(files: Files) -> None:
    files.key.unlink()


def break_by_another_key(files: Files) -> None:
    files.key.write_bytes(CA.issue_cert("localhost").private_key_pem.bytes())


def break_by_nonsense(files: Files) -> None:
    files.cert.write_text("nonsense")


def break_by_swapping(files: Files) -> None:
    cert, key = files.cert.read_bytes(), files.key.read_bytes()
    files.cert.write_bytes(key)
    files.key.write_bytes(cert)


def break_by_no_key(files: Files) -> None:
    files.key.write_text("")


def break_by_time(files: Files) -> None:
    now = datetime.now(UTC)
    files.issue(not_before=now - timedelta(days=90), not_after=now - timedelta(days=3))


def break_by_the_future(files: Files) -> None:
    files.issue(not_before=datetime.now(UTC) + timedelta(days=3))


def break_by_a_password(files: Files) -> None:
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


BREAKS: dict[Callable[[Files], None], str] = {
    break_by_deleting: r"key\.pem cannot be read: No such file",
    break_by_another_key: "the key is not the one of the certificate",
    break_by_nonsense: r"cert\.pem holds no certificate in PEM",
    break_by_swapping: r"cert\.pem holds no certificate in PEM",
    break_by_no_key: r"cert\.pem and .*key\.pem cannot be used",
    break_by_time: r"the certificate in .*cert\.pem expired 3 days ago",
    break_by_the_future: r"cert\.pem is not valid yet",
    break_by_a_password: r"key\.pem is protected by a password; decrypt it first",
}


@pytest.mark.parametrize("how", BREAKS, ids=lambda how: how.__name__)
def test_files_when_they_cannot_be_used_then_the_one_at_fault_is_named(
    how: Callable[[Files], None], files: Files
) -> None:
    how(files)
    with pytest.raises(ConfigError, match=BREAKS[how]):
        files.open()


@pytest.mark.parametrize("which", ["client_ca", "ca"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff"])
def test_authorities_when_there_are_none_in_the_file_then_named(
    which: str, content: bytes, files: Files
) -> None:
    files.client_ca.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ca\.pem holds no certificates in PEM"):
        files.open(**{which: str(files.client_ca)})


class Clock(SystemClock):
    """Is ahead of the machine's."""

    ahead = timedelta()

    def wall_ms(self) -> int:
        return super().wall_ms() + int(self.ahead.total_seconds() * 1_000)


@pytest.mark.parametrize(
    ("lifetime", "passed", "said"),
    [
        (timedelta(days=90), timedelta(days=75), None),
        (timedelta(days=90), timedelta(days=80), "expires in 239 hours"),
        (timedelta(days=6), timedelta(days=3), None),
        (timedelta(days=6), timedelta(days=5), "expires in 23 hours"),
        (timedelta(days=6), timedelta(days=7), "expires in 0 hours"),
    ],
)
def test_certificate_when_it_should_have_been_renewed_then_that_is_said_while_it_is_used(
    lifetime: timedelta, passed: timedelta, said: str | None, files: Files
) -> None:
    now = datetime.now(UTC)
    files.issue(not_before=now, not_after=now + lifetime)
    clock = Clock()
    tls = ServerTls(files.settings(), clock)
    assert tls.problem is None
    clock.ahead = passed
    assert (said is None) == (tls.problem is None)
    assert said is None or said in str(tls.problem)


def test_certificate_when_it_expires_soon_at_the_start_then_warned(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.issue(not_after=datetime.now(UTC) + timedelta(days=5, hours=1))
    files.open()
    assert "expires in 120 hours" in caplog.text


async def test_certificate_when_renewed_then_new_handshakes_get_it(files: Files) -> None:
    tls = files.open()
    before = served(shaken(tls.context))
    files.issue()
    await settle(tls)
    assert served(shaken(tls.context)) != before
    assert tls.problem is None


@pytest.mark.parametrize("how", BREAKS, ids=lambda how: how.__name__)
async def test_certificate_when_the_new_one_cannot_be_used_then_the_old_stays_and_it_is_said(
    how: Callable[[Files], None], files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    tls = files.open()
    before = served(shaken(tls.context))
    how(files)
    with caplog.at_level(logging.ERROR, "osqueue.server"):
        await settle(tls)
    assert served(shaken(tls.context)) == before
    assert tls.problem is not None
    assert "the certificate read before stays in use" in caplog.text
    files.issue()
    await settle(tls)
    assert served(shaken(tls.context)) != before
    assert not tls.problem


async def test_client_ca_when_renewed_then_new_handshakes_are_held_to_it(files: Files) -> None:
    tls = files.open(client_ca=str(files.client_ca))
    known, other = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
    CA.issue_cert("w").configure_cert(known)
    OTHER_CA.issue_cert("w").configure_cert(other)
    shaken(tls.context, context=known)
    OTHER_CA.cert_pem.write_to_path(str(files.client_ca))
    await settle(tls)
    shaken(tls.context, context=other)
    with pytest.raises(ssl.SSLError):
        shaken(tls.context, context=known)


def test_client_context_when_it_asks_another_broker_then_that_is_verified(files: Files) -> None:
    tls = files.open(ca=str(files.client_ca))
    context = tls.client_context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_client_context_when_no_authority_is_given_then_this_machines(files: Files) -> None:
    context = files.open().client_context
    assert context.verify_mode is ssl.CERT_REQUIRED


async def settle(tls: ServerTls) -> None:
    await tls.watch.look()
    await tls.watch.look()
