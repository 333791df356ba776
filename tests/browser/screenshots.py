"""Takes the pictures of the dashboard: ``python -m tests.browser.screenshots docs/images``.

Each view once in light and once in dark, from a broker that has been busy for an hour.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec
from playwright.async_api import Browser, ViewportSize, expect
from tests.browser.chromium import chromium
from tests.browser.stage import NOW, staged
from tests.browser.tab import Tab

DESK: Final[ViewportSize] = {"width": 1280, "height": 860}
WAIT_MS: Final = 20_000
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")

VIEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "overview": "/",
        "jobs": "/jobs?order=oldest",
        "job": "/jobs/{running[2]}",
        "dead": "/dead",
        "queue": "/queue",
        "schedules": "/schedules/nightly",
        "playground": "/playground",
        "state": "/state",
        "settings": "/settings",
    }
)
"""Each picture's name, and what it shows; in braces the id of such a job of the `Scene`."""

PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
PHONE_VIEWS: Final = ("overview", "jobs", "job")


class Series(NamedTuple):
    """Pictures of one kind."""

    name: str
    size: ViewportSize
    scheme: Literal["light", "dark"]
    views: Mapping[str, str]


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=WAIT_MS)
    async with staged() as (url, scene), chromium() as browser:
        views = {name: view.format(**msgspec.structs.asdict(scene)) for name, view in VIEWS.items()}
        for scheme in SCHEMES:
            await _take(browser, url, folder, Series(scheme, DESK, scheme, views))
        phone = Series("phone", PHONE, "light", {name: views[name] for name in PHONE_VIEWS})
        await _take(browser, url, folder, phone)


async def _take(browser: Browser, url: str, folder: Path, series: Series) -> None:
    context = await browser.new_context(
        viewport=series.size,
        device_scale_factor=1.5,
        color_scheme=series.scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    tab = Tab(await context.new_page(), url)
    await tab.page.clock.set_fixed_time(NOW)
    for name, view in series.views.items():
        await tab.open(view)
        await tab.connected()
        await _prepare(tab, name)
        path = folder / f"{name}-{series.name}.png"
        await tab.page.screenshot(path=path, animations="disabled")
    await context.close()
    if tab.unannounced():
        sys.exit("\n".join(tab.unannounced()))


async def _prepare(tab: Tab, name: str) -> None:
    """What a person would do first on a view; without room for a bar that no picture shows."""
    await tab.page.evaluate("document.documentElement.style.scrollbarGutter = 'auto'")
    if name == "state":
        await tab.main.get_by_role("button", name="Load").click()
        await expect(tab.main.get_by_role("group")).to_be_visible()
    if name == "playground":
        await (
            tab.main.get_by_role("region", name="Producer").get_by_label("Type").fill("email:send")
        )
        await expect(tab.main.get_by_label("Template")).to_be_visible()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
