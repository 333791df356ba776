"""Handlers of other forms, registries and workers: an error in each line marked ``wrong``."""

import functools
from dataclasses import dataclass
from typing import Any, assert_type

from osqueue import (
    Backoff,
    JobContext,
    JobHandle,
    Jobs,
    JobType,
    OsqueueClient,
    Registry,
    SyncOsqueueClient,
    Worker,
)
from osqueue.jobs import TypedJob


@dataclass
class Order:
    number: int
    note: str = ""


class Shop:
    async def ship(self, order: Order) -> str:
        return f"{order.number}"

    def bill(self, order: Order, ctx: JobContext) -> float:
        return order.number / ctx.attempt

    async def __call__(self, order: Order) -> int:
        return order.number


def pack(box: str, order: Order) -> str:
    return f"{box}: {order.number}"


jobs = Jobs()
ship = jobs.job("order:ship")(Shop().ship)
bill = jobs.job("order:bill", Order)(Shop().bill)
count = jobs.job("order:count", Order, keep_result=True)(Shop())
pack_it = jobs.job("order:pack", Order)(functools.partial(pack, "box"))


@jobs.job("order:either")
async def either(order: Order | None) -> None: ...


async def all_forms() -> None:
    assert_type(await ship.submit(Order(1)), JobHandle[str])
    assert_type(await bill.submit(number=1), JobHandle[float])
    assert_type(await count.submit(1, note="gift"), JobHandle[int])
    assert_type(await pack_it.submit(Order(1)), JobHandle[str])
    await either.submit(None)
    await either.submit(Order(1))
    await ship.submit(1)  # wrong
    await bill.submit(number="1")  # wrong
    await count.submit(1, nota="gift")  # wrong
    await either.submit("order")  # wrong


async def queued_later(job: TypedJob[Order, str, [Order], Any]) -> None:
    job.options(delay_ms=60_000)
    job.name.upper()


registry = Registry(
    {
        "order:ship": Order,
        "order:bill": JobType(Order, timeout=30, retry=Backoff(base=5), handler="shop:bill"),
        "order:named": "shop.orders:Order",
    }
)


async def clients() -> None:
    by_registry = OsqueueClient("http://127.0.0.1:8080", registry=registry)
    by_jobs = SyncOsqueueClient("http://127.0.0.1:8080", registry=jobs)
    by_mapping = OsqueueClient("http://127.0.0.1:8080", registry={"order:ship": Order})
    Worker(by_registry, jobs, concurrency=10)
    Worker(by_mapping, {"order:ship": Shop().ship})
    by_jobs.close()
    await queued_later(pack_it)
    OsqueueClient("http://127.0.0.1:8080", registry=[Order])  # wrong
    Worker(by_registry, registry=jobs)  # wrong
    Registry([Order])  # wrong
    JobType(Order, time_out=30)  # wrong
    JobType(Order, retry=5)  # wrong
    JobType(Order, executor="fork")  # wrong
    Backoff(bas=5)  # wrong
    Backoff(base="5")  # wrong


def odd_handlers() -> None:
    jobs.job("a")(Shop)  # wrong
    jobs.job("c", Order)(7)  # wrong
    jobs.job("d", 7)  # wrong
    jobs.job(Shop().ship)  # wrong
