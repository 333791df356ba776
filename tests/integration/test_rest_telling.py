"""What workers tell of themselves and of their types in plain HTTP, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.rest import Rest, check

from osqueue.app import BrokerServer
from osqueue.wire.messages import WorkerInfo

PATH = "/v1/types"


async def put(rest: Rest, body: object) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await rest.send("PUT", PATH, data)


async def test_types_when_put_then_204_and_read_as_they_were_written(rest: Rest) -> None:
    answer = await put(rest, b'{"types": {"a": {"schema": {"const" :  1.50}}, "b": {"more": 1}}}')
    assert (answer.status, answer.body) == (204, b"")
    assert answer.commit[0] > 0
    told = await rest.get(PATH)
    assert told.body == b'{"types":{"a":{"schema":{"const" :  1.50}},"b":{}}}'
    assert told.commit >= answer.commit


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "no body"),
        (b"{", "not valid JSON"),
        (b"{}", "types"),
        ({"types": []}, "types"),
        ({"types": {"": {}}}, "types"),
        ({"types": {"t" * 257: {}}}, "types"),
        ({"types": {f"t{at}": {} for at in range(1_001)}}, "types"),
        ({"types": {"t": None}}, "types"),
        ({"types": {"t": {"schema": True}}}, "'t'"),
        (b'{"types": {"t": {"schema": {"a": "\xff"}}}}', "UTF-8"),
        (b'{"types": {"t": {"schema": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}}", "deeper"),
    ],
)
async def test_types_when_the_request_is_wrong_then_400_and_nothing_is_kept(
    rest: Rest, body: object, field: str
) -> None:
    answer = await put(rest, body)
    check(answer)
    assert field in answer.message
    assert (await rest.get(PATH)).json == {"types": {}}


async def test_types_when_the_body_is_too_large_then_413(rest: Rest) -> None:
    check(await put(rest, b" " * (1024 * 1024 + 1)), status=413)


async def test_types_when_asked_for_by_other_methods_then_405(rest: Rest) -> None:
    answer = await rest.post(PATH, {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PUT")


async def test_worker_when_its_numbers_are_written_as_others_do_then_they_are_taken(
    rest: Rest, broker: BrokerServer
) -> None:
    await rest.claim("w", worker={"concurrency": 3.0, "pid": 4.0, "unknown": 1.5})
    assert broker.workers()[0].info == WorkerInfo(concurrency=3, pid=4)


@pytest.mark.parametrize("worker", [1, [], "w", {"types": "t"}, {"concurrency": 1.5}])
async def test_worker_when_it_is_not_what_it_should_be_then_400(
    rest: Rest, broker: BrokerServer, worker: object
) -> None:
    for path in ("/v1/jobs/claim", "/v1/jobs/heartbeat"):
        answer = await rest.post(path, {"workerId": "w", "jobs": [], "worker": worker})
        check(answer)
        assert "`worker" in answer.message
    assert broker.workers() == []
