"""The list of jobs, a job's page, the dead letters; what is done there is asked of the broker."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect
from tests.browser.brokers import LocalBroker
from tests.browser.scene import BAD_ADDRESS, bury, furnish
from tests.browser.tab import Tab
from tests.browser.waiting import eventually

from osqueue.client import OsqueueClient
from osqueue.client.models import Progress

from .conftest import BROWSER, Furnished, OpenTab

pytestmark = [*BROWSER]


def rows(tab: Tab) -> Locator:
    return tab.main.locator("tr[data-row]")


def row(tab: Tab, job_id: str) -> Locator:
    return rows(tab).filter(has=tab.page.get_by_role("link", name=job_id, exact=True))


async def choose(tab: Tab, label: str) -> None:
    await tab.main.get_by_role("group", name="Status").get_by_role("button", name=label).click()


# The list


async def test_list_when_opened_then_has_a_row_for_each_job(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/jobs?status=in_progress")
    running = furnished.scene.running
    kinds = ["video:transcode"] * 3 + ["rates:fetch", "orders:join"]
    for job_id, kind in zip(running, kinds, strict=True):
        await expect(row(tab, job_id)).to_contain_text(kind)
        await expect(row(tab, job_id)).to_contain_text("in progress")
    await expect(rows(tab)).to_have_count(len(running))


async def test_list_when_filtered_by_status_then_shows_those_alone_and_its_address_says_so(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/jobs")
    await choose(tab, "Dead")
    await expect(rows(tab)).to_have_count(len(furnished.scene.dead))
    await expect(tab.page).to_have_url(re.compile(r"#/jobs\?status=dead$"))
    await choose(tab, "Delayed")
    await expect(rows(tab)).to_have_count(len(furnished.scene.delayed) + 1)
    await tab.page.go_back()
    await expect(rows(tab)).to_have_count(len(furnished.scene.dead))
    await choose(tab, "Ended")
    await expect(row(tab, furnished.scene.completed)).to_contain_text("completed")
    await expect(row(tab, furnished.scene.cancelled)).to_contain_text("cancelled")


async def test_list_when_searched_for_an_error_then_finds_the_jobs_that_have_it(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/jobs")
    await tab.page.keyboard.press("/")
    await tab.page.keyboard.type("not an ADDRESS")
    await expect(rows(tab)).to_have_count(3)
    await expect(tab.page).to_have_url(re.compile("text=not"))
    await tab.page.reload()
    await expect(rows(tab)).to_have_count(3)
    await tab.main.get_by_role("button", name="Clear").click()
    await expect(rows(tab).nth(10)).to_be_visible()


async def test_list_when_nothing_is_found_then_says_what_was_looked_for(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/jobs?type=nobody:does-that")
    await expect(tab.main).to_contain_text("nobody:does-that")
    await expect(tab.main.locator(".empty")).to_be_visible()


async def test_list_when_scrolled_then_reads_on_and_keeps_few_rows_in_the_page(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    ids = await client.submit_jobs([("email:send", n) for n in range(3_000)])
    tab = await open_tab(broker.url, "/jobs?order=oldest")
    await expect(row(tab, ids[0])).to_be_visible()

    async def at_the_end() -> bool:
        await tab.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        return await row(tab, ids[-1]).count() == 1

    await eventually(at_the_end)
    await expect(tab.main).to_contain_text("3,000 jobs loaded")
    assert await rows(tab).count() < 100


async def test_list_when_a_job_ends_then_its_row_says_so_without_a_reload(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    job_id = await client.submit_job("email:send")
    tab = await open_tab(broker.url, "/jobs")
    await expect(row(tab, job_id)).to_contain_text("ready")
    job = await client.claim_job("mail-1")
    assert job is not None
    await expect(row(tab, job_id)).to_contain_text("in progress")
    await expect(row(tab, job_id)).to_contain_text("mail-1")


async def test_rows_when_chosen_and_cancelled_then_the_broker_has_cancelled_them(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    ids = await client.submit_jobs([("email:send", n) for n in range(5)])
    tab = await open_tab(broker.url, "/jobs")
    for job_id in ids[:2]:
        await tab.main.get_by_role("checkbox", name=f"Select {job_id}").check()
    await tab.main.get_by_role("button", name="Cancel").click()
    await expect(tab.page.get_by_role("dialog")).to_contain_text("2 jobs")
    await tab.confirm("Cancel 2 jobs")
    await expect(tab.page.get_by_role("dialog")).to_contain_text("2 cancelled")
    await tab.page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    statuses = [(await client.get_job(job_id)).status for job_id in ids]
    assert statuses == ["cancelled"] * 2 + ["unclaimed"] * 3
    await expect(rows(tab)).to_have_count(3)


async def test_filter_when_all_of_it_is_cancelled_then_nothing_else_is(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await client.submit_jobs([("email:send", n) for n in range(1_500)])
    kept = await client.submit_jobs([("report:build", n) for n in range(3)])
    tab = await open_tab(broker.url, "/jobs?status=ready&type=email:send")
    await tab.main.get_by_role("checkbox", name="Select all").check()
    await tab.main.get_by_role("button", name=re.compile("^Choose all 1,500")).click()
    await tab.main.get_by_role("button", name="Cancel").click()
    await tab.confirm("Cancel 1,500 jobs")
    await expect(tab.page.get_by_role("dialog")).to_contain_text("1,500 cancelled")
    assert [job.job_id async for job in client.iter_jobs()] == kept


async def test_chosen_rows_when_given_a_priority_then_are_claimed_by_it(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    first, second = await client.submit_jobs([("email:send", 1), ("email:send", 2)])
    tab = await open_tab(broker.url, "/jobs")
    await tab.main.get_by_role("checkbox", name=f"Select {second}").check()
    await tab.main.get_by_role("button", name="Priority").click()
    await tab.page.get_by_role("dialog").get_by_label("Priority").fill("-7")
    await tab.confirm("Set priority")
    await expect(tab.page.get_by_role("dialog")).to_contain_text("1 have the new priority")
    assert (await client.get_job(second)).priority == -7
    claimed = await client.claim_jobs("w", max_jobs=2)
    assert [job.job_id for job in claimed] == [second, first]


# A job


async def test_job_when_dead_then_shows_payload_error_and_traceback(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, f"/jobs/{furnished.scene.dead[0]}")
    await expect(tab.main).to_contain_text(f"{BAD_ADDRESS.type}: {BAD_ADDRESS.message}")
    await expect(tab.main.get_by_role("group", name="Payload")).to_contain_text("n")
    await expect(tab.main.locator(".v-timeline")).to_contain_text("Attempt 1 failed")
    await expect(tab.main).to_contain_text(furnished.scene.dead[0])


async def test_job_when_it_failed_several_times_then_shows_each_attempt_with_its_traceback(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, f"/jobs/{furnished.scene.worn_out}")
    for attempt in (1, 2, 3):
        await expect(tab.main).to_contain_text(f"Attempt {attempt} failed")
    await expect(tab.main.get_by_text('File "mail.py", line 41')).to_have_count(3)
    await expect(tab.main.get_by_text('File "mail.py", line 41').last).to_be_visible()


async def test_job_when_completed_then_shows_its_result(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, f"/jobs/{furnished.scene.completed}")
    await expect(tab.main.get_by_role("group", name="Result")).to_contain_text(
        "reports/2025-12.pdf"
    )


async def test_job_when_it_runs_then_its_progress_moves_without_a_reload(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await client.submit_job("video:transcode")
    job = await client.claim_job("media-1")
    assert job is not None
    tab = await open_tab(broker.url, f"/jobs/{job.job_id}")
    for done in (20.0, 80.0):
        progress = Progress(done=done, total=100.0, note="second pass")
        await client.heartbeat_jobs("media-1", [job], progress={job.lease: progress})
        bar = tab.main.get_by_role("progressbar", name="second pass")
        await expect(bar).to_have_attribute("aria-valuenow", str(int(done)))
    await client.complete_job(job)
    await expect(tab.main.locator(".v-timeline")).to_contain_text("completed it")


async def test_dead_job_when_retried_then_waits_again(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    (job_id,) = await bury(client, BAD_ADDRESS, 1)
    tab = await open_tab(broker.url, f"/jobs/{job_id}")
    await tab.main.get_by_role("button", name="Retry").click()
    await expect(tab.main.get_by_role("button", name="Cancel")).to_be_visible()
    assert (await client.get_job(job_id)).status == "unclaimed"


async def test_dead_job_when_discarded_then_is_gone(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    (job_id,) = await bury(client, BAD_ADDRESS, 1)
    tab = await open_tab(broker.url, f"/jobs/{job_id}")
    await tab.main.get_by_role("button", name="Discard").click()
    await tab.confirm("Discard")
    await expect(tab.main.get_by_role("button", name="Discard")).to_have_count(0)
    assert (await client.get_job(job_id)).status == "discarded"


async def test_waiting_job_when_cancelled_then_is_not_claimed(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    job_id = await client.submit_job("email:send")
    tab = await open_tab(broker.url, f"/jobs/{job_id}")
    await tab.main.get_by_role("button", name="Cancel").click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Back").click()
    assert (await client.get_job(job_id)).status == "unclaimed"
    await tab.main.get_by_role("button", name="Cancel").click()
    await tab.confirm("Cancel")
    await expect(tab.main.locator(".v-timeline")).to_contain_text("Cancelled")
    assert await client.claim_job("w") is None


async def test_waiting_job_when_given_a_priority_then_has_it(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    job_id = await client.submit_job("email:send")
    tab = await open_tab(broker.url, f"/jobs/{job_id}")
    await tab.main.get_by_role("button", name="Change priority").click()
    await tab.page.get_by_role("dialog").get_by_label("Priority").fill("-3")
    await tab.confirm("Set priority")
    await expect(tab.page.get_by_role("dialog")).to_contain_text("new priority")
    assert (await client.get_job(job_id)).priority == -3


# Dead letters


async def test_dead_letters_when_opened_then_are_grouped_by_error(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, "/dead")
    groups = tab.main.get_by_role("listitem").filter(has_text="Error")
    await expect(groups).to_have_count(3)
    await expect(groups.first).to_contain_text(re.compile(r"3\s*ValueError"))
    await expect(groups.first).to_contain_text("email:send")
    await groups.first.get_by_role("button", name="Jobs").click()
    for job_id in furnished.scene.dead[:3]:
        await expect(groups.first.get_by_role("link", name=job_id)).to_be_visible()


async def test_group_when_retried_then_its_jobs_wait_again_and_no_others(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    scene = await furnish(client)
    tab = await open_tab(broker.url, "/dead")
    group = tab.main.get_by_role("listitem").filter(has_text=BAD_ADDRESS.type)
    await group.get_by_role("button", name="Retry").click()
    await tab.confirm("Retry 3 jobs")
    await expect(tab.page.get_by_role("dialog")).to_contain_text("3 queued again")
    statuses = [(await client.get_job(job_id)).status for job_id in scene.dead]
    assert statuses == ["unclaimed"] * 3 + ["dead"] * 3


async def test_dead_letters_when_all_are_discarded_then_none_is_left(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    scene = await furnish(client)
    tab = await open_tab(broker.url, "/dead")
    await tab.main.get_by_role("button", name="Discard all").click()
    await tab.confirm("Discard 6 jobs")
    await expect(tab.page.get_by_role("dialog")).to_contain_text("6 discarded")
    await tab.page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    await expect(tab.main).to_contain_text("No dead letters")
    assert (await client.get_stats()).dead == 0
    for job_id in scene.dead:
        assert (await client.get_job(job_id)).status == "discarded"


async def test_dead_letters_when_one_comes_then_it_appears_without_a_reload(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, "/dead")
    await expect(tab.main).to_contain_text("No dead letters")
    await bury(client, BAD_ADDRESS, 2)
    await expect(tab.main.get_by_role("listitem")).to_contain_text("'user #' is not an address")
