"""Takes the pictures of the dashboard: ``python -m tests.browser.screenshots docs/images``.

Each view once in light and once in dark, from a broker that has been busy for an hour.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from playwright.async_api import Browser, expect
from tests.browser.chromium import chromium
from tests.browser.stage import NOW, staged
from tests.browser.tab import Tab

WIDTH, HEIGHT = 1280, 800
WAIT_MS: Final = 20_000
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")

VIEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "overview": "/",
        "jobs": "/jobs",
        "dead": "/dead",
        "queue": "/queue",
        "playground": "/playground",
        "state": "/state",
        "settings": "/settings",
    }
)
"""Each picture's name, and what it shows."""


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=WAIT_MS)
    async with staged() as broker, chromium() as browser:
        for scheme in SCHEMES:
            await _take_all(browser, broker.url, folder, scheme)


async def _take_all(
    browser: Browser, url: str, folder: Path, scheme: Literal["light", "dark"]
) -> None:
    context = await browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    tab = Tab(await context.new_page(), url)
    await tab.page.clock.set_fixed_time(NOW)
    for name, view in VIEWS.items():
        await tab.open(view)
        await tab.connected()
        await tab.page.screenshot(path=folder / f"{name}-{scheme}.png", animations="disabled")
    await context.close()
    if tab.unannounced():
        sys.exit("\n".join(tab.unannounced()))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
