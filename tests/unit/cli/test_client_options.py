"""Which brokers a command talks to."""

from __future__ import annotations

from typing import Any

import pytest

from osqueue.cli import app, looking
from osqueue.cli.options import Broker
from osqueue.cli.ways import Secret, Way


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Broker]:
    brokers: list[Broker] = []

    def ask(broker: Broker, *_: Any, **__: Any) -> None:
        brokers.append(broker)

    for name in ("stats", "show", "list_jobs"):
        monkeypatch.setattr(looking, name, ask)
    return brokers


def by_urls(*urls: str, origin: str = "--broker-url") -> Broker:
    return Broker(urls, None, origin)


def by_storage(storage: str, origin: str = "--storage") -> Broker:
    return Broker((), storage, origin)


def test_broker_when_nothing_is_said_then_on_this_machine(asked: list[Broker]) -> None:
    assert app.run(["stats"]) == 0
    assert asked == [by_urls("http://localhost:8080")]


@pytest.mark.parametrize(
    ("variables", "broker"),
    [
        ({"BROKER_URL": "http://a:1"}, by_urls("http://a:1", origin="BROKER_URL")),
        (
            {"BROKER_URL": "http://a:1, http://b:1,http://c:1"},
            by_urls("http://a:1", "http://b:1", "http://c:1", origin="BROKER_URL"),
        ),
        (
            {"BROKER_URL": "http://a:1", "OSQUEUE_STORAGE": "s3://b"},
            by_urls("http://a:1", origin="BROKER_URL"),
        ),
        ({"OSQUEUE_STORAGE": "s3://b"}, by_storage("s3://b", origin="OSQUEUE_STORAGE")),
        ({"OSQUEUE_STORAGE": "memory://"}, by_urls("http://localhost:8080")),
        ({"OSQUEUE_STORAGE": "", "BROKER_URL": ""}, by_urls("http://localhost:8080")),
    ],
)
@pytest.mark.parametrize("command", [["stats"], ["jobs"], ["jobs", "show", "x"]])
def test_broker_when_the_environment_says_then_that_one(
    asked: list[Broker],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    broker: Broker,
    command: list[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert app.run(command) == 0
    assert [each[:2] for each in asked] == [broker[:2]]
    if any(variables.values()) and variables != {"OSQUEUE_STORAGE": "memory://"}:
        assert asked[0].origin == broker.origin


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", "--broker-url", "http://flag:1"],
        ["jobs", "--broker-url", "http://flag:1"],
        ["jobs", "--broker-url", "http://flag:1", "show", "x"],
        ["jobs", "show", "x", "--broker-url", "http://flag:1"],
        ["jobs", "--broker-url", "http://no:1", "show", "x", "--broker-url", "http://flag:1"],
        ["jobs", "--storage", "s3://no", "show", "x", "--broker-url", "http://flag:1"],
    ],
)
@pytest.mark.parametrize("variable", ["BROKER_URL", "OSQUEUE_STORAGE", "NONE"])
def test_broker_when_a_flag_says_then_it_wins(
    arguments: list[str],
    asked: list[Broker],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "http://variable:1")
    assert app.run(arguments) == 0
    assert asked == [by_urls("http://flag:1")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", "--storage", "s3://flag"],
        ["jobs", "--storage", "s3://flag", "show", "x"],
        ["jobs", "--broker-url", "http://no:1", "show", "x", "--storage", "s3://flag"],
    ],
)
@pytest.mark.parametrize("variable", ["BROKER_URL", "OSQUEUE_STORAGE", "NONE"])
def test_broker_when_a_flag_names_the_storage_then_the_leader_is_found_there(
    arguments: list[str],
    asked: list[Broker],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "http://variable:1")
    assert app.run(arguments) == 0
    assert asked == [by_storage("s3://flag")]


def test_broker_when_several_flags_say_then_all_of_them(asked: list[Broker]) -> None:
    flags = ["--broker-url", "http://a:1", "--storage", "s3://b", "--broker-url", "http://c:1"]
    assert app.run(["stats", *flags]) == 0
    assert asked == [Broker(("http://a:1", "http://c:1"), "s3://b", "--broker-url and --storage")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--broker-url", "a:1"], "error: --broker-url: the broker URL 'a:1' has no scheme"),
        (["--storage", "memory://"], "error: --storage: memory:// is a store of its own"),
        (["--storage", "ftp://x"], "error: --storage: no kind of store is called ftp://"),
    ],
)
def test_broker_when_it_makes_no_sense_then_said_and_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["stats", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("broker", "place"),
    [
        (by_urls("http://a:1", "http://b:1"), "http://a:1, http://b:1"),
        (by_storage("s3://key:secret@bucket/folder?endpoint=http://x"), "s3://bucket/folder"),
        (Broker(("http://a:1",), "file:///q", ""), "http://a:1, file:///q"),
    ],
)
def test_place_of_brokers_holds_no_credentials(broker: Broker, place: str) -> None:
    assert broker.place == place


WAYS: list[Any] = [
    (["stats"], {}, Way()),
    (["stats", "--transport", "ws"], {}, Way(transport="ws")),
    (["stats"], {"OSQUEUE_TRANSPORT": "grpc"}, Way(transport="grpc")),
    (["stats", "--transport", "ws"], {"OSQUEUE_TRANSPORT": "grpc"}, Way(transport="ws")),
    (["stats"], {"OSQUEUE_TOKEN": "s3cret"}, Way(token=Secret("s3cret"))),
    (["jobs", "--transport", "ws", "show", "x"], {}, Way(transport="ws")),
    (["jobs", "--transport", "ws", "show", "x", "--transport", "rest"], {}, Way(transport="rest")),
    (["jobs", "show", "x"], {"OSQUEUE_TRANSPORT": "grpc"}, Way(transport="grpc")),
    (
        ["jobs", "--tls-ca", "ca", "show", "x"],
        {"OSQUEUE_TLS_CERT": "c", "OSQUEUE_TLS_KEY": "k"},
        Way(tls_ca="ca", tls_cert="c", tls_key="k"),
    ),
]


@pytest.mark.parametrize(("arguments", "variables", "told"), WAYS)
def test_way_when_flags_and_variables_say_then_the_nearest_wins(
    asked: list[Broker],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    told: Way,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert app.run(arguments) == 0
    assert [each.way for each in asked] == [told]


def test_token_when_shown_then_masked(asked: list[Broker]) -> None:
    assert app.run(["stats", "--token", "s3cret"]) == 0
    assert asked[0].way.token == "s3cret"
    assert "s3cret" not in repr(asked)


def test_transport_when_there_is_none_such_then_refused(
    asked: list[Broker], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["stats", "--transport", "carrier-pigeon"]) == 2
    assert not asked
    assert "carrier-pigeon" in capsys.readouterr().err
