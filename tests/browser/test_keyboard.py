"""All of it can be done without a mouse."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from tests.browser.brokers import LocalBroker

from osqueue.client import OsqueueClient

from .conftest import BROWSER, Furnished, OpenTab

pytestmark = [*BROWSER]

PLACES = {
    "o": "Overview",
    "j": "Jobs",
    "d": "Dead letters",
    "q": "Queue",
    "c": "Schedules",
    "p": "Playground",
    "r": "State",
    "s": "Settings",
}


async def test_keys_when_g_and_a_letter_are_pressed_then_lead_to_every_view(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, f"/jobs/{furnished.scene.completed}")
    for letter, name in PLACES.items():
        await tab.page.keyboard.press("g")
        await tab.page.keyboard.press(letter)
        await expect(tab.heading).to_have_text(name)


async def test_help_when_asked_for_then_lists_the_keys_and_goes_with_escape(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url)
    await tab.page.keyboard.press("?")
    dialog = tab.page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_contain_text("Dead letters")
    await tab.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)


async def test_list_when_scrolled_then_the_keys_begin_with_what_is_in_sight(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/jobs?order=oldest")
    await expect(tab.main.locator("tr[data-row]").nth(20)).to_be_attached()
    await tab.page.evaluate("scrollTo(0, 900)")
    await tab.page.keyboard.press("j")
    focused = tab.page.locator("tr[data-row]:focus")
    await expect(focused).to_be_in_viewport()
    assert int(await focused.get_attribute("data-row") or 0) >= 15
    assert 800 <= await tab.page.evaluate("scrollY") <= 1_000


async def test_list_when_walked_through_by_keys_then_opens_the_row_that_has_the_focus(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/jobs?status=in_progress&order=oldest")
    ids = furnished.scene.running
    await expect(tab.main.locator("tr[data-row]")).to_have_count(len(ids))
    for key in "jjjk":
        await tab.page.keyboard.press(key)
    focused = tab.page.locator("tr[data-row]:focus")
    await expect(focused).to_contain_text(ids[1])
    await tab.page.keyboard.press("Enter")
    await expect(tab.main).to_contain_text(ids[1])
    await expect(tab.heading).to_have_text("video:transcode")


async def test_keys_when_one_types_into_a_field_then_are_letters(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/jobs")
    await tab.page.keyboard.press("/")
    await tab.page.keyboard.type("gd?/jk")
    await expect(tab.page.locator("[data-search]")).to_have_value("gd?/jk")
    await expect(tab.heading).to_have_text("Jobs")
    await tab.page.keyboard.press("Escape")
    await tab.page.keyboard.press("g")
    await tab.page.keyboard.press("d")
    await expect(tab.heading).to_have_text("Dead letters")


async def test_job_when_cancelled_by_keys_alone_then_is_cancelled(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    job_id = await client.submit_job("email:send")
    tab = await open_tab(broker.url, f"/jobs/{job_id}")
    button = tab.main.get_by_role("button", name="Cancel")
    for _ in range(30):
        await tab.page.keyboard.press("Tab")
        if await button.evaluate("element => element === document.activeElement"):
            break
    else:
        pytest.fail("no Tab leads to the button")
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("dialog")).to_be_visible()
    await expect(
        tab.page.get_by_role("dialog").get_by_role("button", name="Cancel it")
    ).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(tab.main.locator(".v-timeline")).to_contain_text("Cancelled")
    assert (await client.get_job(job_id)).status == "cancelled"
