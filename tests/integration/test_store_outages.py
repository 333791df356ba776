"""A store that goes away under a running broker: told by `/readyz`, and nothing lost when back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import boto3
import pytest
from botocore.exceptions import ClientError
from tests.integration.rest import Answer, Rest
from tests.integration.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, CommitSettings, LeadershipSettings
from osqueue.storage import open_store
from osqueue.testing import FaultProxy

SETTINGS = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=500),
    commit=CommitSettings(answer_ms_max=1_000, backoff_max_ms=100),
)


class Bucket:
    """A bucket that can be deleted with all that is in it, and made again."""

    def __init__(self, port: int, url: str) -> None:
        self.url = url
        self._name = url.removeprefix("s3://").partition("?")[0]
        self._s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    async def vanish(self) -> None:
        await asyncio.to_thread(self._vanish)

    async def come_back(self) -> None:
        await asyncio.to_thread(self._s3.create_bucket, Bucket=self._name)

    def _vanish(self) -> None:
        """Again when something was written meanwhile: a bucket that is not empty stays."""
        try:
            for entry in self._s3.list_objects_v2(Bucket=self._name).get("Contents", ()):
                self._s3.delete_object(Bucket=self._name, Key=entry["Key"])
            self._s3.delete_bucket(Bucket=self._name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketNotEmpty":
                raise
            self._vanish()


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.external)])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    server = request.getfixturevalue(request.param)
    port = server.gateway_ports[0] if request.param == "ceph" else server.port
    return Bucket(port, server.new_store())


@pytest.fixture
async def proxy(moto: S3Server) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(moto.endpoint) as proxy:
        yield proxy


async def until_ready(rest: Rest, *, ready: bool) -> Answer:
    """The first answer of `/readyz` that says so."""
    while True:
        answer = await rest.get("/readyz")
        if (answer.status == 200) is ready:
            return answer
        await asyncio.sleep(0.02)


async def test_broker_when_its_bucket_vanishes_then_it_says_so_and_makes_it_good_when_back(
    bucket: Bucket, session: aiohttp.ClientSession
) -> None:
    store = open_store(bucket.url)
    async with BrokerServer(store, host="127.0.0.1", port=0, settings=SETTINGS) as broker:
        rest = Rest(session, broker.url)
        await rest.submit(jobId="before", payload=1)
        await bucket.vanish()
        told = await until_ready(rest, ready=False)
        assert told.json["reason"]
        during = await rest.post("/v1/jobs", {"jobId": "during", "payload": 2})
        assert (during.status, during.json["applied"]) == (503, "unknown")
        await bucket.come_back()
        await until_ready(rest, ready=True)
        again = await rest.post("/v1/jobs", {"jobId": "during", "payload": 2})
        assert again.status == 200
        listed = (await rest.get("/v1/jobs")).json["jobs"]
        assert [(job["id"], job["payload"]) for job in listed] == [("before", 1), ("during", 2)]
    found = await store.get("queue.json")
    assert found is not None
    await store.close()


@pytest.mark.parametrize("hang", [False, True])
async def test_broker_when_its_store_is_not_reached_then_callers_hear_it_in_time_and_it_goes_on(
    hang: bool, moto: S3Server, proxy: FaultProxy, session: aiohttp.ClientSession
) -> None:
    url = moto.new_store()
    direct = moto.endpoint
    store = open_store(url.replace(direct, proxy.url) + "&timeout=0.5")
    async with BrokerServer(store, host="127.0.0.1", port=0, settings=SETTINGS) as broker:
        rest = Rest(session, broker.url)
        await rest.submit(jobId="before")
        proxy.down(hang=hang)
        await until_ready(rest, ready=False)
        waiting = [rest.post("/v1/jobs", {"jobId": f"j{number}"}) for number in range(20)]
        answers = await asyncio.gather(*waiting)
        assert {answer.status for answer in answers} == {503}
        assert (await rest.get("/v1/stats")).status == 503
        await proxy.up()
        await until_ready(rest, ready=True)
        for number in range(20):
            assert (await rest.post("/v1/jobs", {"jobId": f"j{number}"})).status == 200
        listed = (await rest.get("/v1/jobs")).json["jobs"]
        assert sorted(job["id"] for job in listed) == sorted(
            ["before", *(f"j{number}" for number in range(20))]
        )
    await store.close()
