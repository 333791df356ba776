from __future__ import annotations

import pytest

from osqueue.storage import MemoryBackend, Store
from osqueue.testing import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.store = MemoryBackend()

    async def make_store(self) -> Store:
        return self.store
