"""What pages of other sites can have a browser do whose user is logged in: nothing.

Two kinds of other sites: of another port of the same host, which browsers send the cookie for, and
of another host.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page
from tests.browser.brokers import BrokerProcess
from tests.browser.subpath import SubPath
from tests.integration.doors import Keys
from tests.integration.servers.process import HOST

from osqueue.wire.roles import Role

from .conftest import BROWSER

pytestmark = [*BROWSER]

LOG_IN = """
async token => (await fetch("ui/session", {
    method: "POST",
    headers: {"content-type": "application/json", "x-osqueue-ui": "1"},
    body: JSON.stringify({token}),
})).status
"""
STATUS = "async path => (await fetch(path)).status"
OPEN_SOCKET = """
url => new Promise(done => {
    const socket = new WebSocket(url);
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
})
"""
SUBMIT = """
async () => (await fetch("v1/jobs", {
    method: "POST",
    headers: {"content-type": "application/json", "x-osqueue-ui": "1"},
    body: '{"payload": 1}',
})).status
"""
ATTACKS = {
    "a request that is sent without asking": """
        url => fetch(`${url}/v1/jobs`, {
            method: "POST", mode: "no-cors", credentials: "include", body: '{"payload": 1}',
        }).then(answer => answer.type, () => "failed")
    """,
    "a request with the dashboard's own header": """
        url => fetch(`${url}/v1/jobs`, {
            method: "POST", credentials: "include", body: '{"payload": 1}',
            headers: {"x-osqueue-ui": "1", "content-type": "application/json"},
        }).then(answer => answer.status, () => "failed")
    """,
    "a form": """
        url => new Promise(done => {
            const target = document.createElement("iframe");
            target.name = "target";
            const form = document.createElement("form");
            Object.assign(form, {
                method: "post", action: `${url}/v1/jobs`, enctype: "text/plain", target: "target",
            });
            const field = document.createElement("input");
            Object.assign(field, {name: '{"payload": 1, "x": "', value: '"}'});
            form.append(field);
            document.body.append(target, form);
            target.onload = () => done("failed");
            form.submit();
        })
    """,
    "a look": """
        url => fetch(`${url}/v1/stats`, {credentials: "include"})
            .then(answer => answer.status, () => "failed")
    """,
    "a script": """
        url => new Promise(done => {
            const script = document.createElement("script");
            script.src = `${url}/v1/stats`;
            script.onload = () => done("loaded");
            script.onerror = () => done("failed");
            document.head.append(script);
        })
    """,
    "a logout": """
        url => fetch(`${url}/ui/session`, {method: "DELETE", credentials: "include"})
            .then(answer => answer.status, () => "failed")
    """,
    "a frame": """
        url => new Promise(done => {
            const frame = document.createElement("iframe");
            frame.src = `${url}/`;
            frame.onload = () => done(frame.contentWindow.length ? "loaded" : "failed");
            document.body.append(frame);
        })
    """,
}


BEACON = """
url => navigator.sendBeacon(`${url}/v1/jobs`, new Blob(['{"payload": 1}'], {type: "text/plain"}))
"""


class Door(NamedTuple):
    """A broker that asks for tokens, and a page of it whose user may do all."""

    broker: BrokerProcess
    keys: Keys
    context: BrowserContext
    page: Page

    async def submitted(self) -> int:
        async with self.broker.client() as client:
            return (await client.get_stats()).total


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    keys = Keys(folder)
    broker = BrokerProcess(folder / "broker.log", keys=keys)
    await broker.start()
    try:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{broker.url}/")
        assert await page.evaluate(LOG_IN, keys[Role.ADMIN]) == 204
        yield Door(broker, keys, context, page)
        await context.close()
    finally:
        await broker.kill()


@pytest_asyncio.fixture(loop_scope="session", params=[HOST, "localhost"])
async def foreign(door: Door, request: Any) -> AsyncIterator[Page]:
    """A page of another site, in the same browser."""

    async def page_of_theirs(_: web.Request) -> web.Response:
        return web.Response(text="<h1>Another site</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page_of_theirs)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    page = await door.context.new_page()
    await page.goto(f"http://{request.param}:{runner.addresses[0][1]}/")
    yield page
    await page.close()
    await runner.cleanup()


async def test_page_when_logged_in_then_it_may_act_and_no_script_sees_the_cookie(
    door: Door,
) -> None:
    assert await door.page.evaluate("document.cookie") == ""
    assert await door.page.evaluate(STATUS, "v1/stats") == 200
    assert await door.page.evaluate(OPEN_SOCKET, "/v1/ws") == "open"
    before = await door.submitted()
    assert await door.page.evaluate(SUBMIT) == 200
    assert await door.submitted() == before + 1
    (cookie,) = await door.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")


@pytest.mark.parametrize("attack", ATTACKS)
async def test_foreign_page_when_it_attacks_then_nothing_is_seen_or_done(
    door: Door, foreign: Page, attack: str
) -> None:
    before = await door.submitted()
    outcome = await foreign.evaluate(ATTACKS[attack], door.broker.url)
    assert outcome in {"failed", "opaque"}
    assert await door.submitted() == before
    assert await door.page.evaluate(STATUS, "v1/stats") == 200, "its user is still logged in"


async def test_foreign_page_when_it_sends_a_beacon_then_refused(door: Door, foreign: Page) -> None:
    before = await door.submitted()
    async with foreign.expect_response(f"{door.broker.url}/v1/jobs") as answering:
        assert await foreign.evaluate(BEACON, door.broker.url)
    await (await answering.value).finished()
    assert (await answering.value).status == 403
    assert await door.submitted() == before


async def test_foreign_page_when_it_opens_a_websocket_then_refused(
    door: Door, foreign: Page
) -> None:
    url = door.broker.url.replace("http", "ws", 1)
    assert await foreign.evaluate(OPEN_SOCKET, f"{url}/v1/ws") == "refused"


async def test_sandboxed_page_when_it_attacks_then_nothing_is_seen_or_done(door: Door) -> None:
    """Its origin is ``null``, wherever it came from: also from the broker itself."""
    page = await door.context.new_page()
    await page.set_content("<iframe sandbox='allow-scripts allow-forms'></iframe>")
    frame = page.frames[1]
    before = await door.submitted()
    for attack in ("a request with the dashboard's own header", "a look"):
        assert await frame.evaluate(ATTACKS[attack], door.broker.url) == "failed"
    assert await door.submitted() == before
    await page.close()


async def test_script_when_put_into_the_page_then_it_does_not_run(door: Door) -> None:
    """Should text ever become markup, it is still no script."""
    put = """
        () => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            const image = "<img src=x onerror='window.ran = true'>";
            document.body.insertAdjacentHTML("beforeend", image);
            return new Promise(done => requestAnimationFrame(() => done(window.ran)));
        }
    """
    assert await door.page.evaluate(put) is None


async def test_page_when_behind_a_proxy_then_login_and_websocket_work_from_its_path(
    browser: Browser, door: Door
) -> None:
    context = await browser.new_context()
    async with SubPath(door.broker.url, "/tools/queue") as proxy:
        page = await context.new_page()
        await page.goto(f"{proxy.url}/")
        assert await page.evaluate(LOG_IN, door.keys[Role.ADMIN]) == 204
        assert await page.evaluate(STATUS, "v1/stats") == 200
        assert await page.evaluate(SUBMIT) == 200
        assert await page.evaluate(OPEN_SOCKET, "v1/ws") == "open"
    await context.close()
