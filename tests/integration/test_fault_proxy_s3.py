"""The proxy between real S3 clients and moto's server: what they signed and sent gets through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import boto3
import obstore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store
from tests.integration.servers.s3 import S3Server

from osqueue.testing import FaultProxy, HttpFault, HttpScript, HttpStep

BUCKET = "behind-a-proxy"
KEY = "queue.json"


@pytest.fixture
async def script() -> HttpScript:
    return HttpScript()


@pytest.fixture
async def proxy(moto: S3Server, script: HttpScript) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(moto.endpoint, script) as proxy:
        yield proxy


@pytest.fixture
async def boto(proxy: FaultProxy) -> Any:
    """boto3, which waits for a 100 before it sends a body."""
    client = boto3.client(
        "s3",
        endpoint_url=proxy.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}),
    )
    await asyncio.to_thread(client.create_bucket, Bucket=BUCKET)
    listed = await asyncio.to_thread(client.list_objects_v2, Bucket=BUCKET)
    for found in listed.get("Contents", []):
        await asyncio.to_thread(client.delete_object, Bucket=BUCKET, Key=found["Key"])
    return client


@pytest.fixture
def store(boto: Any, proxy: FaultProxy) -> S3Store:
    assert boto
    return S3Store(
        BUCKET,
        endpoint=proxy.url,
        region="us-east-1",
        access_key_id="test",
        secret_access_key="test",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": "1s"},
        retry_config={"max_retries": 0},
    )


async def create(store: S3Store, data: bytes) -> None:
    await asyncio.to_thread(
        lambda: obstore.put(store, KEY, data, mode="create", use_multipart=False)
    )


async def content(store: S3Store) -> bytes:
    return await asyncio.to_thread(lambda: bytes(obstore.get(store, KEY).bytes()))


async def test_boto_put_if_none_match_then_created_once_and_read_back(
    boto: Any, proxy: FaultProxy
) -> None:
    body = bytes(range(256)) * 4096
    put = {"Bucket": BUCKET, "Key": KEY, "IfNoneMatch": "*"}
    await asyncio.to_thread(lambda: boto.put_object(**put, Body=body))
    with pytest.raises(ClientError, match="PreconditionFailed"):
        await asyncio.to_thread(lambda: boto.put_object(**put, Body=b"another"))
    got = await asyncio.to_thread(lambda: boto.get_object(Bucket=BUCKET, Key=KEY))
    assert await asyncio.to_thread(got["Body"].read) == body
    assert {entry.error for entry in proxy.log} == {""}


async def test_obstore_put_with_a_lost_reply_then_an_error_and_the_object_is_there(
    store: S3Store, script: HttpScript
) -> None:
    script.then(HttpStep(fault=HttpFault.LOST_REPLY, method="PUT"))
    with pytest.raises(obstore.exceptions.GenericError):
        await create(store, b"one")
    assert await content(store) == b"one"
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        await create(store, b"two")


async def test_obstore_put_that_is_late_then_lands_after_the_time_out_of_the_client(
    store: S3Store, script: HttpScript, proxy: FaultProxy
) -> None:
    script.then(HttpStep(fault=HttpFault.LATE_WRITE, method="PUT"))
    with pytest.raises(obstore.exceptions.GenericError):
        await create(store, b"one")
    with pytest.raises(FileNotFoundError):
        await content(store)
    assert await proxy.land() == 1
    assert await content(store) == b"one"


async def test_obstore_put_refused_with_409_then_what_a_store_says_in_a_race(
    store: S3Store, script: HttpScript
) -> None:
    script.then(HttpStep(fault=HttpFault.REFUSED, method="PUT", status=409))
    with pytest.raises(obstore.exceptions.AlreadyExistsError, match="409"):
        await create(store, b"one")
    with pytest.raises(FileNotFoundError):
        await content(store)


async def test_obstore_get_that_is_truncated_then_an_error_not_half_of_the_bytes(
    store: S3Store, script: HttpScript
) -> None:
    await create(store, b"0123456789")
    script.then(HttpStep(fault=HttpFault.TRUNCATED, method="GET"))
    with pytest.raises(obstore.exceptions.GenericError):
        await content(store)
    assert await content(store) == b"0123456789"
