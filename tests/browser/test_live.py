"""What the queue does is seen without a reload; when the broker is gone, that is seen as well."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Locator, WebSocketRoute, expect
from tests.browser.brokers import LocalBroker
from tests.browser.scene import BAD_ADDRESS, bury
from tests.browser.subpath import SubPath
from tests.browser.switch import Switch
from tests.browser.tab import AWAY, Tab
from tests.browser.waiting import eventually

from osqueue.client import OsqueueClient

from .conftest import BROWSER, OpenTab, StartBroker

pytestmark = [*BROWSER]

VIEW_IS_THERE = """async (path) => {
    const file = performance.getEntriesByType("resource").find((each) => each.name.endsWith(path));
    return file !== undefined && Boolean(await import(file.name));
}"""
"""Whether the page has asked for a view by itself, and has it, with all that it imports."""


def figure(tab: Tab, label: str) -> Locator:
    """A figure at the head of the overview."""
    return tab.main.get_by_role("region", name=label, exact=True)


async def test_overview_when_the_queue_changes_then_shows_it_without_a_reload(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url)
    await tab.connected()
    await expect(figure(tab, "In the queue")).to_contain_text("0 ready")
    await tab.page.evaluate("window.same = true")
    await client.submit_jobs([("email:send", n) for n in range(12)])
    await expect(figure(tab, "In the queue")).to_contain_text("12 ready")
    jobs = await client.claim_jobs("mail-1", max_jobs=3)
    await expect(figure(tab, "In progress")).to_contain_text(re.compile(r"progress\s*3"))
    await expect(tab.main.get_by_role("button", name=re.compile("mail-1"))).to_contain_text("3")
    await client.complete_jobs(jobs)
    await expect(figure(tab, "Completed")).to_contain_text("3 in total")
    await bury(client, BAD_ADDRESS, 2)
    await expect(figure(tab, "Dead letters")).to_contain_text(re.compile(r"letters\s*2"))
    await expect(tab.main.get_by_label("Activity, the newest first")).to_contain_text("email:send")
    assert await tab.page.evaluate("window.same")


async def test_page_when_the_broker_is_killed_and_comes_back_then_says_since_when_and_goes_on(
    open_tab: OpenTab, start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = await start_broker(f"file://{tmp_path / 'queue'}")
    async with broker.client() as client:
        await client.submit_jobs([("email:send", n) for n in range(5)])
    tab = await open_tab(broker.url)
    await tab.connected()
    await expect(figure(tab, "In the queue")).to_contain_text("5 ready")
    tab.announce(*AWAY)
    await broker.kill()
    await tab.connected("stale")
    since = re.compile(r"since \d\d:\d\d:\d\d")
    await expect(tab.page.locator(".connection")).to_contain_text(since)
    await expect(tab.page.get_by_role("alert")).to_contain_text("reconnects by itself")
    await expect(tab.main).to_contain_class("is-stale")
    await expect(figure(tab, "In the queue")).to_contain_text("5 ready")
    await broker.start()
    await tab.connected()
    await expect(tab.main).not_to_contain_class("is-stale")
    async with broker.client() as client:
        await client.submit_job("email:send")
    await expect(figure(tab, "In the queue")).to_contain_text("6 ready")


async def test_page_when_another_broker_takes_over_behind_its_address_then_goes_on_with_that(
    open_tab: OpenTab, start_broker: StartBroker, tmp_path: Path
) -> None:
    storage = f"file://{tmp_path / 'queue'}"
    first = await start_broker(storage)
    async with first.client() as client:
        await client.submit_jobs([("email:send", n) for n in range(4)])
    second = await start_broker(storage)
    async with Switch() as switch:
        await switch.turn(first.port)
        tab = await open_tab(switch.url)
        await tab.connected()
        await expect(tab.main).to_contain_text(f"127.0.0.1:{first.port}")
        tab.announce(*AWAY)
        await switch.turn(second.port)
        await first.kill()
        await expect(tab.page.locator(".connection")).to_contain_text(f"127.0.0.1:{second.port}")
        await tab.connected()
        await expect(figure(tab, "In the queue")).to_contain_text("4 ready")
        async with second.client() as client:
            await client.submit_job("email:send")
        await expect(figure(tab, "In the queue")).to_contain_text("5 ready")
        await tab.page.close()


async def test_page_when_its_broker_stands_by_then_says_who_leads(
    open_tab: OpenTab, start_broker: StartBroker, tmp_path: Path
) -> None:
    storage = f"file://{tmp_path / 'queue'}"
    leader, standby = await start_broker(storage), await start_broker(storage)
    tab = await open_tab(standby.url)
    await expect(tab.main).to_contain_text("stands by")
    await expect(tab.main).to_contain_text(f"127.0.0.1:{leader.port}")
    for view, name in (("/jobs", "Jobs"), ("/queue", "Queue"), ("/dead", "Dead letters")):
        await tab.go(view)
        await expect(tab.heading).to_have_text(name)
        await expect(tab.main).to_contain_text("stands by")
    await tab.go("/settings")
    await expect(tab.main).to_contain_text("heartbeat")


async def test_view_when_first_opened_while_the_broker_is_away_then_is_there_all_the_same(
    open_tab: OpenTab, start_broker: StartBroker
) -> None:
    broker = await start_broker()
    tab = await open_tab(broker.url)
    await tab.connected()

    async def is_loaded() -> object:
        return await tab.page.evaluate(VIEW_IS_THERE, "/views/queue.js")

    await eventually(is_loaded)
    tab.announce(*AWAY)
    await broker.kill()
    await tab.connected("stale")
    await tab.go("/queue")
    await expect(tab.heading).to_have_text("Queue")
    await expect(tab.main).to_contain_text("Depth by type")


async def test_view_when_its_file_could_not_be_had_then_comes_by_itself_with_the_broker(
    open_tab: OpenTab, start_broker: StartBroker
) -> None:
    broker = await start_broker()
    tab = await open_tab(broker.url, None)
    tab.announce(*AWAY, "net::ERR_FAILED")
    await tab.page.route("**/views/queue.js", lambda route: route.abort())
    await tab.open()
    await tab.connected()
    await broker.kill()
    await tab.connected("stale")
    await tab.go("/queue")
    await expect(tab.heading).to_have_text("Queue")
    await expect(tab.main).to_contain_text("could not be loaded")
    await tab.page.unroute("**/views/queue.js")
    await broker.start()
    await expect(tab.main).to_contain_text("Depth by type")


async def test_page_when_no_socket_can_be_opened_then_polls(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, None)

    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close()

    await tab.page.route_web_socket(re.compile("/v1/ws$"), refuse)
    await tab.open()
    await tab.connected("polling")
    await client.submit_jobs([("email:send", n) for n in range(7)])
    await expect(figure(tab, "In the queue")).to_contain_text("7 ready")


async def test_page_when_served_under_a_path_then_works_there(
    open_tab: OpenTab, start_broker: StartBroker
) -> None:
    broker = await start_broker()
    async with SubPath(broker.url, "/queues/mail") as proxy, broker.client() as client:
        tab = await open_tab(proxy.url)
        await tab.connected()
        job_id = await client.submit_job("email:send")
        await expect(figure(tab, "In the queue")).to_contain_text("1 ready")
        await tab.go(f"/jobs/{job_id}")
        await expect(tab.heading).to_have_text("email:send")
        await tab.main.get_by_role("button", name="Cancel").click()
        await tab.confirm("Cancel")
        await expect(tab.main.locator(".v-timeline")).to_contain_text("Cancelled")
        await tab.page.close()


async def test_page_when_many_jobs_flow_then_is_told_at_most_four_times_a_second(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, None)
    frames: list[int] = []
    tab.page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: frames.append(len(frame))),
    )
    await tab.open()
    await tab.connected()
    seconds = "performance.now() / 1000"
    start, before = await tab.page.evaluate(seconds), len(frames)
    for n in range(200):
        await client.submit_job("email:send", n)
    await expect(figure(tab, "In the queue")).to_contain_text("200 ready")
    took = await tab.page.evaluate(seconds) - start
    assert len(frames) - before <= 4 * took + 2
