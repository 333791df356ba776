"""What is seen first, and that nothing moves after that: by events, not by the clock."""

from __future__ import annotations

import pytest
from playwright.async_api import Route, expect
from tests.browser.brokers import LocalBroker
from tests.browser.scene import about
from tests.browser.tab import Tab
from tests.browser.waiting import eventually

from osqueue.client import OsqueueClient

from .conftest import BROWSER, Furnished, OpenTab

pytestmark = [*BROWSER]

SHIFT_MAX = 0.01
"""A tenth of what browsers call good."""

WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver(list => {
  for (const { value, hadRecentInput, sources } of list.getEntries())
    if (!hadRecentInput) window.shifts.push({
      value, moved: sources.map(({ node }) => node?.className ?? node?.nodeName ?? "").join(", ")
    });
}).observe({ type: "layout-shift", buffered: true });
"""

VIEWS = ("/", "/jobs", "/dead", "/queue", "/playground", "/settings", "/jobs/{dead}")


async def shifts(tab: Tab) -> list[dict[str, object]]:
    """What has moved: each by how much of the window."""
    moved: list[dict[str, object]] = await tab.page.evaluate("window.shifts")
    return moved


async def moved(tab: Tab) -> float:
    return sum(float(str(each["value"])) for each in await shifts(tab))


async def test_page_when_no_data_has_come_then_its_first_view_is_there_all_the_same(
    open_tab: OpenTab, broker: LocalBroker
) -> None:
    tab = await open_tab(broker.url, None)
    held: list[Route] = []
    for asked in ("**/v1/**", "**/ui/session"):
        await tab.page.route(asked, lambda route: held.append(route))  # noqa: PLW0108 - it must be a function
    await tab.page.route_web_socket("**/v1/ws", lambda _: None)
    await tab.page.goto(f"{broker.url}/#/")
    await expect(tab.page.get_by_role("link", name="osqueue", exact=True)).to_be_visible()
    await expect(tab.page.get_by_role("navigation")).to_be_visible()
    await expect(tab.page.locator(".connection")).to_contain_class("is-connecting")
    paints = "performance.getEntriesByName('first-contentful-paint').length"
    await tab.page.wait_for_function(paints)
    assert held
    for route in held:
        await route.continue_()
    await tab.page.unroute_all()


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("view", VIEWS)
async def test_view_when_it_loads_then_nothing_moves_that_was_there(
    open_tab: OpenTab, furnished: Furnished, view: str, width: int
) -> None:
    tab = await open_tab(furnished.broker.url, None, width=width)
    await tab.page.add_init_script(WATCH_SHIFTS)
    await tab.open(view.format(dead=furnished.scene.worn_out))
    await tab.connected()
    assert await moved(tab) < SHIFT_MAX, await shifts(tab)


@pytest.mark.parametrize("width", [360, 1440])
async def test_overview_when_values_are_pushed_then_nothing_moves(
    open_tab: OpenTab, broker: LocalBroker, client: OsqueueClient, width: int
) -> None:
    tab = await open_tab(broker.url, None, width=width)
    await tab.page.add_init_script(WATCH_SHIFTS)
    await tab.open("/")
    await tab.connected()
    for number in range(3):
        await client.submit_jobs([("email:send", n) for n in range(10 ** (number + 1))])
        jobs = await client.claim_jobs("mail-1", max_jobs=9, worker=about("mail-1"))
        await client.complete_jobs(jobs)

        async def is_shown(total: int = (await client.get_stats()).completed_total) -> bool:
            return f"{total} in total" in await tab.main.inner_text()

        await eventually(is_shown)
    assert await moved(tab) < SHIFT_MAX, await shifts(tab)
