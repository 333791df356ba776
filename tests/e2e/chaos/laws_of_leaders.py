"""Laws of leadership: one epoch, one leader; the state goes forward; no broker dies by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.e2e.chaos.ending import Ending
from tests.e2e.chaos.findings import Finding, some
from tests.e2e.chaos.history import History

__all__ = ["brokers_live", "one_leader", "state_goes_forward"]


def one_leader(history: History, _: Ending) -> Iterator[Finding]:
    """No epoch is taken twice, and all of its versions were written by one broker process."""
    taken = Counter(lead.epoch for lead in history.leads)
    yield from some(
        "two leaders", (f"epoch {epoch} was taken {n} times" for epoch, n in taken.items() if n > 1)
    )
    writers = defaultdict(set)
    for sample in history.samples:
        if sample.broker_id is not None:
            writers[sample.epoch].add(sample.broker_id)
    yield from some(
        "two leaders",
        (f"epoch {epoch} was written by {ids}" for epoch, ids in writers.items() if len(ids) > 1),
    )


def state_goes_forward(history: History, _: Ending) -> Iterator[Finding]:
    """The versions of the state, in the order in which they were read, never go back."""
    yield from some(
        "state goes back",
        (
            f"{after.commit} after {before.commit} at {after.at:.3f}"
            for before, after in pairwise(history.samples)
            if (after.epoch, after.number) <= (before.epoch, before.number)
        ),
    )


def brokers_live(history: History, _: Ending) -> Iterator[Finding]:
    """A broker process ends only when it is made to, and then cleanly if it was asked to."""
    yield from some(
        "broker died",
        (
            f"{death.broker} ended with {death.code} at {death.at:.3f}"
            for death in history.deaths
            if not death.wanted or death.code not in {0, -9}
        ),
    )
