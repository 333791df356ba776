"""Bad requests on every route: refused with a message that names the field, nothing stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from tests.integration.conftest import Shared
from tests.integration.rest import Rest, check, json_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "x" * 257
ERROR = {"type": "E", "message": "m"}
WORKER = {"workerId": "w"}

VALID: dict[str, dict[str, Any]] = {
    "/v1/jobs": {"payload": 1, "type": "refused"},
    "/v1/jobs/batch": {"jobs": [{"payload": 1, "type": "refused"}]},
    "/v1/jobs/claim": {**WORKER, "types": ["held"]},
    "/v1/jobs/held/heartbeat": WORKER,
    "/v1/jobs/held/complete": WORKER,
    "/v1/jobs/held/release": WORKER,
    "/v1/jobs/held/fail": {**WORKER, "error": ERROR},
    "/v1/jobs/heartbeat": {**WORKER, "jobs": [{"jobId": "held"}]},
    "/v1/jobs/complete": {**WORKER, "jobs": [{"jobId": "held"}]},
}
"""A request of each route that takes a body; the cases below spoil one thing of it."""

MISSING = object()
ANYTHING: list[object] = [None, 5, 1.5, True, [], {}]


class Spoiled(NamedTuple):
    """What is wrong: the field that the message must name, and what is put into the request."""

    named: str
    put: dict[str, object]


def each(named: str, values: list[object], *, into: str | None = None) -> list[Spoiled]:
    return [Spoiled(named, {into or named: value}) for value in values]


WORKERS = each("workerId", [MISSING, None, 5, "", [], {}, True, LONG])
LEASES = each("lease", [5, "", [], {}, LONG])
REFS = each(
    "jobs",
    [MISSING, None, "held", 5, {}, {"length": 2}, [5], [None], ["held"], [{}], [{"jobId": 5}],
     [{"jobId": ""}], [{"jobId": "a b"}], [{"jobId": "held", "lease": 5}],
     [{"jobId": f"j{n}"} for n in range(1001)], [{"jobId": "held"}, {"jobId": "held"}]],
)  # fmt: skip
JOB = [
    *each("type", [42, 1.5, [], {}, True, LONG]),
    *each("maxAttempts", [-1, 1.5, "five", "3", True, [], {}, 2**31, 1e300]),
    *each("jobId", [5, "", "a b", "a/b", "ü", "a?b", "a#b", "a%62", "x\n", ".", "..", "x" * 129]),
    *each("priority", [1.5, "1", None, True, [], 2**53, -(2**53)]),
    *each("runAt", [-1, 1.5, "2026-01-01", [], True, 253_402_300_800_000]),
]
FAILURES = [
    *each("error", [MISSING, None, "E", 5, [], {}]),
    *each("type", [{**ERROR, "type": value} for value in ANYTHING], into="error"),
    *each("type", [{**ERROR, "type": LONG}], into="error"),
    *each("message", [{**ERROR, "message": value} for value in ANYTHING], into="error"),
    *each("message", [{"type": "E"}], into="error"),
    *each("traceback", [{**ERROR, "traceback": value} for value in ANYTHING[1:]], into="error"),
    *each("retry", [None, 1, "yes", []]),
    *each("delayMs", [-1, "5", 1.5, 2**60]),
]
SPOILED = {
    "/v1/jobs": JOB,
    "/v1/jobs/batch": [
        *each("jobs", [MISSING, None, {}, "x", {"length": 2}, [None], [1], [[]], [{}] * 1001]),
        *[Spoiled(fault.named, {"jobs": [{}, fault.put]}) for fault in JOB],
    ],
    "/v1/jobs/claim": [
        *WORKERS,
        *each("types", ["t1", 5, {}, {"length": 2}, [1], [None], [LONG], True, ["t"] * 1001]),
        *each("max", [0, -1, 1001, "1", 1.5, True, [], {}]),
        *each("waitMs", [-1, 60_001, "1", 1.5, None, True, []]),
        *each("claimId", ["", 5, [], {}, LONG]),
    ],
    "/v1/jobs/held/heartbeat": [*WORKERS, *LEASES],
    "/v1/jobs/held/complete": [*WORKERS, *LEASES],
    "/v1/jobs/held/release": [*WORKERS, *LEASES],
    "/v1/jobs/held/fail": [*WORKERS, *LEASES, *FAILURES],
    "/v1/jobs/heartbeat": [*WORKERS, *REFS, *each("all", [None, 1, "true", []])],
    "/v1/jobs/complete": [*WORKERS, *REFS],
}


def cases() -> list[Any]:
    found = []
    for path, faults in SPOILED.items():
        for fault in faults:
            message = {**VALID[path], **fault.put}
            message = {name: value for name, value in message.items() if value is not MISSING}
            shown = str(message)[:60].encode("ascii", "replace").decode()
            found.append(pytest.param(path, fault.named, message, id=f"{path} {shown}"))
    return found


@pytest.mark.parametrize(("path", "field", "message"), cases())
async def test_field_when_it_is_wrong_then_400_names_it_and_nothing_is_stored(
    held: Rest, path: str, field: str, message: dict[str, object]
) -> None:
    answer = await held.send("POST", path, json_bytes(message))
    check(answer)
    assert field in answer.message


BROKEN = {
    "empty": b"",
    "blank": b" \n ",
    "cut": b'{"workerId":"w"',
    "two": b"VALID VALID",
    "text behind": b"VALID;",
    "comma": b'{"workerId":"w",}',
    "single quotes": b"{'workerId':'w'}",
    "utf-8 key": b'{"\xff":1}',
    "utf-16": '{"workerId":"w"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"workerId":"w"}',
    "surrogate": b'{"workerId":"\\ud800","type":"\\ud800","jobs":"\\ud800"}',
    "control character": b'{"workerId":"\x01","jobs":"\x01"}',
    "nan": b'{"workerId":NaN}',
    "nested": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "form": b"workerId=w",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("path", VALID)
async def test_body_when_it_is_no_json_then_400(held: Rest, path: str, body: bytes) -> None:
    answer = await held.send("POST", path, body.replace(b"VALID", json_bytes(VALID[path])))
    check(answer)
    assert "body" in answer.message


@pytest.mark.parametrize("body", [b"null", b"[1]", b'"x"', b"5", b"true"])
@pytest.mark.parametrize("path", VALID)
async def test_body_when_it_is_no_object_then_400(held: Rest, path: str, body: bytes) -> None:
    answer = await held.send("POST", path, body)
    check(answer)
    assert "object" in answer.message


@pytest.mark.parametrize("path", VALID)
async def test_body_when_absent_with_its_type_then_400(held: Rest, path: str) -> None:
    check(await held.send("POST", path, headers={}))


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "json", "",
     "application/jsonp", "application/json-patch+json", "multipart/form-data; boundary=x"],
)  # fmt: skip
@pytest.mark.parametrize("path", VALID)
async def test_content_type_when_it_is_not_json_then_415_names_both(
    held: Rest, path: str, kind: str
) -> None:
    body = json_bytes(VALID[path])
    answer = await held.send("POST", path, body, headers={"content-type": kind})
    check(answer, status=415)
    assert "application/json" in answer.message
    assert kind in answer.message


@pytest.mark.parametrize("path", VALID)
async def test_body_when_one_byte_too_large_then_413(held: Rest, path: str) -> None:
    body = json_bytes(VALID[path])
    too_large = body + b" " * (2**20 + 1 - len(body))
    answer = await held.send("POST", path, too_large)
    check(answer, status=413)
    assert "1048576" in answer.message


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


async def test_body_when_one_byte_too_large_in_chunks_then_413(held: Rest) -> None:
    body = json_bytes({"payload": "x" * 2**20})[: 2**20 + 1]
    check(await held.send("POST", "/v1/jobs", chunks(body)), status=413)


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_when_exactly_the_limit_then_it_is_taken(
    shared: Shared, *, chunked: bool
) -> None:
    frame = b'{"type":"limit","payload":"%b"}'
    body = frame % (b"x" * (2**20 - len(frame) + 2))
    assert len(body) == 2**20
    answer = await shared.rest.send("POST", "/v1/jobs", chunks(body) if chunked else body)
    assert answer.status == 200
    claim = await shared.rest.post("/v1/jobs/claim", {**WORKER, "types": ["limit"]})
    assert len(claim.json["payload"]) == 2**20 - len(frame) + 2
    assert (await shared.rest.delete(f"/v1/jobs/{claim.json['jobId']}")).status == 204


async def test_body_when_far_too_large_then_the_client_reads_its_413(held: Rest) -> None:
    check(await held.send("POST", "/v1/jobs", b"x" * 2**23), status=413)
    check(await held.send("POST", "/v1/jobs", chunks(b"x" * 2**23)), status=413)


@pytest.mark.parametrize("path", [p for p in VALID if "/held/" in p])
async def test_job_when_unknown_then_404_names_it(held: Rest, path: str) -> None:
    answer = await held.post(path.replace("held", "ghost"), VALID[path])
    assert (answer.status, answer.tag) == (404, "JobNotFoundError")
    assert "ghost" in answer.message


@pytest.mark.parametrize("path", [p for p in VALID if "/held/" in p])
@pytest.mark.parametrize("other", [{"workerId": "thief"}, {"lease": "not-mine"}])
async def test_lease_when_foreign_then_409_names_the_job(
    held: Rest, path: str, other: dict[str, str]
) -> None:
    answer = await held.post(path, {**VALID[path], **other})
    assert (answer.status, answer.tag) == (409, "LeaseLostError")
    assert "held" in answer.message


async def test_good_requests_when_bad_ones_come_with_them_then_all_are_served(
    job_held: Rest,
) -> None:
    rest = job_held
    bad: list[tuple[str, bytes]] = [
        ("/v1/jobs/claim", b'{"workerId":"w","types":{"length":2}}'),
        ("/v1/jobs/claim", b'{"workerId":"w","types":[{"length":2}]}'),
        ("/v1/jobs", b'{"payload":' + b"[" * 1000 + b"]" * 1000 + b"}"),
        ("/v1/jobs", b'{"payload":"\xff"}'),
        ("/v1/jobs", b'{"type":42}'),
        ("/v1/jobs/batch", b'{"jobs":[{},{"maxAttempts":"five"}]}'),
        ("/v1/jobs/held/complete", b'{"workerId":"thief"}'),
        ("/v1/jobs/ghost/fail", b'{"workerId":"w","error":{"type":"E","message":"m"}}'),
    ]
    good = json_bytes({"type": "good", "payload": {"__proto__": {"constructor": 1}}})
    sent = [
        asyncio.create_task(rest.send("POST", path, body))
        for path, body in [*bad, ("/v1/jobs", good)] * 20
    ]
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*sent)
    statuses = [[answer.status for answer in answers[at::9]] for at in range(9)]
    assert [set(column) for column in statuses] == [*[{400}] * 6, {409}, {404}, {200}]
    jobs = await rest.claim("w", types=["good"], max=1000)
    assert len({job["jobId"] for job in jobs}) == 20
    for job in jobs:
        assert job["payload"] == {"__proto__": {"constructor": 1}}
        await rest.delete(f"/v1/jobs/{job['jobId']}")
