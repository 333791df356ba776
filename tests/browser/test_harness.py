"""The harness itself: a tab that watches must see everything that goes wrong in a page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, expect
from tests.browser.axe import barriers
from tests.browser.switch import Switch
from tests.browser.tab import Tab
from tests.browser.waiting import eventually
from tests.integration.servers.process import HOST

from osqueue.client import OsqueueClient

from .conftest import BROWSER, StartBroker

pytestmark = [*BROWSER]

STRICT = {"content-security-policy": "default-src 'none'; script-src 'self'; connect-src *"}
PAGE = "<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1>{}"

Serve = Callable[..., Awaitable[Tab]]


@pytest_asyncio.fixture(loop_scope="session")
async def serve(browser: Browser) -> AsyncIterator[Serve]:
    """Opens a tab of a page with a body and a script of this test's own."""
    runners: list[web.AppRunner] = []
    page = await browser.new_page()

    async def serve(body: str = "", script: str = "", origin: str = "") -> Tab:
        app = web.Application()

        async def html(_: web.Request) -> web.Response:
            text = PAGE.format(f"{body}<script src=script.js></script>")
            return web.Response(text=text, content_type="text/html", headers=STRICT)

        async def js(_: web.Request) -> web.Response:
            return web.Response(text=script, content_type="text/javascript")

        async def icon(_: web.Request) -> web.Response:
            return web.Response(status=204)

        app.add_routes(
            [web.get("/", html), web.get("/script.js", js), web.get("/favicon.ico", icon)]
        )
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        site = web.TCPSite(runners[-1], HOST, 0)
        await site.start()
        here = f"http://{HOST}:{runners[-1].addresses[0][1]}"
        tab = Tab(page, origin or here)
        await page.goto(here)
        return tab

    yield serve
    await page.close()
    for runner in runners:
        await runner.cleanup()


async def test_tab_when_nothing_goes_wrong_then_does_not_complain(serve: Serve) -> None:
    tab = await serve(script="console.log('hello'); fetch('/').then(() => document.title = 'done')")
    await expect(tab.page).to_have_title("done")
    assert tab.complaints == []


@pytest.mark.parametrize(
    ("body", "script", "said"),
    [
        ("", "console.error('so')", "console error: so"),
        ("", "console.warn('so')", "console warning: so"),
        ("", "throw new Error('so')", "uncaught: Error: so"),
        ("", "Promise.reject(new Error('so'))", "uncaught: Error: so"),
        ("", "fetch('/nowhere')", "status of 404"),
        ("", "fetch('http://127.0.0.1:9/')", "fetched from elsewhere: http://127.0.0.1:9/"),
        ("", "new WebSocket(location.href.replace('http', 'ws'))", "WebSocket connection to"),
        ("", "alert('so')", "dialog: so"),
        ("<p style='color: red'>so", "", "Content Security Policy"),
        ("<img src=x onerror='alert(1)'>", "", "Content Security Policy"),
        ("<script>document.title = 'so'</script>", "", "Content Security Policy"),
    ],
)
async def test_tab_when_something_goes_wrong_then_complains_unless_it_was_announced(
    serve: Serve, body: str, script: str, said: str
) -> None:
    tab = await serve(body, script)

    async def complains() -> bool:
        return any(said in each for each in tab.unannounced())

    await eventually(complains)
    tab.announce(".")
    assert not tab.unannounced()


async def test_tab_when_its_page_is_too_wide_then_it_does_not_fit(serve: Serve) -> None:
    assert await (await serve("<p>narrow")).fits()
    assert not await (await serve(f"<pre>{'wide ' * 1_000}")).fits(within_s=1)


async def test_axe_when_a_picture_has_no_text_then_finds_it(serve: Serve) -> None:
    tab = await serve("<img src=data:image/gif;base64,R0lGODlhAQABAAAAACw= >")
    assert [each.partition(":")[0] for each in await barriers(tab.page)] == ["image-alt"]


async def test_broker_when_killed_and_started_again_then_has_its_jobs_at_its_old_address(
    start_broker: StartBroker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broker = await start_broker(f"file://{tmp_path_factory.mktemp('queue')}")
    async with broker.client() as client:
        job_id = await client.submit_job("email:send")
    await broker.kill()
    await broker.start()
    async with broker.client() as client:
        assert (await client.get_job(job_id)).status == "unclaimed"


async def test_switch_when_turned_then_leads_to_the_other_broker(start_broker: StartBroker) -> None:
    brokers = [await start_broker(), await start_broker()]
    async with Switch() as switch:
        for total, broker in enumerate(brokers):
            async with broker.client() as client:
                await client.submit_jobs([("email:send", None)] * total)
            await switch.turn(broker.port)
            async with OsqueueClient(switch.url) as client:
                assert (await client.get_stats()).total == total
