"""Every example, run as its first lines say: real processes, a real broker, real ports."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.processes import Running, broker, environment, osqueue, running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").iterdir() if path.name[0] not in "._")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A broker for all of them, named as for every command."""
    storage = f"file://{tmp_path_factory.mktemp('queue')}"
    with broker("--storage", storage) as (_, url):
        yield {"BROKER_URL": url}


def python(*arguments: str, env: Mapping[str, str] | None = None) -> list[str]:
    """What a program prints, run from the root of the project as ``python -m``."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        env=environment(env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@contextmanager
def worker(target: str, env: Mapping[str, str]) -> Iterator[Running]:
    with running("worker", target, "--concurrency", "4", env=env, cwd=ROOT) as process:
        process.wait_for("takes jobs from")
        yield process
        assert process.stop() == 0


def test_examples_when_read_then_each_is_told_of_and_tested_here() -> None:
    tests = Path(__file__).read_text()
    for name in EXAMPLES:
        assert f"examples/{name}" in README
        assert f"examples/{name}" in (ROOT / "docs/examples.md").read_text()
        assert f"examples.{name}" in tests


def test_readme_when_its_commands_are_run_as_printed_then_its_output_comes(
    env: Mapping[str, str],
) -> None:
    (worker,) = re.findall(r"^\$ osqueue (worker .*)$", README, re.MULTILINE)
    submits = re.findall(r"^\$ osqueue (submit email:send .*)$", README, re.MULTILINE)[:2]
    with running(*worker.split(), env=env, cwd=ROOT) as process:
        python("examples.email", "ada@example.org", env=env)
        process.wait_for("^to ada@example.org: hello$")
        _, wrong = [osqueue(*shlex.split(each), env=env).stdout.strip() for each in submits]
        process.wait_for("^to bob@example.org: good news$")
        process.wait_for(f"job {wrong}: failed: .*PayloadValidationError: .* to: is required$")
        assert process.stop() == 0
    shown = json.loads(osqueue("jobs", "show", wrong, "--json", env=env).stdout)
    assert (shown["status"], shown["attempts"]) == ("dead", 1)


def test_email_when_the_handler_raises_then_it_is_tried_again_later(env: Mapping[str, str]) -> None:
    with worker("examples.email:jobs", env) as process:
        (submitted,) = python("examples.email", "nobody", env=env)
        process.wait_for("failed: ValueError: 'nobody' is not an address")
    shown = json.loads(osqueue("jobs", "show", submitted.split()[1], "--json", env=env).stdout)
    assert (shown["status"], shown["attempts"], shown["maxAttempts"]) == ("unclaimed", 1, 5)


def test_typed_when_producer_and_worker_share_a_registry_then_the_report_is_sent(
    env: Mapping[str, str],
) -> None:
    with worker("examples.typed.registry:registry", env) as process:
        refused, *printed = python("examples.typed.producer", env=env)
        assert re.match("refused: the payload of 'report:generate' does not fit .*month", refused)
        assert printed == ["July 2026 has 31 pages", "the email's job is completed"]
        process.wait_for("^to ada@example.org: July 2026$")


def test_typed_producer_then_imports_none_of_the_handlers() -> None:
    program = (
        "import sys, examples.typed.producer; assert 'examples.typed.handlers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment(None), check=True)


def test_embedded_when_the_one_that_works_is_killed_then_the_next_one_goes_on(
    tmp_path: Path,
) -> None:
    storage = f"file://{tmp_path}"
    pictures = [f"{number}.jpg" for number in range(500)]
    assert python("examples.embedded", storage, "push", *pictures) == ["pushed 500 jobs"]

    command = [sys.executable, "-m", "examples.embedded", storage, "work"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(None), stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        before = [one.stdout.readline().split()[0].decode() for _ in range(20)]
        one.kill()
        before += [line.split()[0].decode() for line in one.stdout]

    after = [line.split()[0] for line in python("examples.embedded", storage, "work")]
    assert {*before, *after} <= {*pictures}
    assert len({*pictures} - {*before, *after}) <= 1  # the one that it held is leased for a while
    assert len({*before} & {*after}) <= 1


@pytest.mark.parametrize("tasks", [1, 200])
def test_distributed_when_run_with_so_many_tasks_then_all_come_back_right(tasks: int) -> None:
    *shares, summary = python("examples.distributed", "--tasks", str(tasks), "--workers", "2")

    assert summary == f"{tasks} tasks, 0 wrong"
    assert sum(int(share.split()[-2]) for share in shares) == tasks


def test_pipeline_when_begun_twice_then_each_run_is_stored_once(env: Mapping[str, str]) -> None:
    with worker("examples.pipeline:jobs", env) as process:
        python("examples.pipeline", "2", env=env)
        python("examples.pipeline", "2", env=env)
        stored = [process.wait_for(r"^(\S+) (\w+): \S+ degrees$").groups() for _ in range(9)]

    assert len(set(stored)) == len(stored)
    assert {city for _, city in stored} == {"London", "Nairobi", "Oslo"}


def test_cpu_when_run_then_counts_in_processes_of_its_own() -> None:
    assert python("examples.cpu", "100000") == [
        "9,592 primes below 100,000, counted in 8 parts",
    ]


@pytest.mark.parametrize(
    ("command", "content_type", "signup"),
    [
        pytest.param(
            ("uvicorn", "examples.fastapi_app:app", "--port", "{port}"),
            "application/json",
            b'{"email": "ada@example.org"}',
            id="fastapi",
        ),
        pytest.param(
            ("examples.django_view", "runserver", "--noreload", "{port}"),
            "application/x-www-form-urlencoded",
            b"email=ada@example.org",
            id="django",
        ),
    ],
)
def test_web_application_when_somebody_signs_up_then_a_worker_sends_the_email(
    command: tuple[str, ...], content_type: str, signup: bytes, env: Mapping[str, str]
) -> None:
    port = free_port()
    with application(command, port, env) as url, worker("examples.email:jobs", env) as process:
        headers = {"content-type": content_type}
        request = urllib.request.Request(f"{url}/signups", data=signup, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 202
            job_id = json.load(answer)["job_id"]
        process.wait_for("^to ada@example.org: Welcome$")
        with urllib.request.urlopen(f"{url}/signups/{job_id}", timeout=30) as answer:
            assert json.load(answer)["status"] in {"in_progress", "completed"}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/signups/unknown", timeout=30)


@contextmanager
def application(command: tuple[str, ...], port: int, env: Mapping[str, str]) -> Iterator[str]:
    """A server of a web framework, that listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", *(each.format(port=port) for each in command)],
        cwd=ROOT,
        env=environment({**env, "PYTHONUNBUFFERED": "1"}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    held = Running(process)
    try:
        held.wait_for(f"(running on|server at) http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        held.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
