"""Logging in to the dashboard, and what a session opens, on a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from tests.integration.conftest import Dial
from tests.integration.doors import Keys
from tests.integration.rest import JSON_TYPE, Answer, Rest, eventually, json_bytes
from tests.integration.tls.files import Tls
from tests.integration.ws import Ws, upgrade

import osqueue
from osqueue.app import BrokerServer
from osqueue.config import (
    LOGIN_BYTES_MAX,
    LOGIN_FAILURES_AT_ONCE,
    AccessSettings,
    BrokerSettings,
    ServerSettings,
)
from osqueue.storage import MemoryBackend
from osqueue.wire.roles import Role

CONNECT = "/osqueue.v1.QueueService"


class Browser:
    """Sends what a browser does with a page of the broker open, one cookie and all."""

    def __init__(self, session: aiohttp.ClientSession, broker: BrokerServer) -> None:
        self.rest = Rest(session, broker.url)
        self.origin = broker.url
        self.cookie = ""

    @property
    def page(self) -> dict[str, str]:
        """What its own page's requests say."""
        return {**JSON_TYPE, **self.shown, "origin": self.origin, "x-osqueue-ui": "1"}

    @property
    def shown(self) -> dict[str, str]:
        return {"cookie": self.cookie} if self.cookie else {}

    async def log_in(self, token: object, **headers: str) -> Answer:
        said = {**self.page, **headers}
        answer = await self.rest.send(
            "POST", "/ui/session", json_bytes({"token": token}), headers=said
        )
        if answer.status == 204:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    async def log_out(self) -> Answer:
        return await self.rest.send("DELETE", "/ui/session", headers=self.page)

    async def get(self, path: str) -> Answer:
        return await self.rest.send("GET", path, headers=self.shown)

    async def post(self, path: str, message: object) -> Answer:
        return await self.rest.send("POST", path, json_bytes(message), headers=self.page)

    async def who(self) -> Any:
        answer = await self.get("/ui/session")
        assert answer.status == 200, answer
        assert answer.headers["cache-control"] == "no-store"
        return answer.json


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
async def locked(keys: Keys) -> AsyncIterator[BrokerServer]:
    async with keys.broker() as broker:
        yield broker


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps no cookies: the tests show them themselves."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def browser(locked: BrokerServer, session: aiohttp.ClientSession) -> Browser:
    return Browser(session, locked)


async def test_session_when_asked_who_without_a_token_then_to_log_in(browser: Browser) -> None:
    version = osqueue.__version__
    assert await browser.who() == {
        "login": True,
        "roles": [],
        "hidePayloads": False,
        "version": version,
    }


async def test_login_when_the_token_is_right_then_told_who_and_let_in(
    browser: Browser, keys: Keys
) -> None:
    answer = await browser.log_in(keys[Role.OBSERVE])
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    who = await browser.who()
    assert (who["login"], who["name"], who["roles"]) == (False, "the-observe", ["observe"])
    stats = await browser.get("/v1/stats")
    assert (stats.status, stats.headers["cache-control"]) == (200, "no-store")
    assert stats.headers["cross-origin-resource-policy"] == "same-origin"
    assert (await browser.get("/state")).status == 403


@pytest.mark.parametrize("role", Role)
async def test_roles_when_asked_for_then_what_the_token_may_do(
    browser: Browser, keys: Keys, role: Role
) -> None:
    await browser.log_in(keys[role])
    all_roles = [str(each) for each in Role]
    assert (await browser.who())["roles"] == (all_roles if role is Role.ADMIN else [role])


async def test_token_when_shown_without_a_session_then_told_who_all_the_same(
    browser: Browser, keys: Keys
) -> None:
    shown = f"Bearer {keys[Role.WORK]}"
    who = (await browser.rest.get("/ui/session", authorization=shown)).json
    assert (who["login"], who["name"], who["roles"]) == (False, "the-work", ["work"])
    assert (await browser.rest.get("/ui/session", authorization="Bearer x")).json["login"] is True


async def test_session_when_no_token_is_asked_for_then_everybody_may_do_all(
    broker: BrokerServer, session: aiohttp.ClientSession
) -> None:
    browser = Browser(session, broker)
    who = await browser.who()
    assert (who["login"], who["roles"]) == (False, [str(each) for each in Role])
    assert "name" not in who
    answer = await browser.log_in("osq_any")
    assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
    assert "set-cookie" not in answer.headers


async def test_cookie_when_the_page_acts_then_by_every_way_that_browsers_have(
    browser: Browser, keys: Keys, locked: BrokerServer
) -> None:
    await browser.log_in(keys[Role.ADMIN])
    job_id = (await browser.post("/v1/jobs", {"payload": 1})).json["jobId"]
    stats = await browser.post(f"{CONNECT}/GetStats", {})
    assert (stats.status, stats.json["total"]) == (200, 1)
    headers = [f"{name}: {value}" for name, value in browser.shown.items()]
    async with await Ws.open(locked, *headers, f"origin: {browser.origin}") as ws:
        assert (await ws.result("getJob", {"jobId": job_id}))["status"] == "unclaimed"
    answer = await browser.rest.send("DELETE", f"/v1/jobs/{job_id}", headers=browser.page)
    assert answer.status == 204


FORGED: dict[str, dict[str, str]] = {
    "a form of another site": {
        "origin": "https://evil.example",
        "content-type": "application/x-www-form-urlencoded",
    },
    "a script of another site, as text": {
        "origin": "https://evil.example",
        "content-type": "text/plain",
    },
    "another port of this host, as text": {
        "origin": "http://127.0.0.1:3000",
        "content-type": "text/plain",
    },
    "a sandboxed frame": {"origin": "null"},
    "no page at all": {},
    "only the header": {"x-osqueue-ui": "1"},
    "a foreign page with the header": {"origin": "https://evil.example", "x-osqueue-ui": "1"},
    "an own page without the header": {"origin": "{own}"},
}


@pytest.mark.parametrize("path", ["/v1/jobs", f"{CONNECT}/SubmitJob", "/ui/session"])
@pytest.mark.parametrize("what", FORGED)
async def test_request_when_another_site_could_have_caused_it_then_403_and_nothing_is_done(
    browser: Browser, keys: Keys, what: str, path: str
) -> None:
    await browser.log_in(keys[Role.ADMIN])
    said = {name: value.format(own=browser.origin) for name, value in FORGED[what].items()}
    forged = await browser.rest.send(
        "POST",
        path,
        json_bytes({"payload": "MQ==", "token": keys[Role.WORK]}),
        headers={**JSON_TYPE, **said, **browser.shown},
    )
    assert forged.status == (415 if _is_no_call(path, said) else 403), forged
    assert "set-cookie" not in forged.headers
    assert (await browser.get("/v1/stats")).json["total"] == 0


def _is_no_call(path: str, said: dict[str, str]) -> bool:
    """What Connect takes for no call at all, whoever sends it."""
    return path.startswith(CONNECT) and "content-type" in said


async def test_preflight_when_another_site_asks_for_the_header_then_not_allowed(
    keys: Keys, session: aiohttp.ClientSession
) -> None:
    """Not even an allowed one: it may call with a token of its own, but not by a session."""
    friend = "https://friend.example"
    async with keys.broker(server=ServerSettings(cors_origins=(friend,))) as broker:
        browser = Browser(session, broker)
        asked = {
            "origin": friend,
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-osqueue-ui, content-type",
        }
        answer = await browser.rest.send("OPTIONS", "/v1/jobs", headers=asked)
        assert answer.status == 204
        assert "x-osqueue-ui" not in answer.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [None, "https://evil.example", "null", "http://127.0.0.1:3000", "http://localhost"]
)
async def test_websocket_when_opened_by_another_site_then_403(
    browser: Browser, keys: Keys, locked: BrokerServer, dial: Dial, origin: str | None
) -> None:
    await browser.log_in(keys[Role.ADMIN])
    named = [] if origin is None else [f"origin: {origin}"]
    wire = await dial(locked)
    await wire.send(upgrade("/v1/ws", f"cookie: {browser.cookie}", *named))
    # The request's own host is `localhost` without a port: a page of that is its own.
    answer = await wire.answer(body=False)
    assert answer.status == (101 if origin == "http://localhost" else 403)


async def test_websocket_when_its_user_logs_out_then_closed(
    browser: Browser, keys: Keys, locked: BrokerServer
) -> None:
    await browser.log_in(keys[Role.OBSERVE])
    named = (f"cookie: {browser.cookie}", f"origin: {browser.origin}")
    async with await Ws.open(locked, *named) as ws:
        await ws.result("getStats")
        await browser.log_out()
        assert (await ws.closed()).code == 1008


async def test_websocket_when_its_sessions_token_is_revoked_then_closed(
    browser: Browser, keys: Keys, locked: BrokerServer
) -> None:
    await browser.log_in(keys[Role.OBSERVE])
    named = (f"cookie: {browser.cookie}", f"origin: {browser.origin}")
    async with await Ws.open(locked, *named) as ws:
        keys.write(keys.made[Role.ADMIN])
        closed = await ws.closed()
    assert (closed.code, closed.reason) == (1008, "the token the-observe was revoked")
    assert (await browser.get("/v1/stats")).status == 401
    assert (await browser.who())["login"] is True


async def test_claim_when_it_waits_and_its_user_logs_out_then_401_at_once(
    browser: Browser, keys: Keys, locked: BrokerServer
) -> None:
    await browser.log_in(keys[Role.WORK])
    claiming = asyncio.create_task(
        browser.post("/v1/jobs/claim", {"workerId": "w", "waitMs": 60_000})
    )
    await eventually(lambda: locked.waiting_claims)
    await browser.log_out()
    async with asyncio.timeout(10):
        answer = await claiming
    assert (answer.status, answer.tag) == (401, "AuthError")


async def test_logout_when_done_then_the_cookie_is_undone_and_opens_nothing(
    browser: Browser, keys: Keys
) -> None:
    await browser.log_in(keys[Role.OBSERVE])
    answer = await browser.log_out()
    assert (answer.status, answer.body) == (204, b"")
    name = browser.cookie.partition("=")[0]
    assert answer.headers["set-cookie"].startswith(f"{name}=; Path=/")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert (await browser.get("/v1/stats")).status == 401
    assert (await browser.who())["login"] is True
    assert (await browser.log_out()).status == 204


async def test_login_when_repeated_then_the_session_before_it_is_over(
    browser: Browser, keys: Keys
) -> None:
    await browser.log_in(keys[Role.OBSERVE])
    before = browser.cookie
    await browser.log_in(keys[Role.ADMIN])
    assert browser.cookie != before
    assert (await browser.rest.get("/v1/stats", cookie=before)).status == 401
    assert (await browser.who())["name"] == "the-admin"


WRONG: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{}", 400),
    (b"[]", 400),
    (b"null", 400),
    (b'{"token": 1}', 400),
    (b'{"token": ""}', 400),
    (b'{"token": "osq_"}', 401),
    (b'{"token": "\\ud83d\\ude00"}', 401),
    (b'{"token"', 400),
    (b'{"token": "\xff"}', 400),
    (b"[" * 500, 400),
    (json_bytes({"token": "x" * 2 * LOGIN_BYTES_MAX}), 413),
]


@pytest.mark.parametrize(("body", "status"), WRONG)
async def test_login_when_it_makes_no_sense_then_refused_without_a_cookie(
    browser: Browser, body: bytes, status: int
) -> None:
    answer = await browser.rest.send("POST", "/ui/session", body, headers=browser.page)
    assert answer.status == status, answer
    assert "set-cookie" not in answer.headers
    assert set(answer.json) == {"_tag", "message"}


async def test_login_when_tried_too_often_then_429_but_a_right_token_is_taken(
    browser: Browser, keys: Keys
) -> None:
    tried = [await browser.log_in("wrong") for _ in range(LOGIN_FAILURES_AT_ONCE + 2)]
    assert [each.status for each in tried] == [401] * LOGIN_FAILURES_AT_ONCE + [429] * 2
    assert int(tried[-1].headers["retry-after"]) >= 1
    assert (await browser.log_in(keys[Role.OBSERVE])).status == 204


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE"])
async def test_session_when_asked_for_otherwise_then_405(
    browser: Browser, keys: Keys, method: str
) -> None:
    await browser.log_in(keys[Role.OBSERVE])
    answer = await browser.rest.send(method, "/ui/session", headers=browser.page)
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD", "POST"}


async def test_cookie_when_shown_over_grpc_then_nothing(
    browser: Browser, keys: Keys, locked: BrokerServer
) -> None:
    await browser.log_in(keys[Role.ADMIN])
    said = (("cookie", browser.cookie), ("origin", browser.origin), ("x-osqueue-ui", "1"))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{locked.grpc_port}") as channel:
        ask = channel.unary_unary("/osqueue.v1.QueueService/GetStats")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(b"", metadata=said, timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_brokers_when_two_are_on_one_host_then_each_has_a_cookie_of_its_own(
    keys: Keys, session: aiohttp.ClientSession
) -> None:
    """A browser sends both to both: it tells hosts apart, not ports."""
    async with keys.broker() as one, keys.broker() as other:
        first, second = Browser(session, one), Browser(session, other)
        await first.log_in(keys[Role.OBSERVE])
        await second.log_in(keys[Role.ADMIN])
        both = f"{first.cookie}; {second.cookie}"
        for browser, name in ((first, "the-observe"), (second, "the-admin")):
            browser.cookie = both
            assert (await browser.who())["name"] == name


async def test_standby_when_asked_by_a_session_then_sent_to_the_leader_who_knows_it_not(
    keys: Keys, session: aiohttp.ClientSession
) -> None:
    store = MemoryBackend()
    settings = BrokerSettings(access=AccessSettings(tokens_file=str(keys.path), reload_ms=5))
    one = BrokerServer(store, host="127.0.0.1", port=0, grpc_port=0, settings=settings)
    other = BrokerServer(store, host="127.0.0.1", port=0, grpc_port=0, settings=settings)
    async with one, other:
        browser = Browser(session, other)
        assert (await browser.get("/")).status == 200
        await browser.log_in(keys[Role.OBSERVE])
        assert (await browser.who())["name"] == "the-observe"
        answer = await browser.get("/v1/stats")
        assert answer.status == 307
        assert answer.headers["location"] == f"{one.url}/v1/stats"
        assert answer.json["leader"] == one.address
        at_leader = await Rest(session, one.url).get("/v1/stats", cookie=browser.cookie)
        assert at_leader.status == 401


async def test_cookie_when_the_broker_speaks_tls_then_only_sent_over_that(
    keys: Keys, tmp_path: Path
) -> None:
    tls = Tls(tmp_path)
    connector = aiohttp.TCPConnector(ssl=tls.client())
    access = AccessSettings(tokens_file=str(keys.path))
    async with (
        tls.broker(access=access) as broker,
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        browser = Browser(session, broker)
        answer = await browser.log_in(keys[Role.OBSERVE])
        assert answer.headers["set-cookie"].startswith("__Host-osqueue_session_")
        assert answer.headers["set-cookie"].endswith("; Secure")
        assert (await browser.get("/v1/stats")).status == 200


async def test_login_when_a_proxy_speaks_tls_for_the_broker_then_the_cookie_is_as_safe(
    browser: Browser, keys: Keys
) -> None:
    named = {"origin": "https://queue.example", "host": "queue.example"}
    answer = await browser.log_in(keys[Role.OBSERVE], **named)
    assert answer.status == 204
    assert answer.headers["set-cookie"].endswith("; Secure")
    read = await browser.rest.get("/v1/stats", cookie=browser.cookie, host="queue.example")
    assert read.status == 200


async def test_page_when_a_proxy_puts_another_name_then_it_may_act_once_its_own_is_allowed(
    keys: Keys, session: aiohttp.ClientSession
) -> None:
    public = "https://queue.example"
    async with keys.broker() as strict:
        browser = Browser(session, strict)
        browser.origin = public
        refused = await browser.log_in(keys[Role.ADMIN])
        assert (refused.status, refused.tag) == (403, "AuthError")
        assert f"--cors-origin {public}" in refused.message
    async with keys.broker(server=ServerSettings(cors_origins=(public,))) as broker:
        browser = Browser(session, broker)
        browser.origin = public
        assert (await browser.log_in(keys[Role.ADMIN])).status == 204
        assert (await browser.post("/v1/jobs", {"payload": 1})).status == 200
        said = (f"cookie: {browser.cookie}", f"origin: {public}")
        async with await Ws.open(broker, *said) as ws:
            assert (await ws.result("getStats"))["total"] == 1


async def test_page_when_its_port_is_another_ones_that_leads_here_then_it_may_act(
    broker: BrokerServer, session: aiohttp.ClientSession
) -> None:
    """As of a container whose port is mapped; a stranger's name must not get in like that."""
    rest = Rest(session, broker.url)
    mapped = {"origin": "http://localhost:18080", "host": "localhost:18080"}
    assert (await rest.post("/v1/jobs", {"payload": 1}, **mapped)).status == 200
    rebound = {"origin": "http://evil.example:18080", "host": "evil.example:18080"}
    assert (await rest.post("/v1/jobs", {"payload": 1}, **rebound)).status == 403
    other = {**mapped, "origin": "http://localhost:3000"}
    assert (await rest.post("/v1/jobs", {"payload": 1}, **other)).status == 403


async def test_access_log_when_a_session_asks_then_it_names_the_token_and_no_secret(
    keys: Keys, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        async with keys.broker(server=ServerSettings(access_log=True)) as broker:
            browser = Browser(session, broker)
            await browser.log_in(keys[Role.OBSERVE])
            await browser.log_in("osq_wrong")
            await browser.get("/v1/stats")
    said = [each.getMessage() for each in caplog.records if each.name == "osqueue.access"]
    assert json.loads(said[-1])["principal"] == "the-observe"
    secret = browser.cookie.partition("=")[2]
    assert secret not in caplog.text
    assert keys[Role.OBSERVE][4:] not in caplog.text
    assert "osq_wrong" not in caplog.text


@pytest.mark.parametrize("path", ["/v1/jobs", f"{CONNECT}/SubmitJob"])
@pytest.mark.parametrize("what", [each for each in FORGED if FORGED[each].get("origin")][:-1])
async def test_request_when_another_site_caused_it_and_no_token_is_asked_for_then_403(
    broker: BrokerServer, session: aiohttp.ClientSession, what: str, path: str
) -> None:
    """A page of any site may have its visitor's browser ask this host."""
    rest = Rest(session, broker.url)
    headers = {**JSON_TYPE, **FORGED[what]}
    forged = await rest.send("POST", path, json_bytes({"payload": "MQ=="}), headers=headers)
    assert forged.status == (415 if _is_no_call(path, FORGED[what]) else 403), forged
    assert (await rest.get("/v1/stats")).json["total"] == 0


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:3000"])
async def test_websocket_when_another_site_opens_it_and_no_token_is_asked_for_then_403(
    broker: BrokerServer, dial: Dial, origin: str
) -> None:
    wire = await dial(broker)
    await wire.send(upgrade("/v1/ws", f"origin: {origin}"))
    assert (await wire.answer()).status == 403
