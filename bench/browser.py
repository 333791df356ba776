"""What the dashboard is like in a browser, while 100,000 jobs are queued and 500 a second flow.

Debian's Chromium, without a window and without a GPU, on the machine that also runs the broker and
the load: each opening is by a browser context of its own, with nothing cached. Times are taken
within the page, from the navigation or the act on, to the frame that shows it; the page's
Content-Security-Policy holds as ever. Then one page stays open on the overview, and its heap is
told every half minute after a forced collection: ``--minutes 0`` leaves that out. Wants what `make
servers` installs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from lists import FLOW_PER_S, PAYLOAD, TYPES, running
from load import emit
from playwright.async_api import Browser, CDPSession, Page
from rest import broker

from osqueue.client import NewJob, OsqueueClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser.chromium import chromium

JOBS = int(os.environ.get("BENCH_JOBS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
EVERY_S = 30
SETTLE_S = 5
TARGETS_MS = {"first_paint": 500, "first_data": 1_000, "filter": 300, "next_page": 300}
STEADY_MB_PER_H = 1
"""More than that, and a page that is left open for days is a burden."""

WATCH = """
// Answers with the time of the first frame after `holds()` does.
window.shown = holds => new Promise(resolve => {
  const look = () => {
    if (!holds()) return;
    watch.disconnect();
    requestAnimationFrame(() => resolve(performance.now()));
  };
  const watch = new MutationObserver(look);
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  watch.observe(document, all);
  look();
});
window.rows = () => [...document.querySelectorAll("tr[data-row]")].map(row => row.textContent);
const value = () => document.querySelector(".stat-value")?.textContent ?? "";
window.firstData = shown(() => /[0-9]/.test(value()));
"""
FIRST_DATA = "() => window.firstData"
FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
ROWS = "() => shown(() => rows().length > 20)"
FILTER = """async type => {
  const began = performance.now();
  location.hash = `#/jobs?type=${type}`;
  return await shown(() => rows().length > 0 && rows().every(row => row.includes(type))) - began;
}"""
NEXT_PAGE = """async () => {
  const length = () => Number(document.querySelector("table.table").ariaRowCount);
  const before = length(), began = performance.now();
  scrollTo(0, document.documentElement.scrollHeight);
  return await shown(() => length() > before) - began;
}"""


async def fill(client: OsqueueClient) -> None:
    for start in range(0, JOBS, 1_000):
        numbers = range(start, min(start + 1_000, JOBS))
        await client.submit_jobs(
            [NewJob(f"type-{number % TYPES:02}", PAYLOAD) for number in numbers]
        )


@asynccontextmanager
async def opened(browser: Browser, url: str) -> AsyncIterator[Page]:
    """The overview, in a context of its own."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = await context.new_page()
        await page.add_init_script(WATCH)
        await page.goto(url)
        yield page
    finally:
        await context.close()


async def look(browser: Browser, url: str, number: int) -> dict[str, float]:
    """What one who comes sees, in ms."""
    async with opened(browser, url) as page:
        times = {"first_data": await page.evaluate(FIRST_DATA)}
        times["first_paint"] = await page.evaluate(FIRST_PAINT)
        await page.evaluate("() => { location.hash = '#/jobs' }")
        await page.evaluate(ROWS)
        times["filter"] = await page.evaluate(FILTER, f"type-{number % TYPES:02}")
        times["next_page"] = await page.evaluate(NEXT_PAGE)
    return times


async def stay(browser: Browser, url: str, minutes: float) -> None:
    """Leave the overview open, and tell what it holds."""
    heaps: list[tuple[float, float]] = []
    async with opened(browser, url) as page:
        await page.evaluate(FIRST_DATA)
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Performance.enable")
        for number in range(int(minutes * 60 / EVERY_S) + 1):
            await asyncio.sleep(EVERY_S if number else SETTLE_S)
            held = await memory(devtools)
            minute = number * EVERY_S / 60
            emit("browser.memory", minute=minute, **held)
            heaps.append((minute, held["heap_mb"]))
    later = heaps[len(heaps) // 2 :]
    emit(
        "browser.memory_growth",
        minutes=minutes,
        first_mb=heaps[0][1],
        last_mb=heaps[-1][1],
        mb_per_h_in_the_later_half=round(60 * slope(later), 2),
        target=STEADY_MB_PER_H,
    )


async def memory(devtools: CDPSession) -> dict[str, float]:
    for _ in range(2):  # what the first finds finalizers of, the second frees
        await devtools.send("HeapProfiler.collectGarbage")
    told: list[dict[str, Any]] = (await devtools.send("Performance.getMetrics"))["metrics"]
    found = {each["name"]: each["value"] for each in told}
    return {
        "heap_mb": round(found["JSHeapUsedSize"] / 1e6, 3),
        "nodes": int(found["Nodes"]),
        "listeners": int(found["JSEventListeners"]),
    }


def slope(points: list[tuple[float, float]]) -> float:
    """Of the line that fits best."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum(
        (x - mean_x) ** 2 for x, _ in points
    )


async def main(minutes: float) -> None:
    with broker() as (port, _):
        url = f"http://127.0.0.1:{port}/"
        async with OsqueueClient(url, transport="rest") as client:
            await fill(client)
        with running("flow", url):
            await asyncio.sleep(SETTLE_S)
            async with chromium() as browser:
                looks = [await look(browser, url, number) for number in range(ROUNDS)]
                for name, target in TARGETS_MS.items():
                    times = [each[name] for each in looks]
                    emit(
                        f"browser.{name}_ms",
                        jobs=JOBS,
                        flow_per_s=FLOW_PER_S,
                        median=round(median(times)),
                        slowest=round(max(times)),
                        target=target,
                    )
                if minutes:
                    await stay(browser, url, minutes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    uvloop.run(main(parser.parse_args().minutes))
