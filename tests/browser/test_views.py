"""Every view, on a phone and on a desk, in light and in dark."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect
from tests.browser.axe import barriers
from tests.browser.tab import Tab

from .conftest import BROWSER, Furnished, OpenTab

pytestmark = [*BROWSER]

PHONE, DESK, WALL = 360, 1440, 2560

VIEWS = {
    "/": "Overview",
    "/jobs": "Jobs",
    "/jobs?status=dead": "Jobs",
    "/jobs?status=ended": "Jobs",
    "/dead": "Dead letters",
    "/queue": "Queue",
    "/schedules": "Schedules",
    "/schedules/nightly": "Schedules",
    "/schedules/none-of-this-name": "Schedules",
    "/playground": "Playground",
    "/state": "State",
    "/settings": "Settings",
    "/login": "Log in",
    "/jobs/{running}": "video:transcode",
    "/jobs/{dead}": "email:send",
    "/jobs/{completed}": "report:build",
    "/jobs/nobody-knows-it": "Job",
}
"""Each view, and its heading. What is in braces is the id of such a job."""


def address(view: str, furnished: Furnished) -> str:
    scene = furnished.scene
    return view.format(running=scene.running[0], dead=scene.dead[0], completed=scene.completed)


async def resize(tab: Tab, width: int) -> None:
    await tab.page.set_viewport_size({"width": width, "height": 800})


@pytest.mark.parametrize("view", VIEWS)
async def test_view_when_opened_by_its_address_then_fits_and_keeps_nobody_out(
    open_tab: OpenTab, furnished: Furnished, view: str
) -> None:
    tab = await open_tab(furnished.broker.url, None)
    tab.announce_refusal(*([404] if "nobody" in view else []))
    await tab.open(address(view, furnished))
    await tab.connected()
    await expect(tab.heading).to_have_text(VIEWS[view])
    assert await tab.fits()
    assert not await barriers(tab.page)
    await resize(tab, WALL)
    assert await tab.fits()
    await resize(tab, PHONE)
    await tab.page.emulate_media(color_scheme="dark")
    await expect(tab.heading).to_be_visible()
    assert await tab.fits()
    assert not await barriers(tab.page)


async def test_colours_when_the_system_is_dark_then_so_is_the_page(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = await open_tab(furnished.broker.url, scheme="light")
    dark = await open_tab(furnished.broker.url, scheme="dark")
    assert brightness(await light.page.evaluate(background)) > 200
    assert brightness(await dark.page.evaluate(background)) < 60


async def test_colours_when_chosen_then_stay_after_a_reload(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url)
    button = tab.page.get_by_role("button", name=re.compile("^Colours"))
    while await button.get_attribute("title") != "Colours: dark":
        await button.click()
    await tab.page.reload()
    await expect(button).to_have_attribute("title", "Colours: dark")
    assert (
        brightness(await tab.page.evaluate("getComputedStyle(document.body).backgroundColor")) < 60
    )


def brightness(colour: str) -> float:
    """From 0, black, to 255, white."""
    parts = [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]
    return sum(parts) / 3


async def test_navigation_when_clicked_through_then_shows_every_view_without_a_reload(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url)
    await tab.page.evaluate("window.same = true")
    places = tab.page.get_by_role("navigation").get_by_role("link")
    assert await places.count() >= 6
    for place in await places.all():
        await place.click()
        await tab.ready()
        await expect(place).to_have_attribute("aria-current", "page")
        name = re.split(r"\d", await place.inner_text())[0].strip()
        await expect(tab.heading).to_have_text(name)
    assert await tab.page.evaluate("window.same")


async def test_page_when_its_address_is_of_no_view_then_says_so(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url, None)
    await tab.page.goto(f"{furnished.broker.url}/#/nothing-like-that")
    await expect(tab.main).to_contain_text("There is no such page")


async def test_page_when_loaded_then_its_files_are_small(
    open_tab: OpenTab, furnished: Furnished
) -> None:
    tab = await open_tab(furnished.broker.url)
    sizes = await tab.page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".filter(entry => !entry.name.includes('/v1/')).map(entry => entry.encodedBodySize)"
    )
    assert 10_000 < sum(sizes) < 200_000
