from __future__ import annotations

from urllib.request import Request, urlopen

import pytest

from osqueue.clock import SystemEntropy
from osqueue.storage import S3Backend, Store
from osqueue.testing import StoreContract


class TestS3Store(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self, moto: str) -> None:
        self.endpoint = moto
        self.bucket = f"test-{SystemEntropy().token()}"
        urlopen(Request(f"{moto}/{self.bucket}", method="PUT")).close()

    async def make_store(self) -> Store:
        return S3Backend(
            self.bucket,
            prefix="a folder/",
            region="us-east-1",
            endpoint=self.endpoint,
            access_key_id="test",
            secret_access_key="test",
        )


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
