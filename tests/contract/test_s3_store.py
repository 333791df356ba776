from __future__ import annotations

from urllib.request import Request, urlopen

import pytest

from osqueue.clock import SystemEntropy
from osqueue.storage import S3Backend, Store
from osqueue.storage.cloud import LIST_PAGE_KEYS
from osqueue.testing import StoreContract


def new_bucket(moto: str) -> str:
    name = f"test-{SystemEntropy().token()}"
    urlopen(Request(f"{moto}/{name}", method="PUT")).close()
    return name


class TestS3Store(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self, moto: str) -> None:
        self.endpoint = moto
        self.bucket = new_bucket(moto)

    async def make_store(self) -> Store:
        return S3Backend(
            self.bucket,
            prefix="a folder/",
            region="us-east-1",
            endpoint=self.endpoint,
            access_key_id="test",
            secret_access_key="test",
        )


async def test_list_of_more_than_a_page_then_all_in_order(moto: str) -> None:
    bucket = new_bucket(moto)
    keys = [f"pages/{number:05}" for number in range(LIST_PAGE_KEYS + 5)]
    store = S3Backend(bucket, endpoint=moto, access_key_id="test", secret_access_key="test")
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
