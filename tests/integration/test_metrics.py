"""`GET /metrics`, read as Prometheus reads it, and what each figure says."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from tests.integration.conftest import Dial
from tests.integration.rest import Rest, eventually, request

from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient
from osqueue.clock import SystemEntropy
from osqueue.config import METRIC_TYPES_MAX, AccessSettings, BrokerSettings, ServerSettings
from osqueue.engine.observer import Answered
from osqueue.engine.requests import Landed
from osqueue.errors import AuthError, JobNotFoundError
from osqueue.server.door.tokens import new_token, token_line
from osqueue.storage import MemoryBackend
from osqueue.testing.faulty_store import Fault, ScriptedStore, Step
from osqueue.wire.roles import Role

HERE = {"host": "127.0.0.1", "port": 0}

UNITS = ("seconds", "bytes", "total", "info")
WHOLE = frozenset({
    "osqueue_requests", "osqueue_connections_opened", "osqueue_commits", "osqueue_store_errors",
    "osqueue_role_changes", "osqueue_jobs_completed", "osqueue_jobs_dead",
})  # fmt: skip


class Figures:
    """All samples of one scrape, by name and labels."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in plain(text)}
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((f"osqueue_{name}", frozenset(labels.items())))


async def scrape(rest: Rest) -> Figures:
    answer = await rest.get("/metrics")
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Figures(answer.body.decode())


Figure = Callable[..., Awaitable[float | None]]


def figures_of(rest: Rest) -> Figure:
    async def figure(name: str, **labels: str) -> float | None:
        return (await scrape(rest))(name, **labels)

    return figure


async def until(figure: Figure, value: float, name: str, **labels: str) -> None:
    """Scrape until a figure has come to this; fails when it never does."""
    async with asyncio.timeout(10):
        while await figure(name, **labels) != value:
            pass


async def test_metrics_when_scraped_then_two_parsers_read_them_and_names_keep_the_conventions(
    rest: Rest,
) -> None:
    await rest.submit(type="mail")
    figures = await scrape(rest)
    answer = await rest.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = openmetrics(answer.body.decode())  # type: ignore[no-untyped-call]
    strict = {family.name: family for family in families}
    ours = {name: family for name, family in figures.families.items() if name.startswith("osq")}
    assert ours.keys() == {name for name in strict if name.startswith("osq")}
    for name, family in ours.items():
        assert re.fullmatch(r"osqueue(_[a-z]+)+", name)
        assert family.documentation.endswith(".")
        assert (family.type == "counter") is (name in WHOLE)
        for sample in family.samples:
            assert (family.type == "counter") is sample.name.endswith("_total")
    kinds = {family.type for family in ours.values()}
    assert kinds == {"counter", "gauge", "histogram"}


async def test_metrics_when_jobs_wait_run_and_end_then_the_depths_say_so(rest: Rest) -> None:
    for type_ in ("mail", "mail", "image", "image", "image"):
        await rest.submit(type=type_)
    await rest.submit(after=[await rest.submit(runAt=4_000_000_000_000)])
    done, dead, *_ = [await rest.claim(types=["image"]) for _ in range(3)]
    lease = {"workerId": "w", "lease": done["lease"]}
    await rest.post(f"/v1/jobs/{done['jobId']}/complete", lease)
    lease = {"workerId": "w", "lease": dead["lease"]}
    error = {"type": "E", "message": "no"}
    await rest.post(f"/v1/jobs/{dead['jobId']}/fail", {**lease, "error": error, "retry": False})
    figures = await scrape(rest)
    statuses = ("ready", "delayed", "waiting", "in_progress", "dead")
    depths = {status: figures("jobs", status=status) for status in statuses}
    assert depths == {"ready": 2, "delayed": 1, "waiting": 1, "in_progress": 1, "dead": 1}
    assert figures("ready_jobs", type="mail") == 2
    assert figures("ready_jobs", type="image") is None
    assert figures("jobs_completed_total") == figures("jobs_dead_total") == 1
    age = figures("oldest_ready_job_age_seconds")
    assert age is not None
    assert 0 < age < 30
    assert (figures("leader"), figures("ready")) == (1, 1)
    assert figures("epoch") == (await rest.get("/v1/status")).json["epoch"]


async def test_metrics_when_nothing_is_ready_then_no_job_waits(rest: Rest) -> None:
    figures = await scrape(rest)
    assert figures("oldest_ready_job_age_seconds") == 0
    assert figures("jobs", status="ready") == 0


async def test_metrics_when_there_are_many_types_then_most_of_them_are_one(rest: Rest) -> None:
    jobs = [{"type": f"t{number}"} for number in range(METRIC_TYPES_MAX + 5)]
    await rest.post("/v1/jobs/batch", {"jobs": [*jobs, *({"type": "other"} for _ in range(9))]})
    figures = await scrape(rest)
    series = [name for name, _ in figures.samples if name == "osqueue_ready_jobs"]
    assert len(series) == METRIC_TYPES_MAX
    assert figures("ready_jobs", type="other") == 9 + 5 + 1


@pytest.mark.parametrize("type_", ['a"b\\c\nd', "ünï", "", "{}=,"])
async def test_metrics_when_a_type_has_odd_letters_then_they_are_read_back(
    rest: Rest, type_: str
) -> None:
    await rest.submit(type=type_)
    assert (await scrape(rest))("ready_jobs", type=type_) == 1


async def test_metrics_when_requests_come_then_they_are_counted_by_outcome(rest: Rest) -> None:
    await rest.submit()
    await rest.post("/v1/jobs", {"type": 5})
    await rest.get("/v1/jobs/none")
    await rest.get("/nowhere")
    figures = await scrape(rest)

    def number(operation: str, outcome: str) -> float | None:
        return figures("requests_total", operation=operation, transport="rest", outcome=outcome)

    assert number("submitJob", "ok") == 1
    assert number("submitJob", "BrokerProtocolError") == 1
    assert number("getJob", "JobNotFoundError") == 1
    assert number("", "BrokerProtocolError") == 1
    took = figures("request_duration_seconds_count", operation="submitJob", transport="rest")
    assert took == 2
    assert (await scrape(rest))(
        "requests_total", operation="/metrics", transport="rest", outcome="ok"
    ) == 1


TRANSPORTS = {"rest": "rest", "ws": "ws", "connect": "connect", "grpc": "grpc"}
"""The clients' kinds of transports, and as what each is counted."""


@pytest.fixture
async def everywhere(session: aiohttp.ClientSession) -> AsyncIterator[Rest]:
    """A broker on both ports, which logs each request."""
    server = ServerSettings(access_log=True, grpc_port=None)
    settings = BrokerSettings(server=server)
    async with BrokerServer("memory://", settings=settings, **HERE) as broker:  # type: ignore[arg-type] # fields by name
        yield Rest(session, broker.url)


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_metrics_when_requests_come_by_any_transport_then_they_are_counted_and_logged_alike(
    everywhere: Rest, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="osqueue.access")
    figure, counted_as = figures_of(everywhere), TRANSPORTS[kind]
    async with OsqueueClient(everywhere.url, transport=kind) as client:
        await client.submit_job("mail", "very-secret")
        with pytest.raises(JobNotFoundError):
            await client.get_job("none")
        found = {"operation": "getJob", "transport": counted_as, "outcome": "JobNotFoundError"}
        await until(figure, 1, "requests_total", **found)
        sent = {"operation": "submitJob", "transport": counted_as}
        assert await figure("requests_total", outcome="ok", **sent) == 1
        assert await figure("request_duration_seconds_count", **sent) == 1
    ours = [line for line in lines(caplog) if line["transport"] == counted_as]
    submit = next(line for line in ours if line["operation"] == "submitJob")
    assert (submit["outcome"], submit["principal"]) == ("ok", "anonymous")
    assert submit["peer"] == "127.0.0.1"
    assert submit["received"] > 10
    assert "secret" not in caplog.text


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_metrics_when_a_token_is_missing_then_that_is_counted_by_any_transport(
    session: aiohttp.ClientSession, kind: str
) -> None:
    made = new_token("eve", frozenset({Role.OBSERVE}), SystemEntropy())
    settings = BrokerSettings(
        access=AccessSettings(tokens=token_line(made.entry)), server=ServerSettings(grpc_port=None)
    )
    async with BrokerServer("memory://", settings=settings, **HERE) as broker:  # type: ignore[arg-type] # fields by name
        async with OsqueueClient(broker.url, transport=kind, token=made.token) as client:
            with pytest.raises(AuthError):
                await client.submit_job("mail")
        text = (await session.get(f"{broker.url}/metrics", headers=bearer(made.token))).text
        refused = {"operation": "submitJob", "transport": TRANSPORTS[kind], "outcome": "AuthError"}
        assert Figures(await text())("requests_total", **refused) == 1


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_metrics_when_a_websocket_is_open_then_it_is_counted(everywhere: Rest) -> None:
    figure = figures_of(everywhere)
    async with OsqueueClient(everywhere.url, transport="ws") as client:
        await client.get_stats()
        assert await figure("connections", transport="ws") == 1
    await until(figure, 0, "connections", transport="ws")
    assert await figure("connections_opened_total", transport="ws") == 1


async def test_metrics_when_somebody_listens_then_subscriptions_and_streams_are_counted(
    everywhere: Rest,
) -> None:
    figure = figures_of(everywhere)
    async with OsqueueClient(everywhere.url, transport="ws") as client:
        reading = asyncio.ensure_future(anext(aiter(client.stream_jobs("w", credit=1))))
        await until(figure, 1, "job_streams")
        reading.cancel()
    await until(figure, 0, "job_streams")
    async with everywhere.session.get(f"{everywhere.url}/v1/events") as response:
        await response.content.readuntil(b"\n\n")
        assert await figure("subscriptions") == 1
    await until(figure, 0, "subscriptions")


async def test_metrics_when_a_caller_leaves_while_it_claims_then_it_is_counted_as_gone(
    broker: BrokerServer, rest: Rest, dial: Dial
) -> None:
    wire = await dial(broker)
    await wire.send(request("/v1/jobs/claim", b'{"workerId":"w","waitMs":60000}'))

    figure = figures_of(rest)
    await until(figure, 1, "waiting_claims")
    wire.drop()
    gone = {"operation": "claimJobs", "transport": "rest", "outcome": "gone"}
    await until(figure, 1, "requests_total", **gone)
    assert await figure("waiting_claims") == 0


async def test_metrics_when_commits_land_then_they_are_counted_with_their_size(rest: Rest) -> None:
    before = await scrape(rest)
    await rest.post("/v1/jobs/batch", {"jobs": [{"payload": "x" * 3_000} for _ in range(3)]})
    after = await scrape(rest)

    def grown(name: str, **labels: str) -> float:
        return (after(name, **labels) or 0) - (before(name, **labels) or 0)

    assert grown("commits_total") == 1
    assert grown("commit_operations_sum") == 1
    assert grown("commit_jobs_sum") == 3
    assert 9_000 < grown("commit_bytes_sum") < 20_000
    assert grown("commit_duration_seconds_count") == 1
    assert grown("store_request_duration_seconds_count", kind="put") == 1
    assert grown("state_bytes") > 9_000


async def test_metrics_when_connections_come_and_go_then_they_are_counted(
    broker: BrokerServer, rest: Rest, dial: Dial
) -> None:
    before = await scrape(rest)
    wires = [await dial(broker) for _ in range(3)]
    for wire in wires:
        await wire.send(request("/healthz", method="GET"))
        await wire.answer()
    during = await scrape(rest)
    for wire in wires:
        wire.drop()

    open_before = before("connections", transport="http") or 0
    assert during("connections", transport="http") == open_before + 3
    await until(figures_of(rest), open_before, "connections", transport="http")


async def test_metrics_when_the_store_fails_then_its_errors_are_counted(
    session: aiohttp.ClientSession,
) -> None:
    store = ScriptedStore(MemoryBackend())
    async with BrokerServer(store, **HERE) as broker:  # type: ignore[arg-type] # fields by name
        rest = Rest(session, broker.url)
        store.then(Step("put", fault=Fault.LOST_REPLY))
        await rest.submit()
        figures = await scrape(rest)
        errors = {
            labels: value
            for (name, labels), value in figures.samples.items()
            if name == "osqueue_store_errors_total" and ("kind", "put") in labels
        }
        assert errors[frozenset({"kind": "put", "error": "StoreUnknownError"}.items())] == 1


async def test_metrics_when_the_broker_is_only_starting_then_it_does_not_lead(
    session: aiohttp.ClientSession,
) -> None:
    store = ScriptedStore(MemoryBackend(), [Step("get", hold="request")])
    broker = BrokerServer(store, **HERE)  # type: ignore[arg-type] # fields by name
    starting = asyncio.create_task(broker.start())
    await store.held()
    figures = await scrape(Rest(session, broker.url))
    assert (figures("leader"), figures("ready"), figures("epoch")) == (0, 0, 0)
    store.release()
    async with asyncio.timeout(10):
        await starting
    await broker.stop()


async def test_metrics_of_a_standby_when_scraped_then_it_tells_no_depths(
    store: MemoryBackend, rest: Rest, session: aiohttp.ClientSession
) -> None:
    await rest.submit()
    async with BrokerServer(store, **HERE) as standby:  # type: ignore[arg-type] # fields by name
        figures = await scrape(Rest(session, standby.url))
        assert (figures("leader"), figures("ready")) == (0, 0)
        assert figures("jobs", status="ready") is None
        assert figures("waiting_claims") is None
        assert figures("epoch") == (await scrape(rest))("epoch")


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/openmetrics-text; version=x; q=", "text/plain;version=,;;=;\xff"],
)
async def test_metrics_when_what_is_accepted_is_odd_then_they_are_told_all_the_same(
    rest: Rest, accept: str
) -> None:
    assert (await rest.get("/metrics", accept=accept)).status == 200


async def test_metrics_when_tokens_are_needed_then_only_observers_see_them(
    session: aiohttp.ClientSession,
) -> None:
    entropy = SystemEntropy()
    sees, works = [
        new_token(role, frozenset({role}), entropy) for role in (Role.OBSERVE, Role.WORK)
    ]
    tokens = ";".join(token_line(made.entry) for made in (sees, works))
    settings = BrokerSettings(access=AccessSettings(tokens=tokens))
    async with BrokerServer("memory://", settings=settings, **HERE) as broker:  # type: ignore[arg-type] # fields by name
        rest = Rest(session, broker.url)
        asked = [f"Bearer {made.token}" for made in (sees, works)]
        answers = [await rest.get("/metrics", authorization=token) for token in asked]
        assert [answer.status for answer in answers] == [200, 403]
        assert (await rest.get("/metrics")).status == 401


# Observers


class Noting:
    """An observer that keeps all it hears, and fails if told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.heard: list[tuple[str, Any]] = []

    def _hear(self, what: str, value: Any) -> None:
        self.heard.append((what, value))
        if self.fails:
            raise RuntimeError("a bug of an observer")

    def committed(self, landed: Landed) -> None:
        self._hear("committed", landed)

    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        self._hear("store", (kind, took_us, error))

    def role_changed(self, role: str, epoch: int) -> None:
        self._hear("role", (role, epoch))

    def answered(self, answered: Answered) -> None:
        self._hear("answered", answered)

    def connected(self, transport: str) -> None:
        self._hear("connected", transport)

    def disconnected(self, transport: str) -> None:
        self._hear("disconnected", transport)


async def test_observers_when_one_fails_then_it_is_logged_once_and_harms_nobody(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    faulty, sound = Noting(fails=True), Noting()
    async with BrokerServer("memory://", observers=(faulty, sound), **HERE) as broker:  # type: ignore[arg-type] # fields by name
        rest = Rest(session, broker.url)
        await rest.submit()
        await rest.submit()
    kinds = {what for what, _ in sound.heard}
    assert kinds >= {"committed", "store", "role", "answered", "connected"}
    assert [what for what, _ in faulty.heard] == [what for what, _ in sound.heard]
    told = [record for record in caplog.records if record.name == "osqueue.observer"]
    assert [record.getMessage() for record in told] == [
        "the observer Noting fails, which is told only once"
    ]
    roles = [role for what, role in sound.heard if what == "role"]
    assert [role for role, _ in roles][:2] == ["candidate", "leader"]


# The access log


@pytest.fixture
async def logged(session: aiohttp.ClientSession) -> AsyncIterator[Rest]:
    """A broker that logs each request."""
    settings = BrokerSettings(server=ServerSettings(access_log=True))
    async with BrokerServer("memory://", settings=settings, **HERE) as broker:  # type: ignore[arg-type] # fields by name
        yield Rest(session, broker.url)


async def test_access_log_when_on_then_each_request_is_a_line_without_its_payload(
    logged: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="osqueue.access")
    body = {"payload": "very-secret", "type": "mail"}
    await logged.post("/v1/jobs", body, authorization="Bearer osq_secret")
    await logged.get("/v1/jobs/none")
    await eventually(lambda: len(lines(caplog)) == 2)
    first, second = lines(caplog)
    assert first.keys() == {
        "time", "transport", "operation", "outcome", "ms", "status", "received", "sent",
        "principal", "peer",
    }  # fmt: skip
    assert (first["operation"], first["outcome"], first["status"]) == ("submitJob", "ok", 200)
    assert first["received"] == len(json.dumps(body, separators=(",", ":")))
    assert first["sent"] > 40
    assert (first["principal"], first["peer"]) == ("anonymous", "127.0.0.1")
    assert (second["outcome"], second["status"]) == ("JobNotFoundError", 404)
    assert "secret" not in caplog.text


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == "osqueue.access"]


async def test_access_log_when_off_then_nothing_is_logged(
    rest: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="osqueue.access")
    await rest.submit()
    assert lines(caplog) == []
