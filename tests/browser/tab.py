"""A tab of the browser under watch: whatever goes wrong in it fails the test that did not announce
it.

What counts: errors and warnings on the console (violations of the content security policy are
among them), exceptions that nobody caught, dialogs that a script opened, requests that failed, and
requests to anywhere but the broker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from playwright.async_api import ConsoleMessage, Dialog, Error, Locator, Page, Request, expect

from .waiting import WAIT_S, eventually

__all__ = ["AWAY", "Tab"]

AWAY = (
    r"net::ERR_(CONNECTION|CONTENT_LENGTH|EMPTY|SOCKET|INCOMPLETE)",
    r"WebSocket connection to .* failed",
)
"""What the browser itself says of a broker that is not there."""

REFUSED = r"the server responded with a status of {}"
ABORTED = "net::ERR_ABORTED"
"""A request that the page itself gave up."""

LOCAL_SCHEMES = ("data:", "blob:", "about:")
LOUD = ("error", "warning", "assert")


class Tab:
    """A page of the broker at ``origin``."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.complaints: list[str] = []
        self._announced: list[re.Pattern[str]] = []
        page.on("console", self._said)
        page.on("pageerror", self._raised)
        page.on("requestfailed", self._failed)
        page.on("request", self._asked)
        page.on("dialog", self._opened)

    def announce(self, *patterns: str) -> None:
        """This is going to happen, and is meant to."""
        self._announced += map(re.compile, patterns)

    def announce_refusal(self, *statuses: int) -> None:
        """The broker is going to answer so; the browser writes that to the console."""
        self.announce(*(REFUSED.format(status) for status in statuses))

    def unannounced(self) -> Sequence[str]:
        """What went wrong and should not have."""
        return [
            said
            for said in self.complaints
            if not any(pattern.search(said) for pattern in self._announced)
        ]

    @property
    def main(self) -> Locator:
        """The view."""
        return self.page.get_by_role("main")

    @property
    def heading(self) -> Locator:
        """What the view is called."""
        return self.main.get_by_role("heading", level=1)

    async def open(self, view: str = "/") -> None:
        """Load the page anew, on a view, and wait until that shows what there is."""
        await self.page.goto(f"{self.origin}/#{view}")
        await self.ready()

    async def go(self, view: str) -> None:
        """Another view of the page that is there."""
        await self.page.evaluate("view => { location.hash = view }", f"#{view}")
        await self.ready()

    async def ready(self) -> None:
        """Wait until the view has its first data."""
        await expect(self.heading).to_be_visible()
        await expect(self.main.locator(".skeleton")).to_have_count(0)

    async def connected(self, state: str = "live") -> None:
        """Wait for a state of the connection; by default until values are pushed."""
        await expect(self.page.locator(".connection")).to_contain_class(f"is-{state}")

    async def confirm(self, verb: str) -> None:
        """Agree to what the open dialog asks."""
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name=re.compile(f"^{verb}")).click()

    async def fits(self, within_s: float = WAIT_S) -> bool:
        """Whether nothing has to be scrolled sideways, once the page has laid itself out: after a
        change of its size that takes it a few frames.
        """
        try:
            await eventually(self._is_within, within_s)
        except AssertionError:
            return False
        return True

    async def _is_within(self) -> bool:
        return bool(
            await self.page.evaluate(
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            )
        )

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in LOUD:
            where = message.location.get("url", "")
            self.complaints.append(f"console {message.type}: {message.text} ({where})")

    def _raised(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error.stack or error.message}")

    def _failed(self, request: Request) -> None:
        if request.failure != ABORTED:
            self.complaints.append(f"failed: {request.method} {request.url}: {request.failure}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", *LOCAL_SCHEMES)):
            self.complaints.append(f"fetched from elsewhere: {request.url}")

    async def _opened(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.dismiss()
