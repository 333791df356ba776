"""Giving up what waits in vain, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from osqueue.client.underway import GivenUpError, UnderWay

A, B = "http://a:1", "http://b:1"


class Requests:
    """Requests under way, each until it is answered."""

    def __init__(self) -> None:
        self.under_way = UnderWay()
        self.answers: dict[str, asyncio.Future[str]] = {}

    async def begin(self, url: str) -> asyncio.Task[str]:
        self.answers[url] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._send(url))
        await asyncio.sleep(0)
        return task

    async def _send(self, url: str) -> str:
        async with self.under_way.at(url):
            return await self.answers[url]


@pytest.fixture
async def requests() -> Requests:
    return Requests()


async def test_give_up_elsewhere_ends_what_is_under_way_at_other_brokers(
    requests: Requests,
) -> None:
    at_a, at_b = await requests.begin(A), await requests.begin(B)

    requests.under_way.give_up_elsewhere(B)

    with pytest.raises(GivenUpError, match=A):
        await at_a
    requests.answers[B].set_result("done")
    assert await at_b == "done"


async def test_give_up_when_the_answer_has_come_then_it_is_not_lost(requests: Requests) -> None:
    at_a = await requests.begin(A)
    requests.answers[A].set_result("done")
    await asyncio.sleep(0)

    requests.under_way.give_up(A)

    assert await at_a == "done"


async def test_give_up_when_its_caller_cancels_as_well_then_it_is_cancelled(
    requests: Requests,
) -> None:
    at_a = await requests.begin(A)

    requests.under_way.give_up(A)
    await asyncio.sleep(0)
    at_a.cancel()

    await asyncio.wait({at_a})
    assert at_a.cancelled()


async def test_give_up_twice_and_of_nothing_is_harmless(requests: Requests) -> None:
    requests.under_way.give_up(A)
    at_a = await requests.begin(A)
    requests.under_way.give_up(A)
    requests.under_way.give_up(A)
    requests.under_way.give_up_elsewhere(B)
    with pytest.raises(GivenUpError):
        await at_a


async def test_time_out_of_the_request_itself_stays_what_it_is() -> None:
    with pytest.raises(TimeoutError):
        async with UnderWay().at(A):
            raise TimeoutError
