"""Whatever brokers do and say, the list of them keeps its bounds and its order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from osqueue.client.brokers import LEARNT_MAX, Brokers

NAMES = [f"h{number}:1" for number in range(14)]
URLS = [f"http://{name}" for name in NAMES]
EPOCHS = st.none() | st.integers(1, 5)
EVENTS = st.lists(
    st.tuples(st.just("answered"), st.sampled_from(URLS), EPOCHS)
    | st.tuples(st.just("redirected"), st.sampled_from(URLS), st.none() | st.sampled_from(NAMES))
    | st.tuples(st.sampled_from(["failed", "unreached", "heard"]), st.sampled_from(URLS))
    | st.tuples(st.just("discovered"), st.sampled_from(NAMES), EPOCHS),
    max_size=60,
)


def _run(brokers: Brokers, events: list[tuple[Any, ...]]) -> None:
    for name, *arguments in events:
        before = brokers.known
        result = getattr(brokers, name)(*arguments)
        _check(brokers)
        if name == "redirected" and result:
            assert brokers.first == f"http://{arguments[1]}"
        elif name in {"failed", "unreached"} and arguments[0] in before:
            assert brokers.known[-1] == arguments[0]
        elif name == "answered" and result:
            assert (brokers.first, brokers.lost) == (arguments[0], False)


def _check(brokers: Brokers) -> None:
    known = set(brokers.known)
    assert len(known) == len(brokers.known)
    assert set(brokers.configured) <= known
    assert len(known) <= len(brokers.configured) + LEARNT_MAX
    assert set(brokers.tried) <= known
    assert brokers._silent <= known
    assert brokers.lost or brokers.first is not None


@given(st.lists(st.sampled_from(URLS), max_size=4), EVENTS)
def test_brokers_whatever_happens_keep_their_laws(
    configured: list[str], events: list[tuple[Any, ...]]
) -> None:
    _run(Brokers(configured), events)


@given(st.lists(st.sampled_from(URLS), min_size=2, max_size=4, unique=True), EVENTS)
def test_brokers_when_each_fails_in_turn_then_all_are_asked(
    configured: list[str], events: list[tuple[Any, ...]]
) -> None:
    brokers = Brokers(configured)
    _run(brokers, events)
    asked = []
    for _ in brokers.known:
        assert brokers.first is not None
        asked.append(brokers.first)
        brokers.failed(brokers.first)

    assert sorted(asked) == sorted(brokers.known)
