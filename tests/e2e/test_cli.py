"""The commands as a user meets them: real processes, their output and their exit codes."""

from __future__ import annotations

import http.server
import json
import re
import signal
import socket
import socketserver
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.processes import Running, broker, osqueue, running

from osqueue import SyncOsqueueClient

HANDLERS = """
import asyncio, time
from pathlib import Path

def keep(payload):
    Path(f"done-{payload['n']}").touch()

def fail(payload):
    raise ValueError("not this one")

async def hang(payload):
    print("hanging", flush=True)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

def stay(payload):
    print("staying", flush=True)
    time.sleep(600)

async def nap(payload):
    print("napping", flush=True)
    while not Path("wake").exists():
        await asyncio.sleep(0.01)
    Path("napped").touch()

def double(payload):
    return payload * 2

handlers = {"keep": keep, "fail": fail, "nap": nap, "double": double}
stubborn = {"hang": hang}

def impatient(client):
    from osqueue import Worker
    from osqueue.config import WorkerSettings
    settings = WorkerSettings(grace_ms=10, settle_ms=10)
    return Worker(client, {"stay": stay}, settings=settings)
"""

CONFIG = "[broker] Config: heartbeatInterval={}ms, heartbeatTimeout={}ms, groupCommitInterval={}ms"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a broker that all tests of this module may use."""
    with broker() as (_, address):
        yield address


OLDER = {
    "/v1/stats": '{"total":0,"unclaimed":0,"inProgress":0,"completedTotal":0,"brokerAddress":"b"}',
    "/v1/jobs": '{"total":0,"unclaimed":0,"inProgress":0,"completedTotal":0,"brokerAddress":"b",'
    '"jobs":[]}',
    "/v1/jobs/a": '{"id":"a","status":"unclaimed","createdAt":1}',
}
"""What an implementation from before there were consistent reads answers, by path."""


class OlderBroker(http.server.BaseHTTPRequestHandler):
    """Passes over what it does not know, as the wire has it."""

    def do_GET(self) -> None:
        text = OLDER[self.path.partition("?")[0]].encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def older_broker() -> Iterator[str]:
    """The URL of one."""
    with http.server.HTTPServer(("127.0.0.1", 0), OlderBroker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    """A directory with a module of handlers."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


def error_of(done: subprocess.CompletedProcess[str] | Running) -> str:
    """The one line of an error, which is the last."""
    lines = done.err if isinstance(done, Running) else done.stderr.splitlines()
    assert not [line for line in lines if "Traceback" in line]
    assert lines[-1].startswith("error: ")
    return lines[-1]


def wait_for_jobs(url: str, job_type: str) -> None:
    """Return as soon as the queue holds a job of this type."""
    jobs: list[object] = []
    while not jobs:
        with urllib.request.urlopen(f"{url}/v1/jobs?type={job_type}", timeout=10) as answer:
            jobs = json.load(answer)["jobs"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_broker_when_signalled_then_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with broker("--storage", f"file://{tmp_path}/q") as (process, url):
        assert process.stop(number) == 0
        assert process.out == [
            CONFIG.format(3000, 10000, 0),
            f"Broker listening on {url.removeprefix('http://')}",
            f"dashboard: {url}/",
            "Shutting down broker...",
        ]
    state = json.loads((tmp_path / "q/queue.json").read_bytes())
    assert state["broker"] is None


def test_broker_when_it_serves_grpc_then_it_says_where() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with broker("--grpc-port", str(port)) as (process, url):
        process.wait_for(rf"^gRPC listening on 127\.0\.0\.1:{port}$")
        with urllib.request.urlopen(f"{url}/v1/status", timeout=10) as answer:
            assert json.load(answer)["grpcPort"] == port


def test_broker_when_its_dashboard_is_printed_then_it_is_there() -> None:
    with broker() as (process, _):
        place = process.wait_for(r"^dashboard: (http://\S+/)$").group(1)
        with urllib.request.urlopen(place, timeout=10) as answer:
            assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_broker_when_told_to_have_no_dashboard_then_none_is_printed_or_served() -> None:
    with broker("--no-dashboard") as (process, url):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/", timeout=10)
        assert process.stop(signal.SIGTERM) == 0
        assert not [line for line in process.out if line.startswith("dashboard")]


def test_broker_when_told_to_hide_payloads_then_jobs_are_shown_without_them() -> None:
    with broker(env={"OSQUEUE_HIDE_PAYLOADS": "1"}) as (_, url):
        job_id = osqueue("submit", "t", '"the secret"', "--broker-url", url).stdout.strip()
        for command in (("jobs", "show", job_id), ("jobs", "show", job_id, "--json"), ("jobs",)):
            done = osqueue(*command, "--broker-url", url)
            assert (done.returncode, "the secret" in done.stdout) == (0, False), done
        told = osqueue("jobs", "show", job_id, "--broker-url", url).stdout
        assert "hidden" in told


def test_broker_when_its_grpc_port_is_taken_then_an_error_that_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = osqueue("broker", "--host", "127.0.0.1", "--port", "0", "--grpc-port", port)
    assert done.returncode == 1
    assert "--grpc-port" in error_of(done)


def test_broker_when_set_by_environment_and_flags_then_the_flags_win(tmp_path: Path) -> None:
    env = {
        "OSQUEUE_STORAGE": f"file://{tmp_path}/q",
        "BROKER_HOST": "127.0.0.9",
        "GROUP_COMMIT_INTERVAL_MS": "7",
        "BROKER_HEARTBEAT_INTERVAL_MS": "2000",
        "BROKER_HEARTBEAT_TIMEOUT_MS": "8000",
    }
    with broker("--broker-heartbeat-interval-ms", "1000", env=env) as (process, url):
        assert process.out[0] == CONFIG.format(1000, 8000, 7)
        assert url.startswith("http://127.0.0.1:")
        assert (tmp_path / "q/queue.json").exists()


def test_broker_when_its_port_is_taken_then_said_and_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = osqueue("broker", "--host", "127.0.0.1", "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in error_of(done)


@pytest.mark.parametrize("content", [b"", b'{"jobs": [', b'{"format": 99, "jobs": []}'])
def test_broker_when_the_state_is_corrupt_then_named_and_untouched(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "queue.json").write_bytes(content)
    done = osqueue("broker", "--storage", f"file://{tmp_path}", "--port", "0")
    assert done.returncode == 1
    assert f"file://{tmp_path} queue.json is damaged and was left untouched" in error_of(done)
    assert (tmp_path / "queue.json").read_bytes() == content


def test_broker_when_its_directory_cannot_be_written_then_said_and_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = osqueue("broker", "--storage", f"file://{tmp_path}/file/q", "--port", "0")
    assert done.returncode == 1
    assert "not a directory" in error_of(done)


def test_broker_when_another_leads_then_it_stands_by_and_ends_with_0(tmp_path: Path) -> None:
    with broker("--storage", f"file://{tmp_path}") as (_, url):
        with broker("--storage", f"file://{tmp_path}") as (second, _):
            second.stop()
            assert second.wait() == 0
        assert f"standing by: {url.removeprefix('http://')} leads" in "".join(second.err)


def test_broker_when_it_loses_its_place_then_said_and_it_stands_by(tmp_path: Path) -> None:
    with broker("--storage", f"file://{tmp_path}") as (process, url):
        path = tmp_path / "queue.json"
        state = json.loads(path.read_bytes())
        state |= {"epoch": state["epoch"] + 1, "commit": "other", "broker": "10.0.0.9:1"}
        (tmp_path / "draft").write_text(json.dumps(state))
        (tmp_path / "draft").replace(path)
        osqueue("submit", "t", "--broker-url", url)
        process.stop()
        assert process.wait() == 0
        assert "leadership is over: another broker has taken over: 10.0.0.9:1" in "".join(
            process.err
        )


def test_broker_when_its_logs_are_json_then_every_line_is() -> None:
    with broker("--log-format", "json") as (process, _):
        process.stop()
        lines = [json.loads(line) for line in process.err]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert lines[0]["message"].startswith("memory:// can carry a queue")
    assert lines[1]["message"].startswith("leadership is taken: queue.json, epoch ")
    assert "the queue is in memory" in lines[2]["message"]


def test_broker_when_supervised_then_ends_with_its_stdin() -> None:
    with broker("--supervised") as (process, _):
        process.close_stdin()
        assert process.wait() == 0
        assert process.out[-1] == "Shutting down broker..."


def test_broker_when_let_go_by_its_supervisor_then_goes_on() -> None:
    with broker("--supervised") as (process, url):
        process.close_stdin("keep running\n")
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            assert answer.status == 200
        assert process.stop() == 0


def test_submit_when_done_then_the_job_can_be_looked_at(url: str) -> None:
    env = {"BROKER_URL": url}
    submitted = osqueue("submit", "look", '{"to": "ada"}', "--priority", "3", env=env)
    job_id = submitted.stdout.strip()
    assert submitted.returncode == 0
    (line,) = osqueue("jobs", "--type", "look", "--json", env=env).stdout.splitlines()
    shown = json.loads(osqueue("jobs", "show", job_id, "--json", env=env).stdout)
    assert json.loads(line) == shown
    assert (shown["id"], shown["priority"], shown["payload"]) == (job_id, 3, {"to": "ada"})
    assert job_id in osqueue("jobs", "--type", "look", env=env).stdout
    cancelled = osqueue("jobs", "cancel", job_id, "no-such-job", env=env)
    assert cancelled.stdout == f"{job_id} cancelled\n"
    assert cancelled.returncode == 1
    assert error_of(cancelled) == "error: there is no job no-such-job"


def test_submit_when_after_another_then_it_waits_and_says_for_what(url: str) -> None:
    env = {"BROKER_URL": url}
    osqueue("submit", "flow", "--id", "flow-a", env=env)
    osqueue("submit", "flow", "--id", "flow-b", env=env)
    said = osqueue(
        "submit", "flow", "--id", "flow-c", "--after", "flow-a", "--after=flow-b", env=env
    )
    assert (said.returncode, said.stdout) == (0, "flow-c\n")
    shown = json.loads(osqueue("jobs", "show", "flow-c", "--json", env=env).stdout)
    assert shown["after"] == shown["waitsFor"] == ["flow-a", "flow-b"]
    text = osqueue("jobs", "show", "flow-c", env=env).stdout
    assert re.search(r"^waits for +flow-a, flow-b$", text, re.MULTILINE)
    listed = osqueue("jobs", "--status", "waiting", "--type", "flow", "--json", env=env).stdout
    assert [json.loads(line)["id"] for line in listed.splitlines()] == ["flow-c"]
    refused = osqueue("submit", "flow", "--after", "no-such-job", env=env)
    assert refused.returncode == 1
    assert "no-such-job, which is not known" in error_of(refused)


def test_jobs_when_looked_for_by_text_then_those_and_in_the_order_asked_for(url: str) -> None:
    env = {"BROKER_URL": url}
    ids = [osqueue("submit", f"find-{n}", "1", env=env).stdout.strip() for n in range(2)]

    def found(*more: str) -> list[str]:
        lines = osqueue("jobs", "--text", "FIND-", "--json", *more, env=env).stdout.splitlines()
        return [json.loads(line)["id"] for line in lines]

    assert found("--status", "ready") == ids
    assert found("--order", "newest") == ids[::-1]
    assert found("--order", "newest", "-n", "1") == ids[1:]
    assert found("--status", "delayed") == []


def test_cancel_when_by_a_filter_then_it_is_said_how_many_and_agreed_to_first(url: str) -> None:
    env = {"BROKER_URL": url}
    osqueue("producer", "swept", "-n", "1200", env=env)
    asked = osqueue("jobs", "cancel", "--type", "swept", env=env)
    assert asked.returncode == 2
    assert error_of(asked) == "error: cancel 1,200 jobs of type swept? Say --yes"
    done = osqueue("jobs", "cancel", "--type", "swept", "--yes", env=env)
    assert (done.stdout, done.returncode) == ("1,200 cancelled\n", 0)
    again = osqueue("jobs", "cancel", "--type", "swept", "--yes", env=env)
    assert (again.stdout, again.returncode) == ("no jobs of type swept\n", 0)
    ended = osqueue("jobs", "ended", "--type", "swept", "-n", "3", "--json", env=env).stdout
    shown = [json.loads(line) for line in ended.splitlines()]
    assert [job["status"] for job in shown] == ["cancelled"] * 3


def test_dead_when_jobs_have_failed_then_by_their_errors_and_queued_again_at_once() -> None:
    with broker("--storage", "memory://") as (_, url):
        env = {"BROKER_URL": url}
        with SyncOsqueueClient(url) as client:
            for number in range(3):
                client.submit_job("dying", number)
                job = client.claim_job("w", ["dying"])
                assert job is not None
                client.fail_job(job, ValueError(f"no user {number}"), retry=False)
        shown = osqueue("dead", env=env)
        assert re.search(r"3 +\S.* dying +ValueError: no user #", shown.stdout), shown.stdout
        (line,) = osqueue("dead", "--json", env=env).stdout.splitlines()
        assert json.loads(line)["count"] == 3
        done = osqueue("jobs", "retry", "--text", "NO USER", "--yes", env=env)
        assert done.stdout == "3 queued again\n"
        assert osqueue("dead", env=env).stdout == "no dead jobs\n"
        assert osqueue("jobs", "retry", "--all", "-y", env=env).stdout == "no dead jobs\n"
        assert osqueue("jobs", "cancel", "--type", "dying", "-y", env=env).stdout == "3 cancelled\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["retry"],
        ["cancel"],
        ["retry", "a", "--all"],
        ["cancel", "a", "--type", "t"],
        ["retry", "--yes"],
    ],
    ids=" ".join,
)
def test_jobs_when_it_is_not_clear_which_are_meant_then_one_line_and_2(
    url: str, arguments: list[str]
) -> None:
    refused = osqueue("jobs", *arguments, env={"BROKER_URL": url})
    assert refused.returncode == 2
    assert error_of(refused).startswith("error: say ")


@pytest.mark.parametrize("command", [["stats"], ["jobs"], ["jobs", "show", "a"]], ids=" ".join)
def test_looking_when_it_must_be_consistent_then_whoever_cannot_be_is_refused(
    older_broker: str, command: list[str], url: str
) -> None:
    env = {"BROKER_URL": older_broker, "OSQUEUE_TRANSPORT": "rest"}
    assert osqueue(*command, env=env).returncode == 0
    refused = osqueue(*command, "--consistent", env=env)
    assert refused.returncode == 1
    assert "does not say which commit it rests on" in error_of(refused)

    osqueue("submit", "t", "--id", "a", env={"BROKER_URL": url})
    assert osqueue(*command, "--consistent", env={"BROKER_URL": url}).returncode == 0


def test_queue_when_paused_then_over_a_restart_nothing_is_handed_out_until_resumed(
    tmp_path: Path, handlers: Path
) -> None:
    place = f"file://{tmp_path}/queue"
    for job_id in ("a", "b"):
        osqueue("submit", "double", "1", "--id", job_id, "--storage", place, "--brokerless")
    with broker("--storage", place) as (_, url):
        assert osqueue("pause", "--broker-url", url).stdout.startswith("paused: ")
    with broker("--storage", place) as (again, url):
        env = {"BROKER_URL": url}
        for command in ("stats", "status"):
            assert "paused" in osqueue(command, env=env).stdout
        with running("worker", "handlers:handlers", env=env, cwd=handlers):
            while not waiting_claims(url):
                pass
            assert json.loads(osqueue("stats", "--json", env=env).stdout)["unclaimed"] == 2
            assert osqueue("resume", env=env).stdout == "resumed\n"
            while json.loads(osqueue("stats", "--json", env=env).stdout)["completedTotal"] < 2:
                pass
        assert "paused" not in json.loads(osqueue("stats", "--json", env=env).stdout)
    assert any("the queue is paused: no job is handed out" in line for line in again.err)


def waiting_claims(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return b"\nosqueue_waiting_claims 0.0" not in answer.read()


def test_priority_when_set_then_shown_and_what_cannot_be_is_refused(url: str) -> None:
    env = {"BROKER_URL": url}
    osqueue("submit", "moved", "--id", "moved-1", env=env)
    assert osqueue("priority", "moved-1", "-5", env=env).stdout == "moved-1 has priority -5\n"
    shown = json.loads(osqueue("jobs", "show", "moved-1", "--json", env=env).stdout)
    assert shown["priority"] == -5
    unknown = osqueue("priority", "nobody", "1", env=env)
    assert (unknown.returncode, error_of(unknown)) == (1, "error: there is no job nobody")
    osqueue("jobs", "cancel", "moved-1", env=env)
    over = osqueue("priority", "moved-1", "1", env=env)
    assert (over.returncode, error_of(over)) == (1, "error: job moved-1 is over: cancelled")


def test_schedules_when_put_run_and_dropped_then_as_it_says() -> None:
    with broker() as (_, url):
        env = {"BROKER_URL": url}
        assert osqueue("schedules", env=env).stdout == "no schedules\n"
        put = osqueue("schedules", "put", "nightly", "report", '{"of": "yesterday"}',
                      "--cron", "0 3 * * *", "--timezone", "Europe/Rome", env=env)  # fmt: skip
        assert put.stdout.startswith("nightly: At 03:00 every day, Europe/Rome; next 20")
        osqueue("schedules", "put", "often", "tick", "--every", "15m", "--missed", "skip", env=env)
        listed = osqueue("schedules", env=env).stdout.splitlines()
        assert [line.split()[0] for line in listed] == ["name", "nightly", "often"]
        assert "every 15 minutes" in listed[2]
        first, second = osqueue("schedules", "--json", env=env).stdout.splitlines()
        nightly = json.loads(first)
        assert nightly["payload"] == {"of": "yesterday"}
        assert (nightly["cron"], nightly["timezone"]) == ("0 3 * * *", "Europe/Rome")
        assert (json.loads(second)["everyMs"], json.loads(second)["missed"]) == (900_000, "skip")

        assert osqueue("schedules", "pause", "often", env=env).stdout == "often paused\n"
        assert re.search(r"^often .* paused", osqueue("schedules", env=env).stdout, re.MULTILINE)
        assert osqueue("schedules", "resume", "often", env=env).stdout == "often resumed\n"
        job_id = osqueue("schedules", "run", "nightly", env=env).stdout.strip()
        shown = json.loads(osqueue("jobs", "show", job_id, "--json", env=env).stdout)
        assert (shown["type"], shown["payload"]) == ("report", {"of": "yesterday"})

        assert osqueue("schedules", "drop", "often", env=env).stdout == "often dropped\n"
        again = osqueue("schedules", "drop", "often", env=env)
        assert (again.returncode, error_of(again)) == (1, "error: there is no schedule 'often'")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["put", "s", "t"], 1, "say either `cron` or `everyMs`"),
        (["put", "s", "t", "--cron", "0 0 30 2 *"], 1, "bad day-of-month"),
        (["put", "s", "t", "--cron", "0 3 * * *", "--timezone", "Mars"], 1, "there is no 'Mars'"),
        (["put", "s", "t", "--every", "often"], 2, "is no length of time"),
        (["put", "s", "t", "{", "--every", "1h"], 2, "the payload is not JSON"),
        (["put", "a b", "t", "--every", "1h"], 1, "name"),
        (["run", "none"], 1, "there is no schedule 'none'"),
        (["pause", "none"], 1, "there is no schedule 'none'"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_schedules_when_it_cannot_be_then_one_line_says_why(
    url: str, arguments: list[str], code: int, said: str
) -> None:
    refused = osqueue("schedules", *arguments, env={"BROKER_URL": url})
    assert refused.returncode == code
    assert said in error_of(refused)


def test_submit_when_repeated_with_an_id_then_one_job(url: str) -> None:
    for _ in range(2):
        done = osqueue("submit", "again", "-", "--id", "same-1", "--json",
                       stdin="[1]", env={"BROKER_URL": url})  # fmt: skip
        assert json.loads(done.stdout) == {"jobId": "same-1"}
    lines = osqueue("jobs", "--type", "again", "--json", "--broker-url", url).stdout
    assert len(lines.splitlines()) == 1


def test_submit_when_there_is_no_broker_then_said_and_1() -> None:
    done = osqueue("submit", "t", "{}", "--broker-url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "no broker answers at http://127.0.0.1:1: connection refused" in error_of(done)


def test_commands_when_told_several_brokers_then_the_one_that_is_there_is_asked(url: str) -> None:
    env = {"BROKER_URL": f"http://127.0.0.1:1,{url}"}
    assert osqueue("submit", "several", "--id", "several-1", env=env).stdout == "several-1\n"
    shown = osqueue("jobs", "show", "several-1", "--broker-url", "http://127.0.0.1:1",
                    "--broker-url", url)  # fmt: skip
    assert "several-1" in shown.stdout


def test_commands_when_told_the_storage_only_then_the_leader_is_found(
    tmp_path: Path, handlers: Path
) -> None:
    storage = f"file://{tmp_path}/q"
    with broker("--storage", storage) as (leader, _):
        osqueue("producer", "keep", "-n", "5", "--storage", storage)
        env = {"OSQUEUE_STORAGE": storage}
        with running("worker", "handlers:handlers", env=env, cwd=handlers) as process:
            assert process.wait_for("Worker .* takes jobs from (.*)").group(1) == storage
            while json.loads(osqueue("stats", "--json", env=env).stdout)["completedTotal"] < 5:
                pass
            assert process.stop() == 0
        assert leader.stop() == 0
    done = osqueue("stats", "--storage", storage)
    assert done.returncode == 1
    assert f"no leader found: {storage} holds a queue.json that names no leader" in error_of(done)


def test_producer_when_given_a_count_then_so_many_jobs(url: str) -> None:
    env = {"BROKER_URL": url}
    before = json.loads(osqueue("stats", "--json", env=env).stdout)
    done = osqueue("producer", "counted", "-n", "750", "--json", env=env)
    after = json.loads(osqueue("stats", "--json", env=env).stdout)
    assert json.loads(done.stdout)["submitted"] == 750
    assert after["unclaimed"] - before["unclaimed"] == 750


def test_producer_when_given_lines_then_a_job_for_each_until_a_bad_one(url: str) -> None:
    env = {"BROKER_URL": url}
    done = osqueue("producer", "line", "--from", "-", stdin='{"a":1}\n\n2\n{bad\n', env=env)
    assert done.returncode == 1
    assert "line 4 of stdin is not JSON" in error_of(done)
    assert osqueue("producer", "line", "--from", "-", stdin="3\n", env=env).returncode == 0
    lines = osqueue("jobs", "--type", "line", "--json", env=env).stdout.splitlines()
    assert json.loads(lines[-1])["payload"] == 3


def test_producer_when_endless_then_ends_by_a_signal_with_0(url: str) -> None:
    with running("producer", "endless", "-n", "0", "-r", "200", "--broker-url", url) as process:
        wait_for_jobs(url, "endless")
        assert process.stop(signal.SIGINT) == 0
        assert process.out[-1].startswith("submitted ")


def test_producer_when_interrupted_before_its_count_then_130(url: str) -> None:
    with running("producer", "part", "-n", "9999", "-r", "50", "--broker-url", url) as process:
        wait_for_jobs(url, "part")
        assert process.stop(signal.SIGINT) == 130


def test_submit_when_it_waits_then_the_result_is_printed_or_why_there_is_none(
    url: str, handlers: Path
) -> None:
    env = {"BROKER_URL": url}
    with running("worker", "handlers:handlers", env=env, cwd=handlers):
        assert osqueue("submit", "double", "21", "--wait", env=env).stdout == "42\n"
        done = osqueue("submit", "double", "[1]", "--wait", "--json", "--id", "w", env=env)
        assert json.loads(done.stdout) == {"jobId": "w", "result": [1, 1]}
        failed = osqueue("submit", "fail", "--max-attempts", "1", "--wait", env=env)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "ValueError: not this one" in error_of(failed)


def test_worker_when_run_then_does_the_jobs_and_stops_cleanly(url: str, handlers: Path) -> None:
    env = {"BROKER_URL": url}
    osqueue("producer", "keep", "-n", "20", env=env)
    failing = osqueue("submit", "fail", "--max-attempts", "1", env=env).stdout.strip()
    with running("worker", "handlers:handlers", "-c", "4", env=env, cwd=handlers) as process:
        assert process.wait_for("Worker .* takes jobs from (.*)").group(1) == url
        process.wait_for(f"job {failing}: failed: ValueError: not this one")
        osqueue("submit", "nap", env=env)
        process.wait_for("napping")
        process.send(signal.SIGTERM)
        process.wait_for("^Stopping worker: letting 1 running job finish...$")
        (handlers / "wake").touch()
        assert process.wait() == 0
        assert process.out[-1] == "Stopping worker: letting 1 running job finish..."
    assert (handlers / "napped").exists()
    assert len(list(handlers.glob("done-*"))) == 20
    dead = osqueue("jobs", "--status", "dead", env=env).stdout
    assert failing in dead
    assert "ValueError: not this one" in osqueue("jobs", "show", failing, env=env).stdout
    assert osqueue("jobs", "retry", failing, env=env).stdout == f"{failing} queued again\n"


def test_worker_when_signalled_again_then_ends_at_once(url: str, handlers: Path) -> None:
    osqueue("submit", "hang", "--broker-url", url)
    with running("worker", "handlers:stubborn", "--broker-url", url, cwd=handlers) as process:
        process.wait_for("hanging")
        process.send(signal.SIGTERM)
        process.wait_for("Stopping worker")
        code = None
        while code is None:
            process.send(signal.SIGINT)
            try:
                code = process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        assert code == 130


def test_worker_when_a_thread_does_not_end_then_leaves_it(url: str, handlers: Path) -> None:
    osqueue("submit", "stay", "--broker-url", url)
    with running("worker", "handlers:impatient", "--broker-url", url, cwd=handlers) as process:
        process.wait_for("staying")
        assert process.stop() == 0


def test_worker_when_its_module_is_unknown_then_said_and_2(tmp_path: Path) -> None:
    done = osqueue("worker", "handlres:handlers", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no module 'handlres' (looked in" in error_of(done)


def test_worker_when_there_is_no_broker_then_waits_for_it(handlers: Path) -> None:
    address = "http://127.0.0.1:1"
    with running("worker", "handlers:handlers", "--broker-url", address, cwd=handlers) as process:
        process.wait_for("no broker answers at http://127.0.0.1:1.*; trying again")
        assert process.stop() == 0


class Mute(socketserver.BaseRequestHandler):
    """Takes a request, and closes without an answer."""

    def handle(self) -> None:
        self.request.recv(1 << 16)


def test_submit_when_no_answer_comes_then_the_id_to_submit_again_is_named() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Mute) as mute:
        serving = threading.Thread(target=mute.serve_forever)
        serving.start()
        done = osqueue("submit", "t", "--broker-url", f"http://127.0.0.1:{mute.server_address[1]}")
        mute.shutdown()
        serving.join()
    assert done.returncode == 1
    assert re.search(r"stored or not: submit it again with --id [0-9a-f-]{36}", error_of(done))


# Who leads


def test_status_when_one_leads_and_one_stands_by_then_both_are_shown(tmp_path: Path) -> None:
    place = f"file://{tmp_path}"
    with broker("--storage", place) as (_, first), broker("--storage", place) as (_, second):
        leader, standby = (url.removeprefix("http://") for url in (first, second))
        shown = osqueue("status", "--broker-url", second)
        assert f"{leader}, leader" in shown.stdout
        status = json.loads(osqueue("status", "--storage", place, "--json").stdout)
        assert (status["role"], status["leader"]) == ("leader", leader)
        assert [each["address"] for each in status["standbys"]] == [standby]


def test_failover_when_one_stands_by_then_it_leads_and_the_jobs_are_there(tmp_path: Path) -> None:
    place = f"file://{tmp_path}"
    with broker("--storage", place) as (_, first):
        alone = osqueue("failover", "--broker-url", first)
        assert (alone.returncode, "no other broker stands by" in alone.stderr) == (1, True)
        osqueue("submit", "t", "--broker-url", first)
        with broker("--storage", place) as (_, second):
            done = osqueue("failover", "--storage", place)
            leader, standby = (url.removeprefix("http://") for url in (first, second))
            assert done.stdout == f"{leader} has handed over; {standby} leads now\n"
            counts = json.loads(osqueue("stats", "--broker-url", first, "--json").stdout)
            assert (counts["unclaimed"], counts["brokerAddress"]) == (1, standby)


def test_status_when_nobody_leads_then_said_and_1(tmp_path: Path) -> None:
    place = f"file://{tmp_path}"
    with broker("--storage", place) as (process, _):
        process.stop()
        assert process.wait() == 0
    done = osqueue("status", "--storage", place)
    assert done.returncode == 1
    assert "names no leader" in error_of(done)
