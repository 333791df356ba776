"""Whatever a job carries is text: nothing of it runs, and all of it can be read."""

from __future__ import annotations

from playwright.async_api import expect
from tests.browser.brokers import LocalBroker
from tests.browser.hostile import NAMES, attack, evil
from tests.browser.tab import Tab

from osqueue.client import OsqueueClient

from .conftest import BROWSER, OpenTab

pytestmark = [*BROWSER]


async def is_unharmed(tab: Tab) -> bool:
    """Whether no element was made of text, and no object changed by a name."""
    found = await tab.page.evaluate(
        """[
            document.querySelectorAll("img[src='x'], [href^='javascript:'], [onerror], [onload]")
                .length,
            [...document.scripts].filter(script => script.text.includes("alert")).length,
            "polluted" in {} ? 1 : 0,
        ]"""
    )
    return bool(found == [0, 0, 0])


async def test_views_when_every_field_of_a_job_is_markup_then_show_it_as_text(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    jobs = await attack(client)
    shown = {
        "/": ("type", "worker"),
        "/jobs": ("type", "worker", "message"),
        "/dead": ("error", "message", "type"),
        "/queue": ("type",),
        f"/jobs/{jobs.waiting}": ("type", "key", "payload", "deep"),
        f"/jobs/{jobs.running}": ("type", "worker", "note"),
        f"/jobs/{jobs.retrying}": ("type", "worker", "error", "message", "traceback"),
        f"/jobs/{jobs.dead}": ("type", "worker", "error", "message", "traceback"),
        f"/jobs/{jobs.completed}": ("type", "result"),
        "/playground": ("type",),
    }
    tab = await open_tab(broker.url, None)
    for view, fields in shown.items():
        await tab.open(view)
        await tab.connected()
        for fold in await tab.main.locator("button[aria-expanded=false]").all():
            await fold.click()
        for field in fields:
            await expect(tab.main).to_contain_text(evil(field)[:100])
        assert await is_unharmed(tab), view


async def test_raw_state_when_it_holds_markup_then_shows_it_as_text(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await attack(client)
    tab = await open_tab(broker.url, "/state")
    await tab.main.get_by_role("button", name="Load").click()
    await tab.main.get_by_role("button", name="jobs").click()
    for fold in (await tab.main.locator("button[aria-expanded=false]").all())[:8]:
        await fold.click()
    await expect(tab.main).to_contain_text(evil("type"))
    assert await is_unharmed(tab)


async def test_types_when_called_like_parts_of_the_language_then_are_listed_and_found(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    ids = [await client.submit_job(name, {name: name}) for name in NAMES]
    tab = await open_tab(broker.url, "/queue")
    for name in NAMES:
        await expect(tab.main.get_by_role("link", name=name, exact=True)).to_be_visible()
    await tab.main.get_by_role("link", name="__proto__", exact=True).click()
    await expect(tab.main.get_by_role("link", name=ids[0])).to_be_visible()
    await expect(tab.main.locator("tr[data-row]")).to_have_count(1)
    assert await is_unharmed(tab)


async def test_search_when_it_is_markup_then_is_text_in_the_page_and_in_its_address(
    open_tab: OpenTab, broker: LocalBroker
) -> None:
    tab = await open_tab(broker.url, "/jobs")
    await tab.page.keyboard.press("/")
    await tab.page.keyboard.insert_text(evil("text"))
    await expect(tab.main.locator(".empty")).to_contain_text(evil("text"))
    await tab.page.reload()
    await expect(tab.main.locator(".empty")).to_contain_text(evil("text"))
    assert await is_unharmed(tab)


async def test_address_when_it_holds_markup_then_nothing_of_it_runs(
    open_tab: OpenTab, broker: LocalBroker
) -> None:
    tab = await open_tab(broker.url, None)
    tab.announce_refusal(404, 400)
    for view in (f"/jobs/{evil('id')}", "/%E0%A4%A", "/__proto__", "/constructor", "/jobs/.."):
        await tab.page.goto("about:blank")
        await tab.page.goto(f"{broker.url}/#{view}")
        await expect(tab.main).to_contain_text("no such")
        assert await is_unharmed(tab)
