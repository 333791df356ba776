from __future__ import annotations

from collections.abc import Iterator

import pytest

from .moto_server import running_moto


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with running_moto() as url:
        yield url
