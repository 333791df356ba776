"""What REST tells of jobs that have left the state for the archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from tests.integration.rest import Rest

from osqueue.app import BrokerServer
from osqueue.config import ArchiveSettings, BrokerSettings, QueueLimits
from osqueue.storage import MemoryBackend
from osqueue.testing import Fault, ScriptedStore, Step

SETTINGS = BrokerSettings(
    archive=ArchiveSettings(linger_ms=0, look_ms=1),
    limits=QueueLimits(dead_max=0, dedupe_window_ms=0),
)


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore(MemoryBackend())


@pytest.fixture
async def rest(store: ScriptedStore, session: aiohttp.ClientSession) -> AsyncIterator[Rest]:
    async with BrokerServer(store, host="127.0.0.1", port=0, settings=SETTINGS) as broker:
        yield Rest(session, broker.url)


async def claimed(rest: Rest, **job: Any) -> str:
    job_id: str = (await rest.post("/v1/jobs", job)).json["jobId"]
    assert (await rest.post("/v1/jobs/claim", {"workerId": "w"})).json["jobId"] == job_id
    return job_id


async def forgotten(rest: Rest) -> None:
    """Return when the state knows of no ended job any more."""
    while True:
        await asyncio.sleep(0)
        await rest.post("/v1/jobs/claim", {"workerId": "nobody"})
        state = (await rest.get("/state")).json
        if not state["finished"] and "outbox" not in state:
            return


async def test_job_when_it_is_in_the_archive_then_found_with_its_details(rest: Rest) -> None:
    job_id = await claimed(rest, type="t", payload=1, priority=2)
    await rest.post(f"/v1/jobs/{job_id}/complete", {"workerId": "w"})
    await forgotten(rest)
    answer = await rest.get(f"/v1/jobs/{job_id}")
    assert answer.status == 200
    job = answer.json
    assert (job["id"], job["status"], job["type"], job["priority"]) == (job_id, "completed", "t", 2)
    assert job["endedAt"] >= job["createdAt"]
    assert "payload" not in job


async def test_job_when_it_is_in_no_batch_then_404(rest: Rest) -> None:
    await claimed(rest)
    answer = await rest.get("/v1/jobs/unknown")
    assert (answer.status, answer.tag) == (404, "JobNotFoundError")


async def test_job_when_the_archive_cannot_be_read_then_503_and_later_found(
    rest: Rest, store: ScriptedStore
) -> None:
    job_id = await claimed(rest)
    await rest.send("DELETE", f"/v1/jobs/{job_id}")
    await forgotten(rest)
    store.then(Step("get", Fault.UNAVAILABLE))
    answer = await rest.get(f"/v1/jobs/{job_id}")
    assert answer.status == 503
    assert (await rest.get(f"/v1/jobs/{job_id}")).json["status"] == "cancelled"


async def test_retry_when_the_dead_letter_is_in_the_archive_then_it_is_queued_again(
    rest: Rest,
) -> None:
    job_id = await claimed(rest, type="t", payload={"n": 1}, maxAttempts=1)
    failure = {"workerId": "w", "error": {"type": "E", "message": "no"}}
    assert (await rest.post(f"/v1/jobs/{job_id}/fail", failure)).status == 204
    await forgotten(rest)
    job = (await rest.get(f"/v1/jobs/{job_id}")).json
    assert (job["status"], job["payload"], job["lastError"]["message"]) == ("dead", {"n": 1}, "no")
    assert (await rest.post(f"/v1/jobs/{job_id}/retry")).status == 204
    again = (await rest.post("/v1/jobs/claim", {"workerId": "w"})).json
    assert (again["jobId"], again["payload"], again["attempt"]) == (job_id, {"n": 1}, 1)
    assert (await rest.post(f"/v1/jobs/{job_id}/complete", {"workerId": "w"})).status == 204
    await forgotten(rest)
    assert (await rest.get(f"/v1/jobs/{job_id}")).json["status"] == "completed"
    assert (await rest.post(f"/v1/jobs/{job_id}/retry")).status == 404


async def buried(rest: Rest, number: int) -> list[str]:
    """Dead letters that only the archive knows."""
    ids = [await claimed(rest, type="t", payload={"n": n}, maxAttempts=1) for n in range(number)]
    for job_id in ids:
        failure = {"workerId": "w", "error": {"type": "E", "message": "no"}}
        assert (await rest.post(f"/v1/jobs/{job_id}/fail", failure)).status == 204
    await forgotten(rest)
    return ids


async def test_retry_of_many_when_they_are_in_the_archive_then_those_that_are_dead_are_queued(
    rest: Rest,
) -> None:
    dead = await buried(rest, 3)
    over = await claimed(rest)
    await rest.post(f"/v1/jobs/{over}/complete", {"workerId": "w"})
    await forgotten(rest)
    waiting = (await rest.post("/v1/jobs", {"type": "other"})).json["jobId"]
    request = {"action": "retry", "jobIds": [*dead, over, waiting, "unknown"]}
    answer = (await rest.post("/v1/jobs/actions", request)).json
    assert answer["done"] == 4  # nothing is to be done about the one that waits
    assert [each["jobId"] for each in answer["failed"]] == [over, "unknown"]
    assert {each["error"]["_tag"] for each in answer["failed"]} == {"JobNotFoundError"}
    found = [(await rest.get(f"/v1/jobs/{job_id}")).json for job_id in dead]
    assert [(job["status"], job["payload"]["n"]) for job in found] == [
        ("unclaimed", n) for n in range(3)
    ]
    assert (await rest.post("/v1/jobs/actions", request)).json["done"] == 4


async def test_retry_of_many_when_the_archive_cannot_be_read_then_each_says_so_and_none_is_lost(
    rest: Rest, store: ScriptedStore
) -> None:
    dead = await buried(rest, 2)
    store.then(Step("get", Fault.UNAVAILABLE))
    request = {"action": "retry", "jobIds": dead}
    answer = (await rest.post("/v1/jobs/actions", request)).json
    assert answer["done"] == 0
    assert {each["error"]["_tag"] for each in answer["failed"]} == {"StorageBackendError"}
    assert (await rest.post("/v1/jobs/actions", request)).json["done"] == 2


async def test_retry_when_no_archive_is_kept_then_an_unknown_job_is_404(
    session: aiohttp.ClientSession,
) -> None:
    settings = BrokerSettings(archive=ArchiveSettings(retention_ms=0))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        assert (await rest.post("/v1/jobs/unknown/retry")).status == 404
        request = {"action": "retry", "jobIds": ["unknown"]}
        answer = (await rest.post("/v1/jobs/actions", request)).json
        assert [each["error"]["_tag"] for each in answer["failed"]] == ["JobNotFoundError"]
        assert (await rest.get("/v1/jobs/unknown")).status == 404
