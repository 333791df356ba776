"""S3's options that the URLs of `test_real_stores` leave at their defaults: prefixes, on moto."""

from __future__ import annotations

import pytest
from tests.integration.servers.s3 import S3Server

from osqueue.storage import S3Backend, Store
from osqueue.storage.cloud import LIST_PAGE_KEYS
from osqueue.testing import StoreContract


class TestS3Store(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self, moto: S3Server) -> None:
        self.endpoint = moto.endpoint
        self.bucket = moto.new_bucket()

    async def make_store(self) -> Store:
        return S3Backend(
            self.bucket,
            prefix="a folder/",
            region="us-east-1",
            endpoint=self.endpoint,
            access_key_id="test",
            secret_access_key="test",
        )


async def test_list_of_more_than_a_page_then_all_in_order(moto: S3Server) -> None:
    store = S3Backend(
        moto.new_bucket(),
        endpoint=moto.endpoint,
        access_key_id="test",
        secret_access_key="test",
    )
    keys = [f"pages/{number:05}" for number in range(LIST_PAGE_KEYS + 5)]
    for key in keys:
        await store.create(key, b"")
    assert [key async for key in store.list("pages/")] == keys
    assert [key async for key in store.list("pages/010")] == keys[LIST_PAGE_KEYS:]
    await store.close()


class TestS3StoreWithoutAPrefix(TestS3Store):
    async def make_store(self) -> Store:
        return S3Backend(
            self.bucket,
            endpoint=self.endpoint,
            access_key_id="test",
            secret_access_key="test",
            etag="unquoted",
        )


class TestS3StoreBesideOthers(TestS3Store):
    async def make_store(self) -> Store:
        return S3Backend(
            self.bucket,
            prefix="verbatim",
            endpoint=self.endpoint,
            access_key_id="test",
            secret_access_key="test",
        )
