"""axe-core: what keeps people from using a page, as far as a program can tell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from playwright.async_api import Page
from tests.integration.servers.install import AXE, MissingServerError

__all__ = ["barriers"]

GRAVE = ("serious", "critical")

RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations"""


async def barriers(page: Page) -> Sequence[str]:
    """What is serious or critical, each with the first element that has it."""
    await page.evaluate(_source())
    found: list[dict[str, Any]] = await page.evaluate(RUN)
    return [_described(each) for each in found if each["impact"] in GRAVE]


def _described(violation: dict[str, Any]) -> str:
    nodes = violation["nodes"]
    summary = nodes[0]["failureSummary"].replace("\n", " ")
    return f"{violation['id']}: {len(nodes)} times, as in {nodes[0]['html']}: {summary}"


@cache
def _source() -> str:
    path = AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists():
        raise MissingServerError("axe-core not found: `make servers` installs it")
    return path.read_text()
