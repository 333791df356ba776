"""gRPC on its own port, asked by grpcio with messages that are compiled when the tests run."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tests.conformance.stubs import messages
from tests.integration.rest import eventually, waiting_claims

from osqueue.app import BrokerServer
from osqueue.config import MIB, BrokerSettings, ServerSettings, StreamSettings
from osqueue.errors import ConfigError
from osqueue.storage import MemoryBackend
from osqueue.wire.methods import METHODS, SERVICE, STREAMED

UNBOUNDED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Grpc:
    """A channel, and calls on it."""

    def __init__(self, port: int | None) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=UNBOUNDED)

    def call(self, method: str, /, *, within: float | None = 20, **fields: Any) -> Any:
        asks, answers = messages(method)
        ask = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=asks.SerializeToString,
            response_deserializer=answers.FromString,
        )
        return ask(asks(**fields), timeout=within)

    def stream(self, method: str, /, **fields: Any) -> Any:
        asks, answers = messages(method)
        ask = self.channel.unary_stream(
            f"/{SERVICE}/{method}",
            request_serializer=asks.SerializeToString,
            response_deserializer=answers.FromString,
        )
        return ask(asks(**fields))


@pytest.fixture
async def broker() -> AsyncIterator[BrokerServer]:
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker:
        yield broker


@pytest.fixture
async def client(broker: BrokerServer) -> AsyncIterator[Grpc]:
    client = Grpc(broker.grpc_port)
    yield client
    await client.channel.close()


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    """The code of a refusal, and the tag in its details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            assert (status.code, status.message) == (error.code().value[0], error.details())
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            return error.code(), info.reason
    return error.code(), ""


async def test_job_when_submitted_claimed_and_completed_then_done(client: Grpc) -> None:
    call = client.call("SubmitJob", payload=b'{"a": 1}', type="t")
    submitted = await call
    assert dict(await call.initial_metadata())["osqueue-commit"]
    job = await client.call("ClaimJob", worker_id="w", types=["t"])
    assert (job.job_id, job.payload, job.attempt) == (submitted.job_id, b'{"a": 1}', 1)
    await client.call("Heartbeat", job_id=job.job_id, worker_id="w", lease=job.lease)
    await client.call("CompleteJob", job_id=job.job_id, worker_id="w", lease=job.lease)
    assert (await client.call("GetStats")).completed_total == 1


async def test_refusal_when_it_arrives_then_code_and_tag_say_why(client: Grpc) -> None:
    unknown = await refused(client.call("Heartbeat", job_id="x", worker_id="w"))
    assert unknown == (grpc.StatusCode.NOT_FOUND, "JobNotFoundError")
    await client.call("SubmitJob", job_id="held")
    await client.call("ClaimJob", worker_id="w")
    foreign = await refused(client.call("Complete", job_id="held", worker_id="other"))
    assert foreign == (grpc.StatusCode.FAILED_PRECONDITION, "LeaseLostError")
    invalid = await refused(client.call("SubmitJob", payload=b"{"))
    assert invalid == (grpc.StatusCode.INVALID_ARGUMENT, "BrokerProtocolError")


async def test_message_when_it_cannot_be_read_then_refused(client: Grpc) -> None:
    raw: Any = client.channel.unary_unary(f"/{SERVICE}/SubmitJob")
    code, tag = await refused(raw(b"\xff\xff"))
    assert (code, tag) == (grpc.StatusCode.INVALID_ARGUMENT, "BrokerProtocolError")


async def test_call_when_it_ends_without_a_message_then_refused(client: Grpc) -> None:
    raw: Any = client.channel.stream_unary(f"/{SERVICE}/GetStats")
    assert (await refused(raw(iter(()))))[1] == "BrokerProtocolError"


async def test_batch_when_of_very_many_that_are_empty_then_refused_without_reading_them(
    client: Grpc,
) -> None:
    ask = client.channel.unary_unary(f"/{SERVICE}/SubmitJobs")
    assert await refused(ask(b"\x0a\x00" * 500_000)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "BrokerProtocolError",
    )


async def test_method_when_unknown_then_unimplemented(client: Grpc) -> None:
    raw: Any = client.channel.unary_unary(f"/{SERVICE}/Nope")
    assert (await refused(raw(b"")))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_text_of_a_refusal_when_it_is_long_then_it_still_arrives(client: Grpc) -> None:
    code, tag = await refused(client.call("GetJob", job_id="ü" * 60_000))
    assert (code, tag) == (grpc.StatusCode.NOT_FOUND, "JobNotFoundError")


@pytest.mark.parametrize("method", ["SubmitJobs", "ClaimJob", "CompleteJobs"])
async def test_message_when_beyond_the_limit_then_refused_with_the_tag(
    client: Grpc, method: str
) -> None:
    raw: Any = client.channel.unary_unary(f"/{SERVICE}/{method}")
    code, tag = await refused(raw(bytes(MIB + 1)))
    assert (code, tag) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BrokerProtocolError")


async def test_message_when_far_beyond_the_limit_then_the_next_call_is_answered(
    client: Grpc,
) -> None:
    raw: Any = client.channel.unary_unary(f"/{SERVICE}/SubmitJob")
    assert (await refused(raw(bytes(70 * MIB))))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    bomb = raw(bytes(300 * MIB), compression=grpc.Compression.Gzip)
    assert (await refused(bomb))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await client.call("GetStats")).total == 0


@pytest.mark.parametrize("size", [5_000_000, 64 * MIB - 2])
async def test_payload_when_large_then_it_comes_back_the_same(client: Grpc, size: int) -> None:
    payload = b'"' + b"x" * size + b'"'
    await client.call("SubmitJob", payload=payload)
    assert (await client.call("ClaimJob", worker_id="w")).payload == payload


@pytest.mark.parametrize("how", ["deadline", "cancel", "connection"])
async def test_caller_when_gone_while_its_claim_waits_then_it_takes_no_job(
    client: Grpc, broker: BrokerServer, how: str
) -> None:
    gone = Grpc(broker.grpc_port)
    within = 0.3 if how == "deadline" else 20
    call = gone.call("ClaimJob", worker_id="gone", wait_ms=20_000, within=within)
    waiting = asyncio.ensure_future(refused(call))
    await eventually(lambda: waiting_claims(broker) == 1)
    if how == "cancel":
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    elif how == "connection":
        await gone.channel.close()
        waiting.cancel()
    else:
        assert (await waiting)[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: waiting_claims(broker) == 0)
    await gone.channel.close()
    job_id = (await client.call("SubmitJob")).job_id
    assert (await client.call("ClaimJob", worker_id="there")).job_id == job_id


@pytest.mark.parametrize("method", ["ClaimJob", "ClaimJobs", "Claim"])
async def test_caller_when_gone_before_its_answer_is_sent_then_others_get_the_job(
    client: Grpc, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    ready = asyncio.Event()

    async def held_up(*_: object) -> None:
        ready.set()
        await asyncio.Event().wait()

    job_id = (await client.call("SubmitJob")).job_id
    with monkeypatch.context() as patch:
        patch.setattr("osqueue.server.rpc.grpc_port.name_commit", held_up)
        call = client.call(method, worker_id="gone")
        await ready.wait()
        call.cancel()
    again = await client.call("ClaimJob", worker_id="there", wait_ms=20_000)
    assert (again.job_id, again.attempt) == (job_id, 1)


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b'{"a": 1}', b" 1", b'{"$bytes":"aGk="}'])
async def test_bytes_when_pushed_then_claimed_as_they_are(client: Grpc, data: bytes) -> None:
    job_id = (await client.call("Push", data=data)).job_id
    job = await client.call("Claim", worker_id="go")
    assert (job.job_id, job.data, job.empty) == (job_id, data, False)
    await client.call("Heartbeat", job_id=job_id, worker_id="go")
    await client.call("Complete", job_id=job_id, worker_id="go")
    assert (await client.call("Claim", worker_id="go")).empty


async def test_bytes_when_large_then_claimed_as_they_are(client: Grpc) -> None:
    for data in (b"\xff" * 3_000_000, b'"' + b"x" * 3_000_000 + b'"'):
        await client.call("Push", data=data)
        assert (await client.call("Claim", worker_id="go")).data == data


async def test_subscription_when_a_job_comes_then_it_is_told(client: Grpc) -> None:
    updates = client.stream("Subscribe")
    assert (await updates.read()).stats.broker_address
    job_id = (await client.call("SubmitJob")).job_id
    (event,) = (await updates.read()).events
    assert (event.kind, event.job_id) == ("submitted", job_id)
    updates.cancel()


async def test_jobs_when_streamed_then_as_many_as_there_is_credit_for(client: Grpc) -> None:
    jobs = client.stream("StreamJobs", worker_id="w", credit=1, stream_id="s")
    await jobs.initial_metadata()
    for _ in range(2):
        await client.call("SubmitJob")
    assert len((await jobs.read()).jobs) == 1
    await client.call("AddCredit", stream_id="s", total=2)
    assert len((await jobs.read()).jobs) == 1
    jobs.cancel()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (BrokerSettings(server=ServerSettings(send_s_max=50)), "updates with"),
        (
            BrokerSettings(
                server=ServerSettings(send_s_max=1),
                streams=StreamSettings(updates_max=10_000, events_max=10_000_000),
            ),
            "nothing was taken in for 1 s",
        ),
    ],
    ids=["much", "long"],
)
async def test_reader_when_it_takes_in_nothing_then_dropped_with_the_reason(
    settings: BrokerSettings, reason: str
) -> None:
    """By what waits for it, or by how long, whichever bound it comes to first."""
    async with BrokerServer(
        "memory://", host="127.0.0.1", port=0, grpc_port=None, settings=settings
    ) as broker:
        slow, quick = Grpc(broker.grpc_port), Grpc(broker.grpc_port)
        updates = slow.stream("Subscribe")
        await updates.read()
        listener: Any = broker._engine.listener  # type: ignore[union-attr]
        job = messages("SubmitJob")[0](type="t" * 200)
        async with asyncio.timeout(50):
            while len(listener.subscriptions) == 1:
                await quick.call("SubmitJobs", jobs=[job] * 500)

        async def read_on() -> None:
            while await updates.read() is not grpc.aio.EOF:
                pass

        async with asyncio.timeout(50):
            refusal = await refused(read_on())
        assert refusal == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OverloadedError")
        assert reason in await updates.details()
        await slow.channel.close()
        await quick.channel.close()


# Health


async def test_health_when_the_broker_leads_then_serving(client: Grpc) -> None:
    health = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", SERVICE):
        asked = health_pb2.HealthCheckRequest(service=service)
        assert (await health.Check(asked)).status == SERVING
    unknown = health.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert (await refused(unknown))[0] is grpc.StatusCode.NOT_FOUND


async def test_health_when_the_broker_stands_by_then_not_serving_until_it_leads() -> None:
    store = MemoryBackend()
    leader = BrokerServer(store, host="127.0.0.1", port=0)
    await leader.start()
    async with BrokerServer(store, host="127.0.0.1", port=0, grpc_port=None) as standby:
        client = Grpc(standby.grpc_port)
        health = health_pb2_grpc.HealthStub(client.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == NOT_SERVING
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
        code, tag = await refused(client.call("SubmitJob"))
        assert (code, tag) == (grpc.StatusCode.UNAVAILABLE, "BrokerLeadershipError")
        await leader.stop()
        async with asyncio.timeout(20):
            assert (await watch.read()).status == SERVING
        await client.channel.close()


async def test_health_when_too_many_watch_it_then_the_next_is_refused_until_one_leaves(
    client: Grpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osqueue.server.rpc.grpc_extras.HEALTH_WATCHES_MAX", 1)
    health = health_pb2_grpc.HealthStub(client.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    code, _ = await refused(health.Watch(health_pb2.HealthCheckRequest()).read())
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    watch.cancel()
    async with asyncio.timeout(20):
        while True:
            again = health.Watch(health_pb2.HealthCheckRequest())
            with suppress(grpc.aio.AioRpcError):
                assert (await again.read()).status == SERVING
                return


async def test_health_when_the_broker_stops_then_those_who_watch_are_told() -> None:
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None)
    await broker.start()
    client = Grpc(broker.grpc_port)
    watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    async with asyncio.timeout(5):
        await asyncio.gather(broker.stop(), read_until(watch, NOT_SERVING))
    await client.channel.close()


async def read_until(watch: Any, status: int) -> None:
    while (await watch.read()).status != status:
        pass


# Reflection


async def test_reflection_when_asked_then_every_method_is_described(
    broker: BrokerServer,
) -> None:
    def described() -> tuple[set[str], set[str], set[str]]:
        with grpc.insecure_channel(f"127.0.0.1:{broker.grpc_port}") as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            service = DescriptorPool(database).FindServiceByName(SERVICE)
            fields = {field.name for field in service.methods[0].input_type.fields}
            return set(database.get_services()), {each.name for each in service.methods}, fields

    services, methods, fields = await asyncio.to_thread(described)
    assert {SERVICE, "grpc.health.v1.Health"} < services
    assert methods == {each.name for each in (*METHODS, *STREAMED)} | {"Push", "Claim", "Complete"}
    assert {"payload", "job_id", "priority"} < fields


# The port


async def test_port_when_taken_and_asked_for_then_a_config_error_that_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=port)
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*--grpc-port"):
            await broker.start()


async def test_port_when_taken_and_nobody_asked_for_it_then_the_broker_serves_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as free:
        monkeypatch.setattr("osqueue.server.rpc.grpc_port.GRPC_PORT", other.getsockname()[1])
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        async with BrokerServer("memory://", host="127.0.0.1", port=port) as broker:
            assert (broker.grpc_port, broker.status().grpc_port) == (None, None)
    assert "no gRPC: cannot listen on" in caplog.text


@pytest.mark.parametrize("settings", [{"port": 0}, {"port": 0, "grpc_port": 0}])
async def test_port_when_off_then_there_is_none(settings: dict[str, int]) -> None:
    async with BrokerServer("memory://", host="127.0.0.1", **settings) as broker:  # type: ignore[arg-type]
        assert broker.grpc_port is None


async def test_port_when_served_then_the_status_tells_it(
    client: Grpc, broker: BrokerServer
) -> None:
    assert (await client.call("GetStatus")).grpc_port == broker.grpc_port
    assert broker.status().grpc_port == broker.grpc_port


async def test_port_when_the_broker_has_stopped_then_it_is_free_again() -> None:
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker:
        port = broker.grpc_port
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=port) as again:
        client = Grpc(again.grpc_port)
        assert (await client.call("GetStatus")).ready
        await client.channel.close()


async def test_stop_when_a_claim_waits_then_it_is_answered_and_the_stop_is_quick() -> None:
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None)
    await broker.start()
    client = Grpc(broker.grpc_port)
    waiting = asyncio.ensure_future(refused(client.call("ClaimJob", worker_id="w", wait_ms=20_000)))
    await eventually(lambda: waiting_claims(broker) == 1)
    async with asyncio.timeout(4):
        await broker.stop()
    assert (await waiting)[0] is grpc.StatusCode.UNAVAILABLE
    await client.channel.close()


@pytest.mark.parametrize("port", [-1, 65_536])
def test_port_when_it_is_none_then_a_config_error(port: int) -> None:
    with pytest.raises(ConfigError, match="gRPC port"):
        BrokerServer("memory://", grpc_port=port)
