"""The queue's page and the playground: what is done there is asked of the broker."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Locator, expect
from tests.browser.brokers import LocalBroker
from tests.browser.tab import Tab
from tests.browser.waiting import eventually

from osqueue.client import OsqueueClient

from .conftest import BROWSER, OpenTab

pytestmark = [*BROWSER]


def card(tab: Tab, title: str) -> Locator:
    return tab.main.get_by_role("region", name=title, exact=True)


async def test_queue_when_paused_then_hands_nothing_out_until_it_is_resumed(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    job_id = await client.submit_job("email:send")
    tab = await open_tab(broker.url, "/queue")
    await tab.main.get_by_role("button", name="Pause").click()
    await tab.confirm("Pause")
    await expect(tab.main.get_by_role("button", name="Resume")).to_be_visible()
    await expect(tab.page.get_by_role("navigation")).to_contain_text("paused")
    assert await client.claim_job("w") is None
    claim = asyncio.create_task(client.claim_job("w", wait_ms=10_000))
    await tab.main.get_by_role("button", name="Resume").click()
    await tab.confirm("Resume")
    job = await claim
    assert job is not None
    assert job.job_id == job_id
    await expect(tab.main.get_by_role("button", name="Pause")).to_be_visible()


async def test_queue_when_jobs_come_then_shows_their_number_by_type_without_a_reload(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, "/queue")
    await client.submit_jobs([("email:send", n) for n in range(3)])
    await client.submit_jobs([("report:build", n) for n in range(2)])
    row = tab.main.get_by_role("row").filter(has_text="email:send")
    await expect(row).to_contain_text("3")
    await client.claim_job("w", ["email:send"])
    await expect(row.get_by_role("cell").nth(-2)).to_have_text("1")
    await row.get_by_role("link", name="email:send").click()
    await expect(tab.heading).to_have_text("Jobs")
    await expect(tab.main.locator("tr[data-row]")).to_have_count(3)


async def test_producer_when_it_submits_then_the_broker_has_the_job(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, "/playground")
    producer = card(tab, "Producer")
    await producer.get_by_label("Type").fill("email:send")
    payload = producer.get_by_label("Payload as JSON")
    await payload.fill("{")
    await expect(producer.get_by_role("button", name="Submit")).to_be_disabled()
    await payload.fill('{"to": "ada@example.org"}')
    await producer.get_by_text("Priority, delay, attempts").click()
    await producer.get_by_label("Priority").fill("4")
    await producer.get_by_role("button", name="Submit").click()
    await expect(producer).to_contain_text("1 submitted")
    job = await client.claim_job("w")
    assert job is not None
    assert (job.type, job.payload, job.priority) == ("email:send", {"to": "ada@example.org"}, 4)
    await expect(producer.get_by_role("link", name=job.job_id)).to_be_visible()


async def test_numbers_when_a_script_would_round_them_then_sent_and_shown_by_their_digits(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    text = '{"order": 9007199254740993, "share": 1.0}'
    tab = await open_tab(broker.url, "/playground")
    producer = card(tab, "Producer")
    await producer.get_by_label("Payload as JSON").fill(text)
    await producer.get_by_text("Priority, delay, attempts").click()
    await producer.get_by_label("Keep the result").check()
    await producer.get_by_role("button", name="Submit").click()
    await expect(producer).to_contain_text("1 submitted")
    job = await client.claim_job("w")
    assert job is not None
    assert job.payload == {"order": 9007199254740993, "share": 1.0}
    await client.complete_job(job, [18446744073709551615])
    await tab.go(f"/jobs/{job.job_id}")
    await expect(tab.main.get_by_role("group", name="Result")).to_contain_text(
        "18446744073709551615"
    )
    job_id = await client.submit_job("t", {"order": 9007199254740993, "share": 1.0})
    await tab.go(f"/jobs/{job_id}")
    shown = tab.main.get_by_role("group", name="Payload")
    await expect(shown).to_contain_text("9007199254740993")
    await expect(shown).to_contain_text("1.0")
    await tab.go("/state")
    await tab.main.get_by_role("button", name="Load").click()
    state = tab.main.get_by_role("group", name="The state object")
    for name in ("jobs", "0", "payload"):
        await state.get_by_role("button", name=name).first.click()
    await expect(state).to_contain_text("9007199254740993")


async def test_producer_when_it_goes_on_by_itself_then_does_so_until_it_is_stopped(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, "/playground")
    producer = card(tab, "Producer")
    await producer.get_by_label("Repeat, ms").fill("100")
    await producer.get_by_role("button", name="Start").click()

    async def are_many() -> bool:
        return (await client.get_stats()).total >= 5

    await eventually(are_many)
    await tab.go("/queue")
    total = (await client.get_stats()).total

    async def are_more() -> bool:
        return (await client.get_stats()).total > total

    await eventually(are_more)
    await tab.go("/playground")
    await producer.get_by_role("button", name="Stop").click()
    counter = producer.locator(".v-counter")
    await expect(counter).to_have_text(re.compile(r"^\d+ submitted( · \d+ left out .*)?$"))
    submitted = int((await counter.inner_text()).split()[0])
    assert (await client.get_stats()).total == submitted


async def test_worker_when_started_then_works_jobs_off_and_gives_back_what_it_holds_when_stopped(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    ids = await client.submit_jobs([("playground", n) for n in range(4)])
    tab = await open_tab(broker.url, "/playground")
    worker = card(tab, "Worker")
    await worker.get_by_label("At once").fill("2")
    await worker.get_by_label("Takes about, ms").fill("50")
    await worker.get_by_label("Fails, %").fill("0")
    await worker.get_by_role("button", name="Start").click()
    for job_id in ids:
        assert (await client.wait(job_id, timeout=10)).status == "completed"
    await expect(worker.get_by_label("What it has done")).to_contain_text(
        re.compile(r"processed\s*4")
    )
    await worker.get_by_role("button", name="Stop").click()
    await expect(worker.get_by_role("button", name="Start")).to_be_visible()
    await worker.get_by_label("Takes about, ms").fill("600000")
    await worker.get_by_role("button", name="Start").click()
    job_id = await client.submit_job("playground")
    await expect(worker.get_by_role("progressbar")).to_have_count(1)
    assert (await client.get_job(job_id)).status == "in_progress"
    await worker.get_by_role("button", name="Stop").click()
    await expect(worker.get_by_role("button", name="Start")).to_be_visible()

    async def is_given_back() -> bool:
        job = await client.get_job(job_id)
        return (job.status, job.attempts) == ("unclaimed", 0)

    await eventually(is_given_back)


async def test_worker_when_told_to_fail_then_its_jobs_become_dead_letters(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    job_id = await client.submit_job("playground", max_attempts=1)
    tab = await open_tab(broker.url, "/playground")
    worker = card(tab, "Worker")
    await worker.get_by_label("Takes about, ms").fill("10")
    await worker.get_by_label("Fails, %").fill("100")
    await worker.get_by_role("button", name="Start").click()
    assert (await client.wait(job_id, timeout=10)).status == "dead"
    await expect(tab.page.get_by_role("navigation")).to_contain_text("1")
    await worker.get_by_role("button", name="Stop").click()
