"""Logs name callers, never what they show or carry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.integration.doors import Keys
from tests.integration.rest import Rest

from osqueue.client import OsqueueClient
from osqueue.config import ServerSettings
from osqueue.wire.roles import Role

SECRET = "the-payload-of-a-patient"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that any logger says, at the lowest level there is."""
    with caplog.at_level(1):
        yield caplog


def text_of(logged: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
    return "\n".join(formatter.format(record) + repr(vars(record)) for record in logged.records)


@pytest.mark.parametrize("kind", ["rest", "connect", "grpc", "ws"])
async def test_log_when_at_its_lowest_level_then_neither_tokens_nor_payloads(
    kind: str,
    tmp_path: Path,
    *,
    logged: pytest.LogCaptureFixture,
    session: aiohttp.ClientSession,
) -> None:
    keys = Keys(tmp_path)
    token = keys[Role.ADMIN]
    async with keys.broker(server=ServerSettings(access_log=True)) as broker:
        async with OsqueueClient(broker.url, transport=kind, token=token) as client:
            await client.submit_job("t", {"note": SECRET})
            job = await client.claim_job("w")
            assert job is not None
            await client.fail_job(job, "no", retry=False)
            await client.retry_job(job.job_id)
            await client.list_jobs()
        rest = Rest(session, broker.url)
        await rest.post("/v1/jobs", {"payload": SECRET, "type": 5}, authorization=f"Bearer {token}")
        await rest.get("/v1/stats", authorization=f"Bearer {keys.spare.token}")
        await rest.get("/v1/stats", authorization=f"Basic {token}")
    said = text_of(logged)
    assert "the-admin" in said
    for secret in (SECRET, token[-64:], keys.spare.token[-64:]):
        assert secret not in said, [line for line in said.splitlines() if secret in line]
