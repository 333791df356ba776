"""Debian's Chromium, driven by Playwright. No browser is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright
from tests.integration.servers.install import require

__all__ = ["chromium"]

ARGUMENTS = ("--force-color-profile=srgb", "--font-render-hinting=none")
"""So that pictures look the same on every machine."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window. Root has no sandbox: Chromium refuses to start in one."""
    require("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            chromium_sandbox=os.geteuid() != 0,
            args=ARGUMENTS,
        )
        try:
            yield browser
        finally:
            await browser.close()
