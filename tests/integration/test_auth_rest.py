"""The door of the HTTP port: headers in all their forms, bodies unread, tokens that come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from tests.integration.conftest import Dial
from tests.integration.doors import Keys
from tests.integration.rest import Answer, Rest, Wire, json_bytes, request

from osqueue.app import BrokerServer
from osqueue.config import AccessSettings, BrokerSettings, ServerSettings
from osqueue.errors import ConfigError
from osqueue.server.door.tokens import token_line
from osqueue.wire.roles import Role

JOB = json_bytes({"type": "t", "payload": 1})


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
async def locked(keys: Keys) -> AsyncIterator[BrokerServer]:
    async with keys.broker() as broker:
        yield broker


@pytest.fixture
async def wire(locked: BrokerServer, dial: Dial) -> Wire:
    return await dial(locked)


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so; a test that never sees it runs into its time-out."""
    while not await true():
        pass


async def ask(wire: Wire, *headers: str) -> Answer:
    await wire.send(request("/v1/jobs", JOB, *headers))
    return await wire.answer()


async def test_token_when_right_then_the_job_is_taken(keys: Keys, wire: Wire) -> None:
    assert (await ask(wire, f"authorization: Bearer {keys[Role.PRODUCE]}")).status == 200


FORMS = {
    "lower case": ["authorization: bearer {token}"],
    "upper case": ["AUTHORIZATION: BEARER {token}"],
    "many spaces": ["Authorization:     Bearer     {token}   "],
    "a tab before it": ["authorization:\tBearer {token}\t"],
}


@pytest.mark.parametrize("form", FORMS)
async def test_header_when_written_otherwise_then_the_same(
    form: str, keys: Keys, wire: Wire
) -> None:
    headers = [each.format(token=keys[Role.PRODUCE]) for each in FORMS[form]]
    assert (await ask(wire, *headers)).status == 200


BAD_FORMS = {
    "absent": [],
    "empty": ["authorization:"],
    "another scheme": ["authorization: Basic {token}"],
    "no scheme": ["authorization: {token}"],
    "twice the same": ["authorization: Bearer {token}", "authorization: Bearer {token}"],
    "a good one behind a bad one": ["authorization: Bearer x", "authorization: Bearer {token}"],
    "a bad one behind a good one": ["authorization: Bearer {token}", "authorization: Bearer x"],
    "two in one": ["authorization: Bearer {token}, Bearer {token}"],
    "not ASCII": ["authorization: Bearer {token}\u00e9"],
    "very long": ["authorization: Bearer {token}" + "0" * 60_000],
    "in another header": ["x-authorization: Bearer {token}"],
    "in a cookie": ["cookie: authorization=Bearer {token}"],
    "one digit off": ["authorization: Bearer {off}"],
}


@pytest.mark.parametrize("form", BAD_FORMS)
async def test_header_when_it_shows_no_known_token_then_401_and_the_connection_lives_on(
    form: str, keys: Keys, wire: Wire
) -> None:
    token = keys[Role.PRODUCE]
    off = token[:-1] + ("0" if token[-1] != "0" else "1")
    answer = await ask(wire, *(each.format(token=token, off=off) for each in BAD_FORMS[form]))
    assert (answer.status, answer.tag) == (401, "AuthError")
    assert answer.headers["www-authenticate"] == 'Bearer realm="osqueue"'
    assert token[4:] not in answer.body.decode()
    assert (await ask(wire, f"authorization: Bearer {token}")).status == 200


async def test_body_when_the_caller_may_not_send_it_then_it_is_not_waited_for(
    keys: Keys, locked: BrokerServer, dial: Dial
) -> None:
    for token, status in ((None, 401), (keys[Role.OBSERVE], 403)):
        lines = ["POST /v1/jobs HTTP/1.1", "host: broker", "content-length: 1000000"]
        lines += ["content-type: application/json", "expect: 100-continue"]
        lines += [] if token is None else [f"authorization: Bearer {token}"]
        wire = await dial(locked)
        await wire.send("\r\n".join([*lines, "", ""]).encode())
        assert (await wire.answer()).status == status


async def test_body_when_it_is_nonsense_then_the_door_speaks_first(keys: Keys, wire: Wire) -> None:
    header = f"authorization: Bearer {keys[Role.WORK]}"
    await wire.send(request("/v1/jobs", b"nonsense", header))
    assert (await wire.answer()).status == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/status"])
async def test_health_when_asked_without_a_token_or_with_a_wrong_one_then_told(
    path: str, locked: BrokerServer, session: aiohttp.ClientSession
) -> None:
    rest = Rest(session, locked.url)
    for headers in ({}, {"authorization": "Bearer wrong"}):
        assert (await rest.get(path, **headers)).status == 200


PAGES = {
    "/state": Role.ADMIN,
    "/v1/throttle-stats": Role.OBSERVE,
    "/metrics": Role.OBSERVE,
    "/v1/ws": None,
    "/openapi.json": None,
    "/nope": None,
    "/v1/jobs/a/b/c": None,
}


@pytest.mark.parametrize("path", PAGES)
async def test_page_when_asked_for_then_by_its_role(
    path: str, locked: BrokerServer, keys: Keys, session: aiohttp.ClientSession
) -> None:
    rest = Rest(session, locked.url)
    assert (await rest.get(path)).status == 401
    for role in Role:
        status = (await rest.get(path, authorization=f"Bearer {keys[role]}")).status
        allowed = PAGES[path] in {None, role} or role is Role.ADMIN
        assert status in ({200, 404} if allowed else {403}), role


async def test_events_when_told_to_a_page_then_by_the_role_of_observers_and_until_revoked(
    locked: BrokerServer, keys: Keys, session: aiohttp.ClientSession
) -> None:
    rest = Rest(session, locked.url)
    assert (await rest.get("/v1/events")).status == 401
    for role in (Role.PRODUCE, Role.WORK):
        assert (await rest.get("/v1/events", authorization=f"Bearer {keys[role]}")).status == 403
    headers = {"authorization": f"Bearer {keys[Role.OBSERVE]}"}
    async with session.get(f"{locked.url}/v1/events", headers=headers) as answer:
        assert answer.status == 200
        keys.write(keys.made[Role.ADMIN])
        said = await answer.content.read()
    assert b"event: end" in said
    assert b"the token the-observe was revoked" in said


async def test_token_when_revoked_then_the_connection_that_lives_on_is_refused(
    keys: Keys, locked: BrokerServer, wire: Wire, session: aiohttp.ClientSession
) -> None:
    gone, header = keys[Role.PRODUCE], f"authorization: Bearer {keys[Role.PRODUCE]}"
    assert (await ask(wire, header)).status == 200
    keys.write(keys.made[Role.OBSERVE])

    async def refused() -> bool:
        return (await ask(wire, header)).status == 401

    await eventually(refused)
    rest = Rest(session, locked.url)
    assert (await rest.get("/v1/stats", authorization=f"Bearer {gone}")).status == 401
    kept = f"Bearer {keys[Role.OBSERVE]}"
    assert (await rest.get("/v1/stats", authorization=kept)).status == 200


async def test_file_when_a_token_is_added_then_it_is_let_in(
    keys: Keys, locked: BrokerServer, session: aiohttp.ClientSession
) -> None:
    rest = Rest(session, locked.url)
    header = f"Bearer {keys.spare.token}"
    assert (await rest.get("/v1/stats", authorization=header)).status == 401
    keys.write(*keys.made.values(), keys.spare)

    async def admitted() -> bool:
        return (await rest.get("/v1/stats", authorization=header)).status == 200

    await eventually(admitted)


@pytest.mark.parametrize("how", ["broken", "deleted"])
async def test_file_when_it_cannot_be_used_then_readyz_says_so_and_the_old_tokens_hold(
    how: str, keys: Keys, locked: BrokerServer, session: aiohttp.ClientSession
) -> None:
    rest = Rest(session, locked.url)
    assert "problems" not in (await rest.get("/readyz")).json
    if how == "broken":
        keys.path.write_text("web\n")
    else:
        keys.path.unlink()

    async def said() -> bool:
        return "problems" in (await rest.get("/readyz")).json

    await eventually(said)
    ready = await rest.get("/readyz")
    assert ready.status == 200
    assert str(keys.path) not in ready.body.decode()
    header = f"Bearer {keys[Role.OBSERVE]}"
    assert (await rest.get("/v1/stats", authorization=header)).status == 200
    keys.write(keys.made[Role.OBSERVE])

    async def put_right() -> bool:
        return not await said()

    await eventually(put_right)


async def test_file_when_broken_at_the_start_then_the_broker_does_not_start(keys: Keys) -> None:
    keys.path.write_text("web\n")
    broker = keys.broker()
    with pytest.raises(ConfigError, match="line 1"):
        await broker.start()


async def test_environment_when_it_lists_tokens_then_they_are_asked_for(
    keys: Keys, session: aiohttp.ClientSession
) -> None:
    lines = ";".join(token_line(each.entry) for each in keys.made.values())
    settings = BrokerSettings(access=AccessSettings(tokens=lines))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        assert (await rest.get("/v1/stats")).status == 401
        header = f"Bearer {keys[Role.OBSERVE]}"
        assert (await rest.get("/v1/stats", authorization=header)).status == 200


async def test_page_of_another_origin_when_it_has_a_token_then_refused_all_the_same(
    keys: Keys, locked: BrokerServer, session: aiohttp.ClientSession
) -> None:
    headers = {"origin": "https://evil.example", "authorization": f"Bearer {keys[Role.ADMIN]}"}
    answer = await Rest(session, locked.url).get("/v1/stats", **headers)
    assert (answer.status, answer.tag) == (403, "AuthError")


async def test_page_when_it_shows_no_token_then_it_may_read_why(
    locked: BrokerServer, session: aiohttp.ClientSession
) -> None:
    answer = await Rest(session, locked.url).get("/v1/stats", origin=locked.url)
    assert answer.status == 401
    assert answer.headers["access-control-allow-origin"] == locked.url


async def test_preflight_when_tokens_are_asked_for_then_pages_may_send_one(
    locked: BrokerServer, session: aiohttp.ClientSession
) -> None:
    asked = {"origin": locked.url, "access-control-request-method": "POST"}
    answer = await Rest(session, locked.url).send("OPTIONS", "/v1/jobs", headers=asked)
    assert answer.status == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"].split(", ")


async def test_answer_when_given_then_no_browser_takes_it_for_something_else(
    locked: BrokerServer, wire: Wire, session: aiohttp.ClientSession
) -> None:
    rest = Rest(session, locked.url)
    await wire.send(b"nonsense\r\n\r\n")
    for answer in (await rest.get("/healthz"), await rest.get("/nope"), await wire.answer()):
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("header", ["x-forwarded-for: 8.8.8.8", "forwarded: for=8.8.8.8"])
async def test_proxy_when_it_forwards_a_stranger_and_no_token_is_configured_then_refused(
    header: str, broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    answer = await ask(wire, header)
    assert (answer.status, answer.tag) == (403, "AuthError")
    assert "8.8.8.8, for whom a proxy asks" in answer.message
    assert (await ask(wire, header.replace("8.8.8.8", "127.0.0.1"))).status == 200


async def test_proxy_when_a_stranger_pretends_to_be_here_then_refused(
    broker: BrokerServer, dial: Dial
) -> None:
    """He sends a header of his own; the proxy adds one more, or to the same."""
    wire = await dial(broker)
    here, there = "x-forwarded-for: 127.0.0.1", "x-forwarded-for: 8.8.8.8"
    for headers in ((here, there), (there, here), (f"{here}, 8.8.8.8",)):
        assert (await ask(wire, *headers)).status == 403


@pytest.mark.parametrize("path", ["/v1/stats", "/state", "/nope"])
async def test_name_when_a_strangers_means_this_host_then_refused_without_an_origin(
    path: str, broker: BrokerServer, session: aiohttp.ClientSession
) -> None:
    """A page of a site that has its name resolved to 127.0.0.1 is of the same origin."""
    answer = await Rest(session, broker.url).get(path, host="rebound.example:8080")
    assert (answer.status, answer.tag) == (403, "AuthError")
    assert "rebound.example:8080" in answer.message


async def test_name_when_allowed_as_an_origin_then_served(session: aiohttp.ClientSession) -> None:
    server = ServerSettings(cors_origins=("http://queue.example:8080",))
    settings = BrokerSettings(server=server)
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        answer = await Rest(session, broker.url).get("/v1/stats", host="queue.example:8080")
        assert answer.status == 200
