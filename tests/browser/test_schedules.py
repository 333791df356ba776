"""The schedules' page: what is shown of them, and what is done there is asked of the broker."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect
from tests.browser.brokers import LocalBroker
from tests.browser.hostile import evil
from tests.browser.tab import Tab
from tests.browser.test_access import asked, opened
from tests.browser.test_hostile import is_unharmed
from tests.integration.doors import Keys

from osqueue.client import OsqueueClient, ScheduleInfo
from osqueue.wire.roles import Role

from .conftest import BROWSER, OpenTab

pytestmark = [*BROWSER]


async def nightly(client: OsqueueClient) -> ScheduleInfo:
    return await client.put_schedule(
        "nightly", "report:build", {"of": "yesterday"}, cron="0 3 * * *", timezone="Europe/Rome"
    )


def row(tab: Tab, name: str) -> Locator:
    return tab.main.get_by_role("row").filter(has_text=name)


def detail(tab: Tab, name: str) -> Locator:
    return tab.main.get_by_role("region", name=name, exact=True)


async def act(tab: Tab, verb: str) -> None:
    await tab.main.get_by_role("button", name=f"{verb}…").click()
    await tab.confirm(verb)


async def test_schedules_when_there_are_none_then_says_how_to_make_one(
    open_tab: OpenTab, broker: LocalBroker
) -> None:
    tab = await open_tab(broker.url, "/schedules")
    await expect(tab.main).to_contain_text("No schedules yet")
    await expect(tab.main.locator("code")).to_contain_text("osqueue schedules put")


async def test_schedule_when_made_then_listed_without_a_reload_and_opened_by_its_row(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, "/schedules")
    await nightly(client)
    await expect(row(tab, "nightly")).to_contain_text("report:build")
    await expect(row(tab, "nightly")).to_contain_text("At 03:00 every day, Europe/Rome")
    await expect(row(tab, "nightly")).to_contain_text("active")
    await row(tab, "nightly").click()
    shown = detail(tab, "nightly")
    for text in ("0 3 * * *", "yesterday", "none yet", "one job for all missed times"):
        await expect(shown).to_contain_text(text)
    await tab.page.reload()
    await expect(shown).to_contain_text("yesterday")


async def test_schedule_when_its_time_comes_then_its_last_job_is_linked(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await client.put_schedule("often", "tick", every_ms=1_000)
    tab = await open_tab(broker.url, "/schedules/often")
    job = await client.claim_job("w", wait_ms=10_000)
    assert job is not None
    link = detail(tab, "often").locator("a.v-mono")
    await expect(link).to_be_visible()
    await act(tab, "Pause")
    await expect(detail(tab, "often")).to_contain_text("paused")
    await link.click()
    await expect(tab.heading).to_have_text("tick")


async def test_schedule_when_paused_resumed_run_and_removed_then_so_it_is_at_the_broker(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await nightly(client)
    tab = await open_tab(broker.url, "/schedules/nightly")
    await act(tab, "Pause")
    await expect(tab.main.get_by_role("button", name="Resume…")).to_be_visible()
    (paused,) = await client.list_schedules()
    assert paused.paused
    await act(tab, "Resume")
    await expect(tab.main.get_by_role("button", name="Pause…")).to_be_visible()
    (resumed,) = await client.list_schedules()
    assert not resumed.paused
    await act(tab, "Run now")
    await expect(tab.heading).to_have_text("report:build")
    job = await client.claim_job("w")
    assert job is not None
    assert job.payload == {"of": "yesterday"}
    await tab.go("/schedules/nightly")
    await act(tab, "Remove")
    await expect(tab.main).to_contain_text("No schedules yet")
    assert await client.list_schedules() == []


async def test_action_when_it_is_not_agreed_to_then_nothing_is_done(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    before = await nightly(client)
    tab = await open_tab(broker.url, "/schedules/nightly")
    for verb in ("Run now", "Pause", "Remove"):
        await tab.main.get_by_role("button", name=f"{verb}…").click()
        await tab.confirm("Back")
    assert await client.list_schedules() == [before]
    assert (await client.get_stats()).total == 0


async def test_schedule_when_removed_by_another_then_its_page_says_so(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    await nightly(client)
    tab = await open_tab(broker.url, "/schedules/nightly")
    await expect(detail(tab, "nightly")).to_contain_text("yesterday")
    await client.drop_schedule("nightly")
    await expect(tab.main).to_contain_text("There is no such schedule")


async def test_queue_when_schedules_come_then_shows_which_are_next(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    tab = await open_tab(broker.url, "/queue")
    card = detail(tab, "Schedules")
    await expect(card).to_contain_text("No schedules yet")
    await nightly(client)
    await expect(card).to_contain_text("At 03:00 every day")
    await card.get_by_role("link", name="nightly").click()
    await expect(tab.heading).to_have_text("Schedules")
    await expect(detail(tab, "nightly")).to_be_visible()


async def test_schedules_when_the_role_is_observe_then_are_shown_and_nothing_is_offered(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys
) -> None:
    async with guarded.client() as client:
        await nightly(client)
    tab = await opened(open_tab, guarded.url, keys[Role.OBSERVE])
    await tab.go("/schedules/nightly")
    await expect(detail(tab, "nightly")).to_contain_text("0 3 * * *")
    await expect(tab.main.get_by_role("button", name="Pause…")).to_have_count(0)
    tab.announce_refusal(403)
    for method, path in (
        ("POST", "/v1/schedules/nightly/pause"),
        ("POST", "/v1/schedules/nightly/run"),
        ("DELETE", "/v1/schedules/nightly"),
        ("PUT", "/v1/schedules/nightly"),
    ):
        assert (
            await asked(tab, method, path, {"everyMs": 60_000} if method == "PUT" else None) == 403
        )


async def test_schedule_when_all_that_can_be_said_is_markup_then_shows_it_as_text(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient
) -> None:
    payload = {evil("key"): evil("payload"), "__proto__": {"polluted": 1}}
    await client.put_schedule("constructor", evil("type")[:200], payload, every_ms=3_600_000)
    tab = await open_tab(broker.url, "/schedules/constructor")
    shown = detail(tab, "constructor")
    for field in ("type", "key", "payload"):
        await expect(shown).to_contain_text(evil(field)[:100])
    assert await is_unharmed(tab)
    await tab.go(f"/schedules/{evil('name')}")
    await expect(tab.main).to_contain_text("There is no such schedule")
    assert await is_unharmed(tab)


@pytest.mark.parametrize("width", [360, 1440])
async def test_schedules_when_names_are_long_and_many_then_the_page_fits(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient, width: int
) -> None:
    for n in range(30):
        name = f"{'n' * 100}-{n}"
        await client.put_schedule(name, "t" * 200, cron="1-59/2 3,4,5 1-15 JAN-JUN MON-FRI")
    tab = await open_tab(broker.url, "/schedules", width=width)
    await expect(tab.main.locator("tr[data-row]")).not_to_have_count(0)
    assert await tab.fits()
    await tab.main.locator("tr[data-row] a").first.click()
    await expect(tab.main.get_by_role("button", name="Pause…")).to_be_visible()
    assert await tab.fits()
    await tab.go("/queue")
    await expect(detail(tab, "Schedules").get_by_role("link").nth(1)).to_be_visible()
    assert await tab.fits()
