"""What `osqueue doctor` and a starting broker say of real servers, fit and unfit."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.e2e.processes import osqueue
from tests.integration.servers.ceph import Ceph
from tests.integration.servers.process import free_port
from tests.integration.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server

from osqueue.app import BrokerServer
from osqueue.errors import (
    StorageBackendError,
    StoreDeniedError,
    StoreUnavailableError,
    UnsupportedStoreError,
)


def said_of(url: str) -> tuple[int, str]:
    """The exit code of the doctor, and the last line that it prints."""
    done = osqueue("doctor", "--storage", url)
    assert "secret" not in done.stdout + done.stderr
    return done.returncode, (done.stderr or done.stdout).splitlines()[-1]


@pytest.mark.parametrize(
    "server",
    [
        "moto",
        "fake_gcs",
        pytest.param("azurite", marks=pytest.mark.external),
        pytest.param("ceph", marks=pytest.mark.external),
    ],
)
def test_doctor_when_the_server_is_fit_then_0_and_all_checks_pass(
    server: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server).new_store().replace("&etag=unquoted", "")
    done = osqueue("doctor", "--json", "--storage", url)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["checks"].values()) == {"ok"}
    assert abs(report["clockOffsetMs"]) < 60_000  # all of them run on this machine
    dialects = {"ceph": "unquoted", "moto": "quoted"}
    assert report.get("dialect") == dialects.get(server)


def test_doctor_when_preconditions_are_ignored_then_1_and_why(localbucket: S3Server) -> None:
    code, line = said_of(localbucket.new_store())
    assert code == 1
    assert "it let a write at a stale version overwrite an object" in line
    assert "use S3, Google Cloud Storage, Azure Blob Storage, Ceph or a local directory" in line


async def started_on(url: str) -> Exception:
    """What a broker says that cannot start there."""
    broker = BrokerServer(url, host="127.0.0.1", port=0)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - its class is what is asked for
        await broker.start()
    return raised.value


async def test_broker_when_preconditions_are_ignored_then_it_does_not_start(
    localbucket: S3Server,
) -> None:
    error = await started_on(localbucket.new_store())
    assert isinstance(error, UnsupportedStoreError)


@pytest.mark.parametrize(
    "server", ["moto", "fake_gcs", pytest.param("azurite", marks=pytest.mark.external)]
)
async def test_broker_when_there_is_no_such_bucket_then_that_is_said(
    server: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server).new_store().replace("://", "://no", 1)
    error = await started_on(url)
    assert isinstance(error, StoreUnavailableError)
    assert "there is no such bucket" in error.message
    assert "create it, or correct its name" in error.message


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
async def test_broker_when_nothing_listens_then_that_is_said(scheme: str) -> None:
    account = "&account=a&account_key=a2V5" if scheme == "az" else ""
    keys = "&access_key_id=a&secret_access_key=b" if scheme == "s3" else ""
    url = f"{scheme}://bucket?endpoint=http://127.0.0.1:{free_port()}{account}{keys}"
    error = await started_on(url)
    assert isinstance(error, StoreUnavailableError)
    assert "nothing listens at the endpoint" in error.message


@pytest.fixture
async def self_signed(tmp_path: Path) -> AsyncIterator[str]:
    """A TLS server whose certificate nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = tmp_path / "chain.pem"
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    chain.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def test_broker_when_the_certificate_is_not_trusted_then_that_is_said(
    self_signed: str,
) -> None:
    url = f"s3://bucket?endpoint={self_signed}&access_key_id=a&secret_access_key=b"
    error = await started_on(url)
    assert isinstance(error, StorageBackendError)
    assert "certificate is not trusted" in error.message


@pytest.fixture
def read_only(ceph: Ceph) -> Iterator[str]:
    """The URL of a bucket in which nothing may be written."""
    url = ceph.new_store()
    bucket = url.removeprefix("s3://").partition("?")[0]
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:PutObject", "s3:DeleteObject"],
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{ceph.gateway_ports[0]}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    yield url
    client.close()


@pytest.mark.external
async def test_broker_when_the_bucket_is_read_only_then_that_is_said(read_only: str) -> None:
    error = await started_on(read_only)
    assert isinstance(error, StoreDeniedError)
    assert "allow these credentials to get, put, delete and list there" in error.message


@pytest.mark.external
@pytest.mark.parametrize("key", [ACCESS_KEY, SECRET_KEY])
async def test_broker_when_the_credentials_are_wrong_then_that_is_said(
    key: str, ceph: Ceph
) -> None:
    error = await started_on(ceph.new_store().replace(key, "wrong"))
    assert isinstance(error, StoreDeniedError)
    assert "the credentials are wrong" in error.message
    assert "wrong" in error.message
    assert SECRET_KEY not in error.message
