"""Looking through a queue over REST: filters, counts, actions on many, and what has ended."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from tests.integration.rest import Answer, Rest

from osqueue.app import BrokerServer
from osqueue.config import ArchiveSettings, BrokerSettings, QueueLimits
from osqueue.storage import MemoryBackend

ARCHIVING = BrokerSettings(
    archive=ArchiveSettings(linger_ms=0, look_ms=1), limits=QueueLimits(dead_max=0)
)


async def dead(rest: Rest, message: str, **job: Any) -> str:
    job_id: str = (await rest.post("/v1/jobs", job)).json["jobId"]
    await rest.post("/v1/jobs/claim", {"workerId": "w"})
    body = {"workerId": "w", "error": {"type": "E", "message": message}, "retry": False}
    assert (await rest.post(f"/v1/jobs/{job_id}/fail", body)).status == 204
    return job_id


def ids(answer: Answer) -> list[str]:
    return [job["id"] for job in answer.json["jobs"]]


@pytest.mark.parametrize("job_id", ["ended", "count", "batch", "claim", "actions", "heartbeat"])
async def test_job_when_its_id_is_a_word_of_the_routes_then_it_can_be_looked_at(
    rest: Rest, job_id: str
) -> None:
    await rest.post("/v1/jobs", {"jobId": job_id, "payload": 1})
    assert (await rest.get(f"/v1/jobs/{job_id}")).json["payload"] == 1


@pytest.mark.parametrize("text", ["größe %25", "GRÖSSE %", "日本", "🧀", "a+b&c=d", "100%"])
async def test_jobs_when_looked_for_by_any_text_then_found(rest: Rest, text: str) -> None:
    await dead(rest, "größe %25 日本 🧀 a+b&c=d 100%")
    await rest.submit()
    assert len(ids(await rest.get(f"/v1/jobs?text={quote(text)}"))) == 1
    assert (await rest.get(f"/v1/count?text={quote(text)}")).body == b'{"count":1}'


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/jobs?status=completed", "status"),
        ("/v1/jobs?order=random", "order"),
        (f"/v1/jobs?text={'x' * 201}", "text"),
        (f"/v1/jobs?text={quote('🧀' * 201)}", "text"),
        ("/v1/count?status=", "status"),
        ("/v1/ended?status=ready", "status"),
        ("/v1/ended?limit=0", "limit"),
        ("/v1/ended?limit=1001", "limit"),
        ("/v1/ended?cursor=x", "cursor"),
        (f"/v1/ended?cursor={'x' * 2_000}", "cursor"),
        ("/v1/dead/groups?consistent=1", "consistent"),
    ],
)
async def test_look_when_it_is_malformed_then_400_naming_the_field(
    rest: Rest, path: str, field: str
) -> None:
    answer = await rest.get(path)
    assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
    assert field in answer.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "cancel"},
        {"action": "cancel", "filter": {}},
        {"action": "cancel", "filter": {"text": ""}},
        {"action": "destroy", "jobIds": ["a"]},
        {"action": "cancel", "jobIds": ["a", "a"]},
        {"action": "cancel", "jobIds": ["a/b"]},
        {"action": "cancel", "jobIds": [f"j{number}" for number in range(1_001)]},
        {"action": "cancel", "filter": {"type": "t"}, "max": 0},
        {"action": "cancel", "filter": {"status": "completed"}},
        {"action": "retry", "filter": {"status": "in_progress"}},
    ],
)
async def test_action_when_it_is_malformed_then_400_and_nothing_is_done(
    rest: Rest, body: dict[str, Any]
) -> None:
    await rest.submit(jobId="a")
    answer = await rest.post("/v1/jobs/actions", body)
    assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
    assert (await rest.get("/v1/stats")).json["total"] == 1


async def test_action_when_done_then_its_answer_has_every_field(rest: Rest) -> None:
    await rest.submit(jobId="a")
    body = {"action": "cancel", "jobIds": ["a"]}
    answer = await rest.post("/v1/jobs/actions", body)
    assert answer.body == b'{"done":1,"failed":[],"left":false}'
    again = await rest.post("/v1/jobs/actions", body)
    assert again.body == answer.body
    assert again.commit >= answer.commit


async def test_action_when_it_is_of_many_then_in_one_commit(rest: Rest) -> None:
    jobs = [{"type": "t"} for _ in range(500)]
    await rest.post("/v1/jobs/batch", {"jobs": jobs})
    await rest.get("/v1/stats?consistent=true")
    before = (await rest.get("/v1/status")).json["commits"]
    body = {"action": "cancel", "filter": {"type": "t"}}
    assert (await rest.post("/v1/jobs/actions", body)).json["done"] == 500
    assert (await rest.get("/v1/status")).json["commits"] == before + 1


async def test_action_when_jobs_have_changed_since_they_were_looked_at_then_left_alone(
    rest: Rest,
) -> None:
    job_id = await dead(rest, "no")
    seen = ids(await rest.get("/v1/jobs?status=dead"))
    await rest.post(f"/v1/jobs/{job_id}/retry")
    discard = {"action": "cancel", "jobIds": seen, "filter": {"status": "dead"}}
    answer = await rest.post("/v1/jobs/actions", discard)
    assert answer.json == {"done": 0, "failed": [], "left": False, "skipped": 1}
    assert (await rest.get(f"/v1/jobs/{job_id}")).json["status"] == "unclaimed"


async def test_groups_when_letters_come_and_go_then_as_they_are(rest: Rest) -> None:
    assert (await rest.get("/v1/dead/groups")).body == b'{"groups":[],"total":0}'
    first = await dead(rest, "user 7", type="mail")
    second = await dead(rest, "user 42")
    (group,) = (await rest.get("/v1/dead/groups")).json["groups"]
    assert list(group) == [
        "key", "errorType", "message", "count", "types", "oldest", "newest", "jobIds",
    ]  # fmt: skip
    assert (group["message"], group["jobIds"]) == ("user #", [first, second])
    assert group["types"] == {"mail": 1, "": 1}
    await rest.post(f"/v1/jobs/{first}/retry")
    assert (await rest.get("/v1/dead/groups")).json["groups"][0]["jobIds"] == [second]


async def test_ended_when_jobs_move_to_the_archive_then_each_once(
    session: aiohttp.ClientSession,
) -> None:
    async with BrokerServer(
        MemoryBackend(), host="127.0.0.1", port=0, settings=ARCHIVING
    ) as broker:
        rest = Rest(session, broker.url)
        wanted: list[str] = []
        for number in range(30):
            job_id = await dead(rest, "no", payload=number)
            wanted.insert(0, job_id)
        seen, cursor = [], ""
        while True:
            page = await rest.get(f"/v1/ended?limit=4{cursor}")
            seen += ids(page)
            if "nextCursor" not in page.json:
                break
            cursor = f"&cursor={quote(page.json['nextCursor'])}"
        assert seen == wanted
        (job,) = (await rest.get("/v1/ended?limit=1")).json["jobs"]
        assert (job["status"], job["payload"]) == ("dead", 29)
        assert job["endedAt"] >= job["createdAt"]


async def test_looks_at_a_standby_then_sent_to_the_leader(session: aiohttp.ClientSession) -> None:
    store = MemoryBackend()
    async with (
        BrokerServer(store, host="127.0.0.1", port=0) as leader,
        BrokerServer(store, host="127.0.0.1", port=0) as standby,
    ):
        rest = Rest(session, standby.url)
        for path in ("/v1/ended", "/v1/count?type=t", "/v1/dead/groups"):
            answer = await rest.get(path)
            assert (answer.status, answer.headers["location"]) == (307, f"{leader.url}{path}")
