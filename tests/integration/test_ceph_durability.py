"""Parts of a Ceph cluster are killed while processes write to it: what was acknowledged stays."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.counting import created, make_counter, read_counter
from tests.integration.servers.ceph import Ceph
from tests.integration.writers import Writing, writer

from osqueue.storage import open_store

pytestmark = pytest.mark.external

WRITING = Writing(counters=2, creators=2)
"""Of each of two processes. Both know both gateways, and begin with different ones."""

TOKENS = 60
"""Written by each process before the harm, and again after it."""

RECOVERY_S_MAX = 120


def kill_an_osd(ceph: Ceph) -> None:
    ceph.kill_osd(1)


def kill_a_gateway(ceph: Ceph) -> None:
    ceph.kill_gateway(0)


def kill_everything(ceph: Ceph) -> None:
    ceph.kill_all()
    ceph.restart_dead()


@pytest.fixture
def cluster(ceph: Ceph) -> Iterator[Ceph]:
    """One that is whole again afterwards."""
    yield ceph
    ceph.restart_dead()


@pytest.mark.parametrize("harm", [kill_an_osd, kill_a_gateway, kill_everything])
async def test_writes_when_ceph_is_harmed_then_go_on_and_none_acknowledged_is_lost(
    cluster: Ceph, harm: Callable[[Ceph], None], tmp_path: Path
) -> None:
    urls = cluster.new_stores()
    store = open_store(urls[1])
    await make_counter(store)
    acknowledged = write_while(lambda: harm(cluster), urls, tmp_path)
    counter = await read_counter(store)
    stand = await created(store)
    await store.close()
    assert Tally([*counter.tokens, *stand]) == Tally(acknowledged)
    assert counter.count == len(counter.tokens)


def write_while(harm: Callable[[], None], urls: tuple[str, ...], printed: Path) -> list[str]:
    """What two processes got through, before, during and after the harm."""
    with (
        writer(urls, WRITING, printed=printed / "one") as one,
        writer(urls[::-1], WRITING, printed=printed / "other") as other,
    ):
        for process in (one, other):
            process.wait_until_ready()
            process.begin()
        for process in (one, other):
            process.wait_for_more(TOKENS, timeout_s=RECOVERY_S_MAX)
        harm()
        for process in (one, other):
            process.wait_for_more(TOKENS, timeout_s=RECOVERY_S_MAX)
        for process in (one, other):
            process.stop()
        return one.acknowledged() + other.acknowledged()
