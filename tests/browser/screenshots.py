"""Takes the pictures of the dashboard: ``python -m tests.browser.screenshots docs/images``.

They are of a broker that has been busy for an hour. With ``--all`` each view is pictured on a
phone, on a desk and on a wall, in light and in dark: to look at what a change has done to them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
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
        "workflow": "/jobs/{joining}",
        "dead": "/dead",
        "queue": "/queue",
        "schedules": "/schedules/nightly",
        "playground": "/playground",
    }
)
"""Each picture's name, and what it shows; in braces the id of such a job of the `Scene`."""

DARK_VIEWS: Final = ("overview", "job", "workflow")

PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
PHONE_VIEWS: Final = ("overview", "jobs", "job")

MORE_VIEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "schedules-all": "/schedules",
        "state": "/state",
        "settings": "/settings",
        "dead-letter": "/jobs/{worn_out}",
        "nothing": "/jobs?type=nobody:does-that",
        "missing": "/jobs/nobody-knows-it",
    }
)
"""What the documents do not show."""

SIZES: Final[Mapping[str, ViewportSize]] = MappingProxyType(
    {
        "phone": {"width": 360, "height": 780},
        "desk": DESK,
        "wall": {"width": 2560, "height": 1440},
    }
)


class Series(NamedTuple):
    """Pictures of one kind."""

    name: str
    size: ViewportSize
    scheme: Literal["light", "dark"]
    views: Mapping[str, str]


def documented() -> Sequence[Series]:
    """What the documents show."""
    return [
        Series("light", DESK, "light", VIEWS),
        Series("dark", DESK, "dark", {name: VIEWS[name] for name in DARK_VIEWS}),
        Series("phone", PHONE, "light", {name: VIEWS[name] for name in PHONE_VIEWS}),
    ]


def everything() -> Sequence[Series]:
    """Each view, in each size and both schemes."""
    return [
        Series(f"{name}-{scheme}", size, scheme, {**VIEWS, **MORE_VIEWS})
        for name, size in SIZES.items()
        for scheme in SCHEMES
    ]


async def main(folder: Path, wanted: Sequence[Series]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=WAIT_MS)
    async with staged() as (url, scene), chromium() as browser:
        known = msgspec.structs.asdict(scene)
        for series in wanted:
            views = {name: view.format(**known) for name, view in series.views.items()}
            await _take(browser, url, folder, series._replace(views=views))


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
    tab.announce_refusal(*([404] if "missing" in series.views else []))
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
    asyncio.run(main(Path(sys.argv[-1]), everything() if "--all" in sys.argv else documented()))
