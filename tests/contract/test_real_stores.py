"""The contract on real servers: what each backend makes of what a server really answers."""

from __future__ import annotations

import pytest

from osqueue.storage import Store, open_store
from osqueue.testing import StoreContract


@pytest.mark.parametrize(
    "server",
    [
        "moto",
        "fake_gcs",
        pytest.param("azurite", marks=pytest.mark.external),
        pytest.param("ceph", marks=pytest.mark.external),
    ],
)
class TestRealStore(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self, server: str, request: pytest.FixtureRequest) -> None:
        self.url: str = request.getfixturevalue(server).new_store()

    async def make_store(self) -> Store:
        return open_store(self.url)
