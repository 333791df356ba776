"""Which broker a command talks to."""

from __future__ import annotations

from typing import Any

import pytest

from osqueue.cli import app, looking
from osqueue.cli.options import Broker


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Broker]:
    brokers: list[Broker] = []

    def ask(broker: Broker, *_: Any, **__: Any) -> None:
        brokers.append(broker)

    for name in ("stats", "show", "list_jobs"):
        monkeypatch.setattr(looking, name, ask)
    return brokers


def test_broker_when_nothing_is_said_then_on_this_machine(asked: list[Broker]) -> None:
    assert app.run(["stats"]) == 0
    assert asked == [Broker("http://localhost:8080", "--broker-url")]


def test_broker_when_the_environment_says_then_that_one(
    asked: list[Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", "http://env:1")
    assert app.run(["jobs", "show", "x"]) == 0
    assert asked == [Broker("http://env:1", "BROKER_URL")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", "--broker-url", "http://flag:1"],
        ["jobs", "--broker-url", "http://flag:1"],
        ["jobs", "--broker-url", "http://flag:1", "show", "x"],
        ["jobs", "show", "x", "--broker-url", "http://flag:1"],
        ["jobs", "--broker-url", "http://no:1", "show", "x", "--broker-url", "http://flag:1"],
    ],
)
def test_broker_when_a_flag_says_then_it_wins(arguments: list[str], asked: list[Broker]) -> None:
    assert app.run(arguments) == 0
    assert asked == [Broker("http://flag:1", "--broker-url")]
