"""From flags and environment to a broker's plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from osqueue.cli import app, failures, serving
from osqueue.cli.serving import BrokerPlan
from osqueue.storage import LocalBackend, MemoryBackend


class Started:
    """What the broker would have been started with."""

    plan: BrokerPlan
    store: Any
    variables: Mapping[str, str]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    started = Started()

    def run(plan: BrokerPlan, store: Any, variables: Mapping[str, str]) -> int:
        plan.settings()
        started.plan, started.store, started.variables = plan, store, variables
        return 0

    monkeypatch.setattr(serving, "run", run)
    return started


ENVIRONMENT = {
    "BROKER_HOST": "127.0.0.2",
    "BROKER_PORT": "8081",
    "BROKER_GRPC_PORT": "9091",
    "OSQUEUE_STORAGE": "file:///tmp/queue",
    "BROKER_ADVERTISE": "10.0.0.5:80",
    "BROKER_ALLOW_REMOTE": "1",
    "BROKER_ACCESS_LOG": "1",
    "BROKER_CORS_ORIGINS": "https://a.example, https://b.example/ http://c:1",
    "BROKER_MAX_PAYLOAD_BYTES": "1000",
    "JOB_HEARTBEAT_TIMEOUT_MS": "40000",
    "GROUP_COMMIT_INTERVAL_MS": "50",
    "ARCHIVE_RETENTION": "12h",
    "DEAD_LETTERS_MAX": "7",
    "BROKER_HEARTBEAT_INTERVAL_MS": "2000",
    "BROKER_HEARTBEAT_TIMEOUT_MS": "9000",
}
FLAGS = {
    "--host": "127.0.0.3",
    "--port": "8082",
    "--grpc-port": "0",
    "--storage": "memory://",
    "--advertise": "[::1]:81",
    "--cors-origin": "https://d.example",
    "--max-payload-bytes": "2000",
    "--job-heartbeat-timeout-ms": "50000",
    "--group-commit-interval-ms": "60",
    "--archive-retention": "0",
    "--dead-max": "8",
    "--broker-heartbeat-interval-ms": "1000",
    "--broker-heartbeat-timeout-ms": "8000",
}


def test_broker_when_nothing_is_said_then_the_defaults(started: Started) -> None:
    assert app.run(["broker"]) == 0
    assert started.store.url == "memory://"
    assert started.plan == BrokerPlan(
        host="0.0.0.0",
        port=8080,
        advertise=None,
        adopt=False,
        allow_remote=False,
        cors_origins=(),
        payload_bytes_max=67_108_864,
        lease_timeout_ms=30_000,
        commit_interval_ms=0,
        heartbeat_interval_ms=3_000,
        heartbeat_timeout_ms=10_000,
        archive_retention_ms=7 * 86_400_000,
        dead_max=1_000,
        supervised=False,
    )
    assert isinstance(started.store, MemoryBackend)


def test_broker_when_the_environment_says_then_so(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert app.run(["broker"]) == 0
    assert started.store.url == "file:///tmp/queue"
    assert started.plan == BrokerPlan(
        host="127.0.0.2",
        port=8081,
        grpc_port=9091,
        advertise="10.0.0.5:80",
        adopt=False,
        access_log=True,
        allow_remote=True,
        cors_origins=("https://a.example", "https://b.example", "http://c:1"),
        payload_bytes_max=1_000,
        lease_timeout_ms=40_000,
        commit_interval_ms=50,
        heartbeat_interval_ms=2_000,
        heartbeat_timeout_ms=9_000,
        archive_retention_ms=12 * 3_600_000,
        dead_max=7,
        supervised=False,
    )
    assert isinstance(started.store, LocalBackend)


def test_broker_when_flags_say_otherwise_then_they_win(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert app.run(["broker", *(part for flag in FLAGS.items() for part in flag)]) == 0
    assert started.store.url == "memory://"
    assert started.plan == BrokerPlan(
        host="127.0.0.3",
        port=8082,
        grpc_port=0,
        advertise="[::1]:81",
        adopt=False,
        access_log=True,
        allow_remote=True,
        cors_origins=("https://d.example",),
        payload_bytes_max=2_000,
        lease_timeout_ms=50_000,
        commit_interval_ms=60,
        heartbeat_interval_ms=1_000,
        heartbeat_timeout_ms=8_000,
        archive_retention_ms=0,
        dead_max=8,
        supervised=False,
    )


LIMITS = {
    "READS_PER_MINUTE": "reads_per_minute",
    "WRITES_PER_MINUTE": "writes_per_minute",
    "WRITES_PER_DAY": "writes_per_day",
}


@pytest.mark.parametrize("limit", LIMITS)
def test_broker_when_a_limit_is_set_then_for_any_store(
    limit: str, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"S3_MAX_{limit}", "7")
    assert app.run(["broker"]) == 0
    assert getattr(started.plan.settings().throttle, LIMITS[limit]) == 7
    flag = f"--max-{limit.lower().replace('_', '-')}"
    assert app.run(["broker", flag, "8"]) == 0
    assert getattr(started.plan.settings().throttle, LIMITS[limit]) == 8


SECURITY = {
    "tokens_file": ("OSQUEUE_TOKENS_FILE", "--tokens-file", "/etc/tokens"),
    "tls_client_ca": ("BROKER_TLS_CLIENT_CA", "--tls-client-ca", "/etc/ca.pem"),
    "tls_ca": ("BROKER_TLS_CA", "--tls-ca", "/etc/ca.pem"),
    "requests_per_s": ("BROKER_REQUESTS_PER_S", "--requests-per-s", "2.5"),
    "requests_burst": ("BROKER_REQUESTS_BURST", "--requests-burst", "7"),
    "connections_per_host": ("BROKER_CONNECTIONS_PER_HOST", "--connections-per-host", "9"),
}
PAIR = {"BROKER_TLS_CERT": "/etc/cert.pem", "BROKER_TLS_KEY": "/etc/key.pem"}


@pytest.mark.parametrize("way", ["variable", "flag"])
def test_broker_when_told_who_may_call_then_so(
    way: str, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[str] = []
    for variable, flag, value in SECURITY.values():
        if way == "variable":
            monkeypatch.setenv(variable, value)
        else:
            flags += [flag, value]
    for name, value in PAIR.items():
        monkeypatch.setenv(name, value)
    assert app.run(["broker", *flags]) == 0
    told = {name: getattr(started.plan, name) for name in SECURITY}
    assert {name: str(value) for name, value in told.items()} == {
        name: value for name, (_, _, value) in SECURITY.items()
    }
    settings = started.plan.settings()
    assert settings.access.tokens_file == "/etc/tokens"
    assert (settings.access.requests_per_s, settings.access.burst) == (2.5, 7)
    assert settings.server.connections_per_host == 9
    tls = settings.tls
    assert (tls.cert, tls.key) == ("/etc/cert.pem", "/etc/key.pem")
    assert (tls.client_ca, tls.ca) == ("/etc/ca.pem", "/etc/ca.pem")


def test_broker_when_tokens_are_in_the_environment_then_it_asks_for_them(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSQUEUE_TOKENS", "web produce 0 sha256:0")
    assert app.run(["broker"]) == 0
    assert started.plan.settings().access.tokens_configured


def test_broker_when_variables_of_security_are_empty_then_as_if_unset(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OSQUEUE_TOKENS", "OSQUEUE_TOKENS_FILE", *PAIR):
        monkeypatch.setenv(name, "")
    assert app.run(["broker"]) == 0
    settings = started.plan.settings()
    assert (settings.access.tokens_configured, settings.tls.active) == (False, False)


@pytest.mark.parametrize("way", ["flag", "variable", "nothing"])
def test_broker_when_told_to_show_less_then_its_server_does(
    way: str, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = []
    if way == "flag":
        flags = ["--no-dashboard", "--hide-payloads"]
    elif way == "variable":
        monkeypatch.setenv("BROKER_DASHBOARD", "0")
        monkeypatch.setenv("OSQUEUE_HIDE_PAYLOADS", "true")
    assert app.run(["broker", *flags]) == 0
    server = started.plan.settings().server
    assert (server.dashboard, server.hide_payloads) == (way == "nothing", way != "nothing")


@pytest.mark.parametrize("backend", ["", "memory"])
def test_broker_when_the_older_variable_says_memory_then_memory(
    backend: str, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", backend)
    assert app.run(["broker"]) == 0
    assert started.store.url == "memory://"


def test_broker_when_the_older_variables_name_a_bucket_then_its_url(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", "s3")
    monkeypatch.setenv("S3_BUCKET", "jobs")
    monkeypatch.setenv("S3_PREFIX", "mail")
    assert app.run(["broker"]) == 0
    assert started.store.url == "s3://jobs?prefix=mail"


def test_broker_when_the_older_variables_are_wrong_together_then_named_and_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", "s3")
    monkeypatch.setenv("S3_BUCKET", "jobs")
    monkeypatch.setenv("S3_ENDPOINT", "nowhere")
    assert app.run(["broker"]) == 2
    assert "STORAGE_BACKEND: endpoint: write http://host:port" in capsys.readouterr().err


def test_broker_when_a_storage_is_given_then_the_older_variable_does_not_matter(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", "s3")
    assert app.run(["broker", "--storage", "memory://"]) == 0
    assert started.store.url == "memory://"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BROKER_PORT", "abc", "BROKER_PORT=abc: input should be a valid integer"),
        ("BROKER_PORT", "65536", "BROKER_PORT: must be 0 to 65535, not 65536"),
        ("OSQUEUE_STORAGE", "ftp://x", "OSQUEUE_STORAGE: no kind of store is called ftp://"),
        ("OSQUEUE_STORAGE", "s3://", "OSQUEUE_STORAGE: s3:// needs a name: write s3://name/folder"),
        ("OSQUEUE_STORAGE", "/tmp/x", "OSQUEUE_STORAGE: a storage URL begins with its kind"),
        ("STORAGE_BACKEND", "s3", "STORAGE_BACKEND=s3 needs S3_BUCKET: set it"),
        ("STORAGE_BACKEND", "gcs", "STORAGE_BACKEND=gcs needs GCS_BUCKET: set it"),
        (
            "STORAGE_BACKEND",
            "disk",
            "STORAGE_BACKEND=disk: it can be azure, gcs, local, memory, s3",
        ),
        ("BROKER_ADVERTISE", "host", "BROKER_ADVERTISE: 'host' is not host:port"),
        ("BROKER_ADVERTISE", "http://h:1", "BROKER_ADVERTISE: 'http://h:1' is not host:port"),
        ("BROKER_ADVERTISE", "0.0.0.0:80", "BROKER_ADVERTISE: '0.0.0.0:80' is no address that"),
        ("BROKER_ADVERTISE", "[::]:80", "BROKER_ADVERTISE: '[::]:80' is no address that others"),
        ("BROKER_ADVERTISE", "h:99999", "BROKER_ADVERTISE: 'h:99999' is not host:port"),
        ("BROKER_ALLOW_REMOTE", "perhaps", "BROKER_ALLOW_REMOTE=perhaps: input should be a valid"),
        ("BROKER_CORS_ORIGINS", "a.example", "BROKER_CORS_ORIGINS: 'a.example' is not an origin"),
        ("GROUP_COMMIT_INTERVAL_MS", "-1", "GROUP_COMMIT_INTERVAL_MS must not be negative"),
        (
            "GROUP_COMMIT_INTERVAL_MS",
            "1.5",
            "GROUP_COMMIT_INTERVAL_MS=1.5: input should be a valid",
        ),
        ("JOB_HEARTBEAT_TIMEOUT_MS", "10", "JOB_HEARTBEAT_TIMEOUT_MS must be at least 1000"),
        ("BROKER_HEARTBEAT_INTERVAL_MS", "9000", "the broker's heartbeat interval (9000 ms) must"),
        ("BROKER_MAX_PAYLOAD_BYTES", "0", "BROKER_MAX_PAYLOAD_BYTES must be 1 to 1073741824"),
        ("BROKER_MAX_PAYLOAD_BYTES", "9999999999", "BROKER_MAX_PAYLOAD_BYTES must be 1 to"),
        ("BROKER_HEARTBEAT_TIMEOUT_MS", "1", "the broker's heartbeat interval (3000 ms) must be"),
        ("BROKER_TLS_CERT", "/c.pem", "BROKER_TLS_CERT and BROKER_TLS_KEY go together"),
        ("BROKER_TLS_KEY", "/k.pem", "BROKER_TLS_CERT and BROKER_TLS_KEY go together"),
        ("BROKER_TLS_CLIENT_CA", "/a.pem", "BROKER_TLS_CLIENT_CA and BROKER_TLS_CA need"),
        ("BROKER_TLS_CA", "/a.pem", "BROKER_TLS_CLIENT_CA and BROKER_TLS_CA need"),
        ("BROKER_REQUESTS_PER_S", "-1", "BROKER_REQUESTS_PER_S must be 0 (no limit) to 1000000"),
        ("BROKER_REQUESTS_PER_S", "nan", "BROKER_REQUESTS_PER_S must be 0 (no limit) to 1000000"),
        ("BROKER_REQUESTS_BURST", "5", "BROKER_REQUESTS_BURST needs BROKER_REQUESTS_PER_S"),
        ("BROKER_REQUESTS_BURST", "-5", "BROKER_REQUESTS_BURST must not be negative"),
        ("BROKER_CONNECTIONS_PER_HOST", "-1", "BROKER_CONNECTIONS_PER_HOST must not be negative"),
        ("S3_MAX_WRITES_PER_DAY", "-1", "S3_MAX_WRITES_PER_DAY: must be at least 0, not -1"),
        ("OSQUEUE_LOG_FORMAT", "xml", "OSQUEUE_LOG_FORMAT=xml: 'xml' is not one of 'text', 'json'"),
    ],
)
def test_broker_when_a_variable_makes_no_sense_then_named_and_2(
    name: str,
    value: str,
    message: str,
    *,
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert app.run(["broker"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert not hasattr(started, "plan")


def test_broker_when_its_packages_are_missing_then_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(failures, "find_spec", lambda name: None if name == "uvloop" else name)
    for command, what in (("broker", "the broker"), ("demo", "the demo")):
        assert app.run([command]) == 2
        message = f"error: {what} needs uvloop: pip install 'osqueue[broker]'\n"
        assert capsys.readouterr().err == message


def test_broker_when_started_then_each_setting_is_told_with_its_variable(
    started: Started,
) -> None:
    assert app.run(["broker", "--storage", "memory://"]) == 0
    variables = started.variables
    assert variables["limits.lease_timeout_ms"] == "JOB_HEARTBEAT_TIMEOUT_MS"
    assert variables["archive.retention_ms"] == "ARCHIVE_RETENTION"
    assert variables["server.cors_origins"] == "BROKER_CORS_ORIGINS"
    assert variables["access.tokens"] == "OSQUEUE_TOKENS"
    assert variables["storage"] == "OSQUEUE_STORAGE"
    assert set(ENVIRONMENT) <= set(variables.values())
