"""A watch asks while something waits, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from osqueue.client.watching import CHECK_EVERY_S, Watch

A = "http://a:1"


class Watched:
    """Sleeps that end when a test says so."""

    def __init__(self) -> None:
        self.watch = Watch(self._check, self._sleep)
        self.checked: list[str] = []
        self.slept: list[float] = []
        self._wake = asyncio.Event()

    async def pass_time(self) -> None:
        self._wake.set()
        self._wake.clear()
        for _ in range(5):
            await asyncio.sleep(0)

    async def _check(self, url: str) -> None:
        self.checked.append(url)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._wake.wait()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    yield watched
    await watched.watch.close()


async def test_watch_while_requests_wait_checks_again_and_again_once_for_all(
    watched: Watched,
) -> None:
    with watched.watch.over(A), watched.watch.over(A):
        await asyncio.sleep(0)
        await watched.pass_time()
        await watched.pass_time()

    assert watched.checked == [A, A]
    assert set(watched.slept) == {CHECK_EVERY_S}


async def test_watch_when_nothing_waits_any_more_checks_nothing_and_ends(watched: Watched) -> None:
    with watched.watch.over(A):
        await asyncio.sleep(0)
    await watched.pass_time()

    assert watched.checked == []
    assert not watched.watch._tasks
    with watched.watch.over(A):
        await asyncio.sleep(0)
        await watched.pass_time()
    assert watched.checked == [A]


async def test_close_ends_the_watch_and_a_second_one_does_nothing(watched: Watched) -> None:
    with watched.watch.over(A):
        await asyncio.sleep(0)
        await watched.watch.close()
        await watched.watch.close()

    assert not watched.watch._tasks
