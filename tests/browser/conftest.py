"""The browser, brokers and tabs that tests ask for. All of it runs on the loop of the session: a
browser belongs to the loop that started it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from tests.browser.brokers import BrokerProcess
from tests.browser.chromium import chromium
from tests.browser.scene import Scene, furnish
from tests.browser.tab import Tab
from tests.integration.doors import Keys

from osqueue.client import OsqueueClient

WAIT_MS = 10_000
"""For what a page is to show: the machine may be busy."""

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
async def open_tab(browser: Browser) -> AsyncIterator[OpenTab]:
    """At the end nothing that was not announced must have gone wrong in any of the tabs."""
    tabs: list[Tab] = []

    async with AsyncExitStack() as closing:

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
            closing.push_async_callback(context.close)
            tab = Tab(await context.new_page(), origin)
            tabs.append(tab)
            if view is not None:
                await tab.open(view)
            return tab

        yield open_tab
        complaints = [said for tab in tabs for said in tab.unannounced()]
    assert not complaints


@pytest_asyncio.fixture(loop_scope="session")
async def start_broker(tmp_path: Path) -> AsyncIterator[StartBroker]:
    """Starts brokers that end with the test: takes what `BrokerProcess` does."""
    brokers: list[BrokerProcess] = []

    async def start(
        storage: str = "memory://", *options: str, keys: Keys | None = None
    ) -> BrokerProcess:
        broker = BrokerProcess(tmp_path / f"{len(brokers)}.log", storage, *options, keys=keys)
        brokers.append(broker)
        await broker.start()
        return broker

    yield start
    for broker in brokers:
        await broker.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def broker(start_broker: StartBroker) -> BrokerProcess:
    """An empty broker in memory, of this test's own."""
    return await start_broker()


@pytest_asyncio.fixture(loop_scope="session")
async def client(broker: BrokerProcess) -> AsyncIterator[OsqueueClient]:
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
