"""The browser, brokers and tabs that tests ask for. All of it runs on the loop of the session: a
browser belongs to the loop that started it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Literal, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from tests.browser.brokers import BrokerProcess, LocalBroker
from tests.browser.chromium import chromium
from tests.browser.scene import Scene, furnish
from tests.browser.tab import Tab
from tests.browser.waiting import WAIT_S
from tests.integration.doors import Keys

from osqueue.client import OsqueueClient

WAIT_MS = WAIT_S * 1_000

HEIGHT = 900

BROWSER = (pytest.mark.external, pytest.mark.asyncio(loop_scope="session"))
"""The marks of a test that uses a browser."""

Scheme = Literal["light", "dark"]
StartBroker = Callable[..., Awaitable[BrokerProcess]]


class OpenTab(Protocol):
    """Opens a tab of a broker, with cookies and storage of its own."""

    async def __call__(
        self, origin: str, view: str | None = "/", *, width: int = 1440, scheme: Scheme = "light"
    ) -> Tab: ...


class Furnished:
    """A broker that has something of everything, which nobody changes."""

    def __init__(self, broker: BrokerProcess, client: OsqueueClient, scene: Scene) -> None:
        self.broker = broker
        self.client = client
        self.scene = scene


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def closing() -> AsyncIterator[AsyncExitStack]:
    """What is to be closed when all tabs are: one whose broker has gone would complain."""
    async with AsyncExitStack() as closing:
        yield closing


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(
    browser: Browser,
    closing: AsyncExitStack,  # noqa: ARG001 - it comes later
) -> AsyncIterator[OpenTab]:
    """At the end nothing that was not announced must have gone wrong in any of the tabs."""
    tabs: list[Tab] = []

    async def open_tab(
        origin: str, view: str | None = "/", *, width: int = 1440, scheme: Scheme = "light"
    ) -> Tab:
        context = await browser.new_context(
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(WAIT_MS)
        tabs.append(Tab(await context.new_page(), origin))
        if view is not None:
            await tabs[-1].open(view)
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        await tab.page.context.close()
    complaints = [said for tab in tabs for said in tab.unannounced()]
    assert not complaints


@pytest_asyncio.fixture(loop_scope="session")
async def start_broker(tmp_path: Path, closing: AsyncExitStack) -> StartBroker:
    """Starts processes that end with the test: takes what `BrokerProcess` does."""
    numbers = count()

    async def start(
        storage: str = "memory://", *options: str, keys: Keys | None = None
    ) -> BrokerProcess:
        log = tmp_path / f"{next(numbers)}.log"
        broker = BrokerProcess(log, storage, *options, keys=keys)
        closing.push_async_callback(broker.kill)
        await broker.start()
        return broker

    return start


@pytest_asyncio.fixture(loop_scope="session")
async def broker(closing: AsyncExitStack) -> LocalBroker:
    """An empty broker of this test's own."""
    broker = LocalBroker()
    await closing.enter_async_context(broker.server)
    return broker


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(closing: AsyncExitStack, keys: Keys) -> LocalBroker:
    """The same, which asks for tokens."""
    broker = LocalBroker(keys)
    await closing.enter_async_context(broker.server)
    return broker


@pytest_asyncio.fixture(loop_scope="session")
async def client(broker: LocalBroker) -> AsyncIterator[OsqueueClient]:
    async with broker.client() as client:
        yield client


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A token for each role."""
    return Keys(tmp_path)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def furnished(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Furnished]:
    """The same broker for all tests that only look."""
    broker = BrokerProcess(tmp_path_factory.mktemp("furnished") / "broker.log")
    await broker.start()
    try:
        async with broker.client() as client:
            yield Furnished(broker, client, await furnish(client))
    finally:
        await broker.kill()
