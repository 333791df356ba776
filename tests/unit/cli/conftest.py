"""Commands set this process's logging up; tests put it back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

LOGGERS = ("", "aiohttp", "asyncio", "uvicorn")
OWN_VARIABLES = ("BROKER_", "GROUP_", "JOB_", "OSQUEUE_", "S3_", "STORAGE_")


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)
