"""Looking: counts, pages of jobs, the state object, health, and the commit that answers rest on."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.rest import Answer, Rest

from osqueue.app import BrokerServer
from osqueue.storage import MemoryBackend

STATS_KEYS = ["total", "unclaimed", "inProgress", "completedTotal", "brokerAddress"]


async def test_stats_when_looked_at_then_the_older_keys_stand_first_in_order(
    rest: Rest, broker: BrokerServer
) -> None:
    for _ in range(4):
        await rest.submit()
    await rest.claim("w", max=2)
    answer = await rest.get("/v1/stats")
    assert list(answer.json)[:5] == STATS_KEYS
    start = b'{"total":4,"unclaimed":2,"inProgress":2,"completedTotal":0,"brokerAddress":"%b"'
    assert answer.body.startswith(start % broker.address.encode())


async def test_stats_when_nothing_happened_then_all_is_zero(
    rest: Rest, broker: BrokerServer
) -> None:
    assert (await rest.get("/v1/stats")).json == {
        "total": 0, "unclaimed": 0, "inProgress": 0, "completedTotal": 0,
        "brokerAddress": broker.address, "delayed": 0, "dead": 0, "deadTotal": 0,
    }  # fmt: skip


async def test_jobs_when_listed_then_the_stats_then_the_jobs_in_their_key_order(rest: Rest) -> None:
    await rest.submit(payload=None, type="t", maxAttempts=5)
    await rest.submit()
    await rest.claim("w")
    answer = await rest.get("/v1/jobs")
    assert list(answer.json)[:5] == STATS_KEYS
    claimed, waiting = answer.json["jobs"]
    assert list(claimed) == [
        "id", "status", "payload", "type", "workerId", "createdAt", "attempts", "maxAttempts",
        "heartbeat",
    ]  # fmt: skip
    assert list(waiting) == ["id", "status", "createdAt", "attempts", "maxAttempts", "heartbeat"]
    assert (claimed["payload"], claimed["maxAttempts"]) == (None, 5)
    assert (waiting["maxAttempts"], waiting["heartbeat"]) == (0, 0)


async def test_jobs_when_there_are_none_then_an_empty_list_and_no_cursor(rest: Rest) -> None:
    page = (await rest.get("/v1/jobs")).json
    assert page["jobs"] == []
    assert "nextCursor" not in page


async def submit_many(rest: Rest, count: int) -> list[str]:
    ids: list[str] = []
    for start in range(0, count, 1000):
        jobs = [
            {"type": "even" if n % 2 == 0 else "odd"}
            for n in range(start, min(count, start + 1000))
        ]
        ids += (await rest.post("/v1/jobs/batch", {"jobs": jobs})).json["jobIds"]
    return ids


async def pages(rest: Rest, query: str) -> list[list[str]]:
    """The ids of all pages."""
    found: list[list[str]] = []
    cursor = ""
    while True:
        page = (await rest.get(f"/v1/jobs?{query}{cursor}")).json
        found.append([job["id"] for job in page["jobs"]])
        if "nextCursor" not in page:
            return found
        cursor = f"&cursor={page['nextCursor']}"


async def test_jobs_when_without_parameters_then_a_thousand_and_a_cursor(rest: Rest) -> None:
    ids = await submit_many(rest, 1001)
    page = (await rest.get("/v1/jobs")).json
    assert [job["id"] for job in page["jobs"]] == ids[:1000]
    rest_of_it = (await rest.get(f"/v1/jobs?cursor={page['nextCursor']}")).json
    assert [job["id"] for job in rest_of_it["jobs"]] == ids[1000:]
    assert "nextCursor" not in rest_of_it


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (8, [7])])
async def test_jobs_when_paged_then_all_once_and_in_order(
    rest: Rest, limit: int, sizes: list[int]
) -> None:
    ids = await submit_many(rest, 7)
    found = await pages(rest, f"limit={limit}")
    assert [len(page) for page in found] == sizes
    assert [job_id for page in found for job_id in page] == ids


async def test_jobs_when_filtered_by_type_then_only_those(rest: Rest) -> None:
    ids = await submit_many(rest, 9)
    found = await pages(rest, "type=odd&limit=2")
    assert [job_id for page in found for job_id in page] == ids[1::2]


async def test_jobs_when_filtered_by_the_empty_type_then_untyped_ones(rest: Rest) -> None:
    await rest.submit(type="t")
    untyped = await rest.submit()
    assert await pages(rest, "type=") == [[untyped]]


async def test_jobs_when_filtered_by_status_then_only_those(rest: Rest) -> None:
    ids = await submit_many(rest, 3)
    await rest.claim("w", max=2)
    body = {"workerId": "w", "error": {"type": "E", "message": ""}, "retry": False}
    await rest.post(f"/v1/jobs/{ids[0]}/fail", body)
    assert await pages(rest, "status=dead") == [[ids[0]]]
    assert await pages(rest, "status=in_progress") == [[ids[1]]]
    assert await pages(rest, "status=unclaimed") == [[ids[2]]]


async def test_jobs_when_one_ends_between_pages_then_no_other_is_skipped(rest: Rest) -> None:
    ids = await submit_many(rest, 4)
    page = (await rest.get("/v1/jobs?limit=2")).json
    await rest.delete(f"/v1/jobs/{ids[0]}")
    page = (await rest.get(f"/v1/jobs?limit=2&cursor={page['nextCursor']}")).json
    assert [job["id"] for job in page["jobs"]] == ids[2:]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=1-0.-5", "cursor"),
        ("cursor=" + "9" * 300, "cursor"),
        ("status=", "status"),
        ("status=done", "status"),
        ("status=dead%0A", "status"),
        ("type=" + "t" * 257, "type"),
        ("consistent=maybe", "consistent"),
        ("consistent=", "consistent"),
    ],
)
async def test_jobs_when_a_parameter_makes_no_sense_then_400_names_it(
    rest: Rest, query: str, field: str
) -> None:
    answer = await rest.get(f"/v1/jobs?{query}")
    assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
    assert f"`{field}`" in answer.message


async def test_state_when_read_then_it_is_the_stored_object_byte_for_byte(
    rest: Rest, store: MemoryBackend
) -> None:
    await rest.submit(payload={"a": [1, None]}, type="t", maxAttempts=2)
    await rest.submit()
    await rest.claim("w")
    answer = await rest.get("/state?consistent=true")
    stored = await store.get("queue.json")
    assert stored is not None
    assert answer.body == stored.data
    claimed, waiting = answer.json["jobs"]
    assert list(claimed)[:9] == [
        "id", "status", "payload", "type", "createdAt", "attempts", "maxAttempts", "workerId",
        "heartbeat",
    ]  # fmt: skip
    assert list(waiting) == ["id", "status", "createdAt", "attempts"]


async def test_state_when_read_then_the_common_fields_say_who_leads(
    rest: Rest, broker: BrokerServer
) -> None:
    state = (await rest.get("/state")).json
    assert state["broker"] == broker.address
    assert state["format"] == 1
    assert state["completedTotal"] == 0
    assert state["brokerHeartbeat"] > 1_700_000_000_000


async def test_health_when_asked_then_the_constant(rest: Rest) -> None:
    assert (await rest.get("/healthz")).body == b'{"status":"ok"}'


async def test_ready_when_leading_then_200_and_who(rest: Rest, broker: BrokerServer) -> None:
    answer = await rest.get("/readyz")
    assert answer.status == 200
    ready = answer.json
    assert (ready["status"], ready["role"]) == ("ready", "leader")
    assert ready["leader"] == broker.address
    assert ready["brokerId"] == (await rest.state())["brokerId"]


async def test_throttle_when_there_is_none_then_it_says_so(rest: Rest) -> None:
    assert (await rest.get("/v1/throttle-stats")).body == b'{"throttling":false}'


async def test_commit_when_answers_follow_each_other_then_it_never_goes_back(rest: Rest) -> None:
    job_id = await rest.submit()
    lease = (await rest.claim("w"))["lease"]
    held = {"workerId": "w", "lease": lease}
    answers = [
        await rest.post("/v1/jobs", {}),
        await rest.get("/v1/stats"),
        await rest.get("/v1/jobs"),
        await rest.get("/state"),
        await rest.get(f"/v1/jobs/{job_id}"),
        await rest.post(f"/v1/jobs/{job_id}/heartbeat", held),
        await rest.post("/v1/jobs/claim", {"workerId": "w", "types": ["none"]}),
        await rest.post(f"/v1/jobs/{job_id}/complete", held),
        await rest.get("/v1/jobs/ghost"),
        await rest.post("/v1/jobs/ghost/complete", held),
        await rest.post("/v1/jobs/batch", {"jobs": [{}]}),
        await rest.post("/v1/jobs/complete", {"workerId": "w", "jobs": [{"jobId": "ghost"}]}),
    ]
    seen = [answer.commit for answer in answers]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


async def test_commit_when_many_ask_at_once_then_a_read_is_never_behind_an_answered_write(
    rest: Rest,
) -> None:
    async def write_then_read() -> tuple[Answer, Answer]:
        return await rest.post("/v1/jobs", {"payload": 1}), await rest.get("/v1/stats")

    for wrote, read in await asyncio.gather(*[write_then_read() for _ in range(50)]):
        assert read.commit >= wrote.commit
    assert (await rest.get("/v1/stats")).json["total"] == 50


async def test_reads_when_nothing_changes_then_they_commit_nothing(
    rest: Rest, store: MemoryBackend
) -> None:
    await rest.submit()
    before = await store.get("queue.json")
    for _ in range(5):
        await rest.get("/v1/stats?consistent=true")
        await rest.post("/v1/jobs/claim", {"workerId": "w", "types": ["none"]})
        await rest.get("/v1/jobs")
    after = await store.get("queue.json")
    assert before is not None
    assert after is not None
    ours = json.loads(before.data), json.loads(after.data)
    assert [state["jobs"] for state in ours] == [ours[0]["jobs"]] * 2
    assert int(after.version) - int(before.version) <= 1  # a heartbeat of the leader may fall in
