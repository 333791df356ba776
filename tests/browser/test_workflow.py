"""A job's workflow as a drawing: what it shows, how it follows, who can use it."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, expect
from tests.browser.axe import barriers
from tests.browser.brokers import LocalBroker
from tests.browser.conftest import BROWSER, OpenTab, Scheme
from tests.browser.hostile import evil
from tests.browser.tab import Tab

from osqueue.client import Job, NewJob, OsqueueClient

pytestmark = [*BROWSER]

SIZES: tuple[tuple[int, Scheme], ...] = ((360, "light"), (1440, "dark"), (2560, "light"))


async def diamond(client: OsqueueClient) -> Job:
    """`extract` is held; two jobs wait for it, and one for both of these."""
    extract = NewJob("extract", job_id="wf-extract")
    sides = [NewJob(f"side:{n}", job_id=f"wf-side-{n}", after=[extract]) for n in (1, 2)]
    await client.submit_jobs([extract, *sides, NewJob("load", job_id="wf-load", after=sides)])
    job = await client.claim_job("w-1")
    assert job is not None
    return job


def drawing(tab: Tab) -> Locator:
    return tab.main.get_by_role("region", name="Workflow")


def node(tab: Tab, job_id: str) -> Locator:
    return drawing(tab).get_by_role("link", name=re.compile(f", {re.escape(job_id)}(, this job)?$"))


async def test_workflow_when_opened_then_each_job_is_a_link_and_says_how_it_is(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await diamond(client)
    tab = await open_tab(broker.url, "/jobs/wf-side-1")
    await expect(drawing(tab).get_by_role("link")).to_have_count(4)
    await expect(drawing(tab).locator("path")).to_have_count(4)
    for job_id, name in (
        ("wf-extract", "extract, in progress, wf-extract"),
        ("wf-side-1", "side:1, waiting, wf-side-1, this job"),
        ("wf-load", "load, waiting, wf-load"),
    ):
        await expect(node(tab, job_id)).to_have_accessible_name(name)
    await expect(drawing(tab).locator("[aria-current]")).to_have_count(1)
    await expect(tab.main).to_contain_text("Waits for other jobs")


async def test_workflow_when_a_parent_is_completed_then_its_child_is_ready_without_a_reload(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    held = await diamond(client)
    tab = await open_tab(broker.url, "/jobs/wf-side-2")
    await expect(node(tab, "wf-side-2")).to_contain_text("waiting")
    await client.complete_job(held)
    await expect(node(tab, "wf-extract")).to_contain_text("completed")
    await expect(node(tab, "wf-side-2")).to_contain_text("ready")
    await expect(node(tab, "wf-load")).to_contain_text("waiting")
    await expect(node(tab, "wf-extract")).to_have_class(re.compile("badge-completed"))


async def test_workflow_when_used_by_keyboard_then_leads_from_job_to_job(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await diamond(client)
    tab = await open_tab(broker.url, "/jobs/wf-load")
    await node(tab, "wf-extract").focus()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page).to_have_url(re.compile("#/jobs/wf-extract$"))
    await expect(node(tab, "wf-extract")).to_have_attribute("aria-current", "true")


async def test_workflow_when_a_parent_is_cancelled_then_the_job_says_why_it_ended(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await diamond(client)
    tab = await open_tab(broker.url, "/jobs/wf-load")
    await client.cancel_job("wf-side-1")
    await expect(node(tab, "wf-load")).to_contain_text("cancelled")
    await expect(tab.main.locator(".v-timeline")).to_contain_text(
        "waits for a job that was cancelled: wf-side-1"
    )
    await expect(tab.main.locator(".v-timeline")).not_to_contain_text("failed")


async def test_job_when_it_stands_alone_then_there_is_no_drawing_until_another_comes_after_it(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await client.submit_job("alone", job_id="alone")
    tab = await open_tab(broker.url, "/jobs/alone")
    await expect(tab.main).to_contain_text("What has become of it")
    await expect(drawing(tab)).to_have_count(0)
    await client.submit_job("next", job_id="next", after=["alone"])
    await expect(node(tab, "next")).to_contain_text("waiting")


async def test_overview_when_jobs_wait_for_others_then_they_are_not_called_ready(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await diamond(client)
    await client.submit_job("later", delay_ms=3_600_000)
    tab = await open_tab(broker.url)
    newest = tab.main.get_by_role("region", name="Newest jobs").locator("tr[data-row]")
    await expect(newest).to_have_count(5)
    await expect(newest.filter(has_text="load")).to_contain_text("waiting")
    await expect(newest.filter(has_text="later")).to_contain_text("delayed")


async def test_list_when_those_that_wait_are_chosen_then_shows_those_alone(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await diamond(client)
    tab = await open_tab(broker.url, "/jobs")
    status = tab.main.get_by_role("group", name="Status")
    await status.get_by_role("button", name="Waiting").click()
    await expect(tab.page).to_have_url(re.compile(r"#/jobs\?status=waiting$"))
    await expect(tab.main.locator("tr[data-row]")).to_have_count(3)
    await expect(tab.main.locator("tr[data-row]").first).to_contain_text("waiting")


@pytest.mark.parametrize(("width", "scheme"), SIZES)
async def test_workflow_when_looked_at_then_fits_and_axe_finds_nothing_grave(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient, width: int, scheme: Scheme
) -> None:
    await diamond(client)
    tab = await open_tab(broker.url, "/jobs/wf-side-1", width=width, scheme=scheme)
    await expect(drawing(tab).get_by_role("link")).to_have_count(4)
    assert await tab.fits()
    assert await barriers(tab.page) == []
    place = drawing(tab).locator(".v-graph")
    scrolls = await place.evaluate("each => each.scrollWidth > each.clientWidth")
    assert scrolls or width > 360


async def test_workflow_when_types_are_markup_then_they_are_text(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    first = NewJob(evil("type"), job_id="javascript.alert~1")
    second = NewJob("__proto__", job_id="constructor", after=[first])
    await client.submit_jobs([first, second, NewJob(evil("x"), job_id="last", after=[second])])
    tab = await open_tab(broker.url, "/jobs/constructor")
    await expect(drawing(tab).get_by_role("link")).to_have_count(3)
    await expect(drawing(tab).locator("svg title").nth(2)).to_contain_text("<script>")
    assert await drawing(tab).locator("script, img, svg svg, a a").count() == 0
    hrefs = (
        await drawing(tab)
        .locator("a")
        .evaluate_all("all => all.map(each => each.getAttribute('href'))")
    )
    assert all(href.startswith("#/jobs/") for href in hrefs)
