from __future__ import annotations

from pathlib import Path

import pytest

from osqueue.storage import LocalBackend, Store
from osqueue.testing import StoreContract


class TestLocalStore(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "made" / "by the store"

    async def make_store(self) -> Store:
        return LocalBackend(self.path)
